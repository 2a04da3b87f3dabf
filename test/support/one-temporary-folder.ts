import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/**
 * Keeps what the tests write in one temporary folder, and removes it when they have ended or are broken off. Without
 * this a run leaves about a gigabyte.
 */
export default function oneTemporaryFolder(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-tests-'));
  chmodSync(folder, 0o755); // brokers run as users of their own
  process.env.TMPDIR = folder;
  // half of what a command costs is compiling; not in that folder, which a command that still ends would make again
  process.env.NODE_COMPILE_CACHE = resolve('node_modules/.cache/tocsin');
  const remove = () => {
    for (const [, mounted = ''] of readFileSync('/proc/self/mounts', 'utf8').matchAll(/^\S+ (\S+)/gm))
      if (mounted.startsWith(`${folder}/`)) spawnSync('umount', ['-l', mounted]); // as after Ctrl-C
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 }); // a worker may still write
  };
  process.once('exit', remove); // after Ctrl-C nobody calls what is returned
  process.once('SIGHUP', () => process.exit(129)); // the terminal was closed
  return remove;
}

/** The same for a command that is run by hand, whose child processes end with it. */
export function oneFolderForThisCommand(): void {
  process.once('exit', () => {
    for (const child of readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').match(/\d+/g) ?? []) process.kill(Number(child), 'SIGKILL');
  });
  oneTemporaryFolder();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(128 + constants.signals[signal]));
}
