import { accessSync, closeSync, constants, existsSync, openSync, type StatsFs, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { hasCode, isFull } from '../lib/errors.ts';
import { ifPossible } from '../lib/if-possible.ts';

const lowBytes = 1_000_000; // less free space than this is a fault
const moreBytes = 65_536; // additional free space that makes another try worthwhile
const waitMs = 60_000; // after which it is tried anyway

/**
 * Opens an outbox. After an attempt failed on a full disk, it rethrows that error until 64 kB more are free or a minute
 * has passed: each attempt is expensive, as a repair reads and writes all it can.
 */
export class Room {
  #lacking: { readonly error: unknown; readonly freeBytes: number; readonly atMs: number } | undefined;

  open<T>(path: string, open: () => T): T {
    const freeBytes = freeBeside(path) ?? 0;
    const last = this.#lacking;
    if (last && freeBytes < last.freeBytes + moreBytes && performance.now() - last.atMs < waitMs) throw last.error;
    this.#lacking = undefined;
    try {
      return open();
    } catch (error) {
      if (isFull(error)) this.#lacking = { error, freeBytes, atMs: performance.now() };
      throw error;
    }
  }

  /** Space was freed. */
  made(): void {
    this.#lacking = undefined;
  }
}

/** Free bytes of the file system; undefined where it does not tell. */
export function freeBeside(path: string): number | undefined {
  const found = spaceBeside(path);
  return found && found.bavail * found.bsize;
}

function spaceBeside(path: string): StatsFs | undefined {
  return ifPossible(() => statfsSync(dirname(path)));
}

/**
 * Whether the disk of an outbox takes no writes: the kernel opens no file for writing on a file system that is
 * read-only, or that it gave up after errors. access(2) does not show the latter, nor does an empty transaction. The
 * file opened is the write-ahead log, which exists while either half has the outbox open and carries no locks: closing
 * a file drops all locks of the process on it.
 */
export function isReadOnly(outboxPath: string): boolean {
  const log = `${outboxPath}-wal`;
  try {
    if (existsSync(log)) closeSync(openSync(log, 'r+'));
    else accessSync(dirname(outboxPath), constants.W_OK);
    return false;
  } catch (error) {
    return hasCode(error, /^(EROFS|EIO|EACCES|EPERM)$/);
  }
}

/**
 * Whether there is an outbox with hardly any space beside it, or none for another file, however small; undefined where
 * the file system does not tell.
 */
export function isLow(outboxPath: string): boolean | undefined {
  if (!existsSync(outboxPath)) return false;
  const found = spaceBeside(outboxPath);
  return found && (found.bavail * found.bsize < lowBytes || (found.files > 0 && found.ffree === 0)); // btrfs has no number of inodes
}

/** Whether an error of the outbox comes from a full disk: SQLite reports I/O errors when -shm or -wal cannot grow. */
export function isFullAt(outboxPath: string, error: unknown): boolean {
  return isFull(error) || (isUnusable(error) && isLow(outboxPath) === true && !isReadOnly(outboxPath));
}

/** Whether an error comes from a disk that fails, is read-only or gone. */
export function isUnusable(error: unknown): boolean {
  return hasCode(error, /^SQLITE_(IOERR|READONLY|CANTOPEN)|^E(ROFS|IO)$/);
}
