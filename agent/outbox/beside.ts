// Files beside an outbox that are read by hand. Either half can put anything in their place: a pipe or a device must
// not keep the other waiting, nor a file of gigabytes fill its memory.
import { closeSync, constants, fstatSync, lstatSync, openSync, readSync, realpathSync } from 'node:fs';
import { hasCode, isUnreadable } from '../lib/errors.ts';
import { ifPossible } from '../lib/if-possible.ts';

const mostBytes = 2 ** 31; // a longer one is not looked at
export const pieceBytes = 65_536; // at most, where a unit has no more

export interface BesideFile {
  readonly descriptor: number;
  /** What stands there of so many bytes. */
  read(at: number, length: number): Buffer;
  /**
   * All from an offset to the end in pieces, each but the last a multiple of `unit` long. A piece is valid until the
   * next is asked for.
   */
  pieces(from: number, unit: number): Generator<Buffer>;
}

/**
 * Runs `work` on a file; undefined if there is none, or none that can be read. Throws where the system lacks
 * descriptors or memory to open it, or the disk fails as it is opened: SQLite could not open it either.
 */
export function readingBeside<T>(path: string, work: (file: BesideFile) => T, flags = constants.O_RDONLY): T | undefined {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, flags | constants.O_NONBLOCK);
    const found = fstatSync(descriptor);
    return found.isFile() && found.size <= mostBytes ? work(besideFile(descriptor, found.size)) : undefined;
  } catch (error) {
    const isUnopened = descriptor === undefined && isUnreadable(error);
    if (isUnopened || hasCode(error, /^(EMFILE|ENFILE|ENOMEM)$/)) throw error; // it says nothing of what stands in the file
    return undefined;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/**
 * Waits until the disk can read the files, for a second at most: a card may fail for a moment, and what it could not
 * read would be given up. `progress` is called with each piece that is read. Do not call it while this process has the
 * outbox open.
 */
export function awaitReadable(paths: readonly string[], progress: () => void): void {
  const never = new Int32Array(new SharedArrayBuffer(4));
  const untilMs = performance.now() + 1000;
  while (!paths.every((path) => isReadable(path, progress)) && performance.now() < untilMs) Atomics.wait(never, 0, 0, 100);
}

/** Whether it is read without an error of the disk, or is none to be read. */
function isReadable(path: string, progress: () => void): boolean {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const found = fstatSync(descriptor);
    if (found.isFile() && found.size <= mostBytes) for (const _ of besideFile(descriptor, found.size).pieces(0, 1)) progress();
    return true;
  } catch (error) {
    return !isUnreadable(error);
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

// ends a journal of several files: https://www.sqlite.org/fileformat2.html#the_rollback_journal
const namesOthers = Buffer.from('d9d505f920a163d7', 'hex');

/**
 * Throws an Error if a rollback journal is beside a file that SQLite does not make here, but would open before
 * anything else. For a pipe it would wait for ever. A journal that names others would lead it to any path: it would
 * wait for a pipe there too, read a file whole, and delete some. The journal of an outbox in the moment in which it is
 * made, which a power cut may leave behind, is neither.
 */
export function refuseJournal(path: string): void {
  const journal = `${ifPossible(() => realpathSync(path)) ?? path}-journal`;
  const found = ifPossible(() => lstatSync(journal, { throwIfNoEntry: false }));
  if (found === undefined) return;
  const end = found.isFile() ? readingBeside(journal, ({ read }) => read(Math.max(0, found.size - 8), 8)) : namesOthers;
  if (end?.equals(namesOthers) || found.size > mostBytes) throw new Error('a journal beside it (-journal) that is not its own');
}

function besideFile(descriptor: number, bytes: number): BesideFile {
  const read = (at: number, length: number, into = Buffer.alloc(Math.max(0, Math.min(length, bytes - at)))) =>
    into.subarray(0, readSync(descriptor, into, 0, Math.min(length, into.length), at));
  return {
    descriptor,
    read: (at, length) => read(at, length),
    *pieces(from, unit) {
      const piece = Buffer.alloc(Math.max(1, Math.floor(pieceBytes / unit)) * unit);
      for (let at = from; at < bytes; at += piece.length) {
        const found = read(at, piece.length, piece);
        if (found.length > 0) yield found;
        if (found.length < piece.length) return;
      }
    },
  };
}
