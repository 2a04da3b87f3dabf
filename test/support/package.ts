import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
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

/** Makes NAME.deb of the `first.deb` in a folder: the same content as a later version, with a changed preinst script. */
export function repack(share: string, name: string, change: (preinst: string) => string): void {
  const [folder, to] = [mkdtempSync(join(tmpdir(), 'tocsin-second-')), join(share, `${name}.deb`)];
  execFileSync('dpkg-deb', ['-R', join(share, 'first.deb'), folder]);
  const [control, preinst] = [join(folder, 'DEBIAN/control'), join(folder, 'DEBIAN/preinst')];
  writeFileSync(control, readFileSync(control, 'utf8').replace(/^Version: .*$/m, `Version: 0.1.0+${name}`));
  writeFileSync(preinst, change(readFileSync(preinst, 'utf8')));
  execFileSync('dpkg-deb', ['--root-owner-group', '-Zzstd', '-z1', '-b', folder, to], { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** Copies only the sources to another folder, with other file times and without installed dependencies. */
export function copySources(): string {
  const folder = join(mkdtempSync(join(tmpdir(), 'tocsin-elsewhere-')), 'a-longer-name');
  mkdirSync(folder);
  for (const name of ['agent', 'deploy', 'docs', 'models', 'systemd', 'package.json', 'package-lock.json', '.npmrc', 'CHANGELOG.md', 'SECURITY.md'])
    cpSync(name, join(folder, name), { recursive: true, filter: (path) => !path.includes('deb/out') });
  return folder;
}
