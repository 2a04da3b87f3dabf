import { execFileSync } from 'node:child_process';
import { copyFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { listName } from '../../agent/cli/privacy/package-list.ts';

/** Packs a staged tree into `file`, and the list of its files into `list`. A name that ends in `.part` is one of a build that did not come to its end. */
export function pack(root: string, file: string, list: string, compression: string, env: NodeJS.ProcessEnv): void {
  const part = (path: string) => `${path}.part`;
  copyFileSync(join(root, 'usr/lib/tocsin', listName), part(list));
  // one thread: with more, xz cuts its blocks by their number
  const options = ['--root-owner-group', `-Z${compression}`, ...(compression === 'zstd' ? ['-z9'] : []), '--threads-max=1'];
  execFileSync('dpkg-deb', [...options, '--build', root, part(file)], { stdio: ['ignore', 'ignore', 'inherit'], env });
  for (const path of [list, file]) renameSync(part(path), path);
}
