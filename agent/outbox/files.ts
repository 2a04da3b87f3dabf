// Files of an outbox that are made or emptied by hand.
import { closeSync, fchmodSync, lstatSync, openSync, rmSync, statSync, truncateSync } from 'node:fs';
import { dirname } from 'node:path';
import { hasCode } from '../lib/errors.ts';
import { syncFolderOf } from '../lib/place-file.ts';

/**
 * Creates the file if there is none, readable by its owner only; also by the group if the folder has the setgid bit,
 * for then the two halves run as two users. SQLite gives -wal and -shm the mode of the file.
 */
export function createFile(path: string): void {
  refuseLink(path);
  if (isThere(path)) return;
  const shared = (statSync(dirname(path)).mode & 0o2000) !== 0;
  let file: number;
  try {
    file = openSync(path, 'wx', 0o600);
  } catch (error) {
    if (hasCode(error, /^EEXIST$/)) return; // the other half has just made it, and only its owner may set its mode
    throw error;
  }
  try {
    if (shared) fchmodSync(file, 0o660);
  } catch (error) {
    rmSync(path, { force: true }); // what is there would be taken for right
    throw error;
  } finally {
    closeSync(file);
  }
}

/** Whether a file is there. Throws where that cannot be seen: a file that is taken for gone is replaced. */
export function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined; // existsSync would say false
}

/**
 * Throws an Error if a link is in the place of a file. The configuration was read with links followed: one that is
 * there now was put there since, and a repair would write where it leads.
 */
export function refuseLink(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink()) throw new Error('a link in the place of a file of the outbox');
}

/**
 * Truncates a lock file that damage has filled: it would be no database, and could not be locked. It is truncated in
 * place, since another process may hold it. Never call this for a lock that this process holds: closing any descriptor
 * of a file drops all POSIX locks of the process on it.
 */
export function emptyLock(path: string): void {
  try {
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (stats?.isFile() && stats.size > 0) truncateSync(path); // nothing that a link leads to
  } catch {
    // whoever wants the lock tells what is wrong
  }
}

/** Makes an empty file of that name; there is no moment without a file. */
export function makeEmpty(path: string): void {
  for (const end of ['-wal', '-shm', '-journal']) rmSync(`${path}${end}`, { force: true });
  refuseLink(path);
  if (isThere(path)) truncateSync(path);
  else createFile(path);
  syncFolderOf(path);
}
