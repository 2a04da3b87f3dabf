import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Architecture } from '../../deploy/deb/platforms.ts';

export const thisArchitecture: Architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';

/**
 * Builds the package as `npm run deb` does, with fast compression, from the sources in `source`, with their version or
 * another; returns the file.
 */
export function buildPackage(architecture: Architecture, source = '.', version?: string): string {
  const out = mkdtempSync(join(tmpdir(), 'tocsin-out-'));
  const options = ['--arch', architecture, '--compression', 'zstd', '--out', out, ...(version === undefined ? [] : ['--version', version])];
  execFileSync(process.execPath, [join(source, 'deploy/deb/build.ts'), ...options], {
    env: { ...process.env, SOURCE_DATE_EPOCH: '1790000000' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return join(out, readdirSync(out).find((name) => name.endsWith('.deb')) as string);
}

/** Copies only the sources to another folder, with other file times and without installed dependencies. */
export function copySources(): string {
  const folder = join(mkdtempSync(join(tmpdir(), 'tocsin-elsewhere-')), 'a-longer-name');
  mkdirSync(folder);
  for (const name of ['agent', 'deploy', 'docs', 'models', 'systemd', 'package.json', 'package-lock.json', '.npmrc', 'CHANGELOG.md', 'SECURITY.md'])
    cpSync(name, join(folder, name), { recursive: true, filter: (path) => !path.includes('deb/out') });
  return folder;
}
