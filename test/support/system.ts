import { missing } from './broker.ts';

/** The reason why tests that build a package or a whole Debian are left out, or undefined if they run. */
export function withoutSystemTests(...commands: string[]): string | undefined {
  if (!process.env.TOCSIN_SYSTEM) return 'takes minutes and the package registries; TOCSIN_SYSTEM=1 npm test -- test/system';
  return missing(...commands);
}
