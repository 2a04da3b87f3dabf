import { closeSync, constants, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { ifPossible } from '../lib/if-possible.ts';
import { type BesideFile, readingBeside } from './beside.ts';
import type { OpenedFile } from './opened-file.ts';
import { bringIntoFile, type SqliteDatabase, type Statement } from './sqlite.ts';
import { headerOf, indexBytes, staleFrom } from './wal-check.ts';

const everyMs = 3_600_000; // each costs the disk as much as an event
const retryMs = 600_000; // where another process was in the way

/**
 * Deleted rows are overwritten in the file itself (secure_delete), but stay in the write-ahead log until that is
 * written over from its start, after days. So, once an hour at most and only if an event has left the outbox since, the
 * log is begun anew, and what stands behind its end is overwritten with zeros.
 *
 * INVARIANTS: the log begins anew by SQLite's own rules, with the first write after all of it was brought into the
 * file. Only bytes that SQLite no longer reads are overwritten: those after the last frame, where no frame of this log
 * follows, while this connection keeps all others from writing. The log keeps its length: one that grows costs the disk
 * half as much again for each write. The shared memory stays open for as long as the outbox: it carries SQLite's locks,
 * and closing any descriptor of a file drops all locks of the process on it. Others would then write at the same time,
 * and who opens the outbox next would truncate it. After an overwrite that failed, the next one trusts no zeros that it
 * reads: those of a failed sync may never reach the disk (fsync(2)).
 */
export class LogErasure {
  readonly #log: string;
  readonly #file: OpenedFile;
  readonly #db: SqliteDatabase;
  readonly #countGone: Statement<[], number>;
  readonly #memory: number;
  #gone = 0; // events, when it was done last
  #nextMs = performance.now() + everyMs;
  #isUnsynced = false; // the last overwrite did not finish

  constructor(path: string, file: OpenedFile, db: SqliteDatabase) {
    this.#log = `${path}-wal`;
    this.#file = file;
    this.#db = db;
    this.#countGone = db.prepare<[], number>("SELECT sum(events) FROM fate WHERE name IN ('sent', 'expired')").pluck();
    this.#memory = openSync(`${path}-shm`, 'r'); // last: nobody would close it
  }

  /** Call it once SQLite has closed the outbox. */
  close(): void {
    closeSync(this.#memory);
  }

  /**
   * Does `write`, and erases with it if that is due. Call it often. Errors of the erasure are ignored: the same disk
   * fault keeps events from being stored, and is reported there.
   */
  with(write: () => void): void {
    const gone = this.#dueFor();
    const before = gone === undefined ? undefined : ifPossible(() => bringIntoFile(this.#db) && headerOf(this.#log));
    write();
    if (!before || ifPossible(() => headerOf(this.#log))?.equals(before) || !ifPossible(() => this.#overwrite())) return;
    this.#gone = gone ?? 0;
    this.#nextMs = performance.now() + everyMs;
  }

  /** How many events have left, if more than last time and long enough ago. */
  #dueFor(): number | undefined {
    const now = performance.now();
    if (now < this.#nextMs) return undefined;
    const gone = ifPossible(() => this.#countGone.get());
    if (gone === this.#gone) return undefined;
    this.#nextMs = now + retryMs;
    return gone;
  }

  #overwrite(): boolean {
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      this.#file.check(); // none takes its place while this holds it
      const memory = Buffer.alloc(indexBytes);
      readSync(this.#memory, memory, 0, indexBytes, 0);
      const isDone = readingBeside(this.#log, (log) => overwrite(log, staleFrom(log, memory), this.#isUnsynced), constants.O_RDWR) ?? false;
      this.#isUnsynced = !isDone;
      return isDone;
    } finally {
      this.#db.exec('ROLLBACK');
    }
  }
}

/** The log carries no locks: closing a file drops all locks of the process on it. */
function overwrite({ descriptor, pieces }: BesideFile, from: number | undefined, isUnsynced: boolean): boolean {
  if (from === undefined) return false;
  let at = from;
  let any = false;
  for (const piece of pieces(from, 1)) {
    const zeros = Buffer.alloc(piece.length);
    if (isUnsynced || !piece.equals(zeros)) {
      writeSync(descriptor, zeros, 0, zeros.length, at);
      any = true;
    }
    at += piece.length;
  }
  if (any) fsyncSync(descriptor);
  return true;
}
