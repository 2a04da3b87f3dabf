// The folder of the courier's own notes, which keep a listener that was replaced from saying much.
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { isCourierNotes, isUnfinished, notesName } from '../../delivery/courier-notes.ts';
import { hasAccessList, userAttributes } from '../../lib/libc.ts';
import { unlessGone } from './process.ts';

/** As the unit of the courier names it, and the package makes it. */
export const courierFolder = '/var/lib/tocsin-courier';

const largest = 16_384;

/**
 * What is wrong with the folder at this path, that a courier of this user may write to: another user's, open to others,
 * or with something else in it than the notes.
 */
export function wrongIn(folder: string, uid: number): string[] {
  const isClosed = (path: string) => {
    const stats = lstatSync(path);
    return stats.uid === uid && (stats.mode & 0o077) === 0 && stats.nlink <= (stats.isDirectory() ? 2 : 1) && !hasAccessList(path);
  };
  const isSmallFile = (path: string) => lstatSync(path).isFile() && lstatSync(path).size <= largest;
  if (!isClosed(folder) || userAttributes(folder).length > 0) return [folder];
  const isRight = (path: string, name: string) =>
    isSmallFile(path) && isClosed(path) && userAttributes(path).length === 0 && (name === notesName ? isCourierNotes(path) : isUnfinished(name));
  return readdirSync(folder)
    .map((name) => ({ name, path: join(folder, name) }))
    .filter(({ name, path }) => !unlessGone(() => isRight(path, name), true))
    .map(({ path }) => path);
}

/** The notes are written anew under a name beside them, and open for moments. */
export function unfinishedIn(folder: string): string[] {
  return readdirSync(folder)
    .filter(isUnfinished)
    .map((name) => join(folder, name));
}
