// One listener and one courier for an outbox; and the courier learns without a write that the listener has died, by a
// lock that the kernel releases with the process.
import { existsSync, rmSync } from 'node:fs';
import { hasCode } from '../lib/errors.ts';
import { emptyLock } from './files.ts';
import { OpenedFile } from './opened-file.ts';
import type { SqliteDatabase } from './sqlite.ts';
import { openLock } from './sqlite-database.ts';

export type Half = 'listener' | 'courier';

const lockOf = (outboxPath: string, half: Half) => `${outboxPath}.${half}.lock`;

const withoutJournal = 'journal_mode = MEMORY'; // else each transaction makes a second file

export interface HeldLock {
  /** False once the file has been deleted, or the disk mounted anew: who asks then asks another file. */
  isInPlace(): boolean;
  /** Lets go and takes it again, without opening the file, which a disk that takes no writes may refuse. */
  rest(resting: boolean): void;
  release(): void;
}

/**
 * Holds the lock of the half until the process ends or lets go. PATH.HALF.lock stays an empty file: a transaction that
 * is begun and writes nothing is only a lock. Throws SQLite's error, with the code SQLITE_BUSY if another process holds
 * the lock longer than `waitMs`.
 */
export function holdHalfLock(outboxPath: string, half: Half, waitMs = 5000): HeldLock {
  const path = lockOf(outboxPath, half);
  if (![...held].some(({ name }) => name === path)) emptyLock(path);
  const db = openLock(path);
  const file = new OpenedFile(path); // there is one by now
  try {
    db.pragma(`busy_timeout = ${waitMs}`);
    db.pragma(withoutJournal);
    db.exec('BEGIN EXCLUSIVE');
    held.add(db);
    return {
      isInPlace: () => file.isInPlace(),
      rest(resting) {
        if (resting !== db.inTransaction) return;
        db.pragma('busy_timeout = 0');
        db.exec(resting ? 'ROLLBACK' : 'BEGIN EXCLUSIVE');
      },
      release() {
        held.delete(db);
        db.close();
      },
    };
  } catch (error) {
    db.close();
    throw error;
  }
}

/**
 * Whether the file system cannot lock at all: SQLite then says of each lock that another process holds it (ENOLCK). A
 * file of its own, which nobody else can hold, tells the two apart. Without it, which a disk may refuse, it is unknown.
 */
export function cannotLock(outboxPath: string, half: Half): boolean {
  const path = `${lockOf(outboxPath, half)}.${process.pid}`;
  let db: SqliteDatabase | undefined;
  try {
    db = openLock(path);
    db.pragma('busy_timeout = 0');
    db.pragma(withoutJournal);
    db.exec('BEGIN EXCLUSIVE; ROLLBACK');
    return false;
  } catch (error) {
    return hasCode(error, /^SQLITE_BUSY$/);
  } finally {
    db?.close();
    rmSync(path, { force: true });
  }
}

const held = new Set<SqliteDatabase>(); // a connection that is collected would let go

/** Whether a listener runs now; undefined if unknown, as long as none has held the lock. */
export function openListenerProbe(outboxPath: string): () => boolean | undefined {
  const path = lockOf(outboxPath, 'listener');
  let file = new OpenedFile(path);
  let db: SqliteDatabase | undefined;
  return () => {
    if (!existsSync(path)) return undefined;
    try {
      if (!file.isInPlace()) {
        db?.close();
        db = undefined;
        file = new OpenedFile(path);
      }
      db ??= openLock(path);
      db.pragma('busy_timeout = 0');
      db.pragma(withoutJournal);
      db.exec('BEGIN EXCLUSIVE; ROLLBACK');
      return false;
    } catch (error) {
      if (hasCode(error, /^SQLITE_BUSY$/)) return true;
      db?.close(); // opened while the disk was read-only, it could never ask
      db = undefined;
      return undefined;
    }
  };
}
