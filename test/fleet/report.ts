import { isDeepStrictEqual } from 'node:util';

/** Prints the observations line by line, and whether each was expected; the process fails if one was not. */
export function openReport() {
  let failed = 0;
  return {
    say: (text: string) => void process.stdout.write(`${text}\n`),
    check(what: string, seen: unknown, expected: unknown): void {
      const right = isDeepStrictEqual(seen, expected);
      if (!right) failed++;
      process.stdout.write(`${right ? 'ok  ' : 'FAIL'} ${what}${right ? '' : `: expected ${JSON.stringify(expected)}, got ${JSON.stringify(seen)}`}\n`);
    },
    end(): void {
      process.stdout.write(failed === 0 ? 'all as expected\n' : `${failed} not as expected\n`);
      process.exitCode = failed === 0 ? 0 : 1;
    },
  };
}
