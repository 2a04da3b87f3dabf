// Sequence numbers are not given out twice, even if the WAL is lost together with the shared memory beside it.
import { ifPossible } from '../lib/if-possible.ts';
import { bringIntoFile, type SqliteDatabase, type Statement } from './sqlite.ts';
import { isWithoutHeader } from './wal-check.ts';

const ahead = 1000; // numbers reserved at a time
const margin = 100; // how many are left when the next are
const hoursAhead = 1000;
// What stood in a lost WAL may have been sent: after a repair, new events are numbered far beyond it. A WAL holds some
// hundred events.
export const skipped = 100_000;
export const skippedHours = 1000;
export const maxNumber = 900_000_000_000; // below what the schema takes, and never reached: an event each second for 28,000 years
export const maxHour = 900_000_000; // of hours, likewise

/**
 * Whether a value can be a number or a count. In a damaged file, and in SQLite's own table of numbers, anything can
 * stand.
 */
export function isNumber(number: unknown, max: number): number is number {
  return Number.isSafeInteger(number) && (number as number) >= 0 && (number as number) <= max;
}

/**
 * Whether the last number given to an event or an hour cannot be right: the schema would refuse the next one for ever,
 * or it would be given out twice. When all hours have been sent, nothing is left to compare with; then it shows only if
 * the name beside the number is no table's, or if it is no number. Everything is read in one transaction: what a
 * listener stores meanwhile has a number beyond the last.
 */
export function isFalselyNumbered(db: SqliteDatabase): boolean {
  return db.transaction(() => isFalselyNumberedNow(db))();
}

function isFalselyNumberedNow(db: SqliteDatabase): boolean {
  const strange = "coalesce(name, '') NOT IN (SELECT name FROM sqlite_master) OR typeof(seq) NOT IN ('integer', 'real')";
  if (db.prepare(`SELECT 1 FROM sqlite_sequence WHERE ${strange}`).get()) return true;
  const isFalse = (table: string, max: number, seen: string[]) => {
    const last = numbered(db, table);
    return !isNumber(last, max) || seen.some((of) => ((db.prepare(`SELECT max(sequence) FROM ${of}`).pluck().get() as number | null) ?? 0) > last);
  };
  return isFalse('event', maxNumber, ['event', 'recent']) || isFalse('hour_summary', maxHour, ['hour_summary']);
}

/**
 * A number above any that can have been given to an hour, for a repair that cannot read the last one. No sensor reaches
 * a million hours. Each repair advances the event numbers by `skipped`, so that lastEvent / skipped counts repairs, and
 * each gets a fresh block of a million; no clock is needed, which may be wrong. Beyond 90 million events there is none
 * left.
 */
export function unusedHour(lastEvent: number): number {
  return Math.min(maxHour - skippedHours, (1 + Math.floor(lastEvent / skipped)) * 1_000_000);
}

/**
 * Call it when opening the outbox for writing: in the transaction that migrates it, before that writes anything, since
 * then there is a WAL again. If numbers of a listener are still reserved and there is no WAL, it may be lost: those
 * numbers become a gap, and numbering continues after them. The same happens, harmlessly, if a listener died and
 * another program closed the outbox last.
 */
export function skipLostNumbers(db: SqliteDatabase, path: string): void {
  // nobody else writes now: if there is no WAL, everything read here is in the file itself
  if (!isWithoutHeader(`${path}-wal`)) return;
  // an older release reserves none
  if (!db.prepare("SELECT 1 FROM pragma_table_info('outbox') WHERE name = 'reserved'").get()) return;
  const reserved = db.prepare('SELECT reserved FROM outbox').pluck().get() as number | null | undefined;
  if (typeof reserved !== 'number') return;
  const first = numbered(db, 'event') + 1;
  if (first <= reserved) {
    db.prepare("INSERT OR REPLACE INTO gap (first, last, reason) VALUES (?, ?, 'unreadable')").run(first, reserved);
    giveOutAfter(db, 'event', reserved);
  }
  skipHours(db, hoursAhead);
  db.prepare('UPDATE outbox SET reserved = NULL').run();
}

/** Keeps numbers reserved ahead of those that are given out. For the listener, which alone gives them out. */
export class ReservedNumbers {
  readonly #db: SqliteDatabase;
  readonly #read: Statement<[], { newest: number | null; reserved: number | null }>;
  #upTo = 0;

  constructor(db: SqliteDatabase) {
    this.#db = db;
    this.#read = db.prepare("SELECT (SELECT seq FROM sqlite_sequence WHERE name = 'event') AS newest, reserved FROM outbox");
    this.keepAhead();
  }

  /**
   * Reserves the next numbers, in the file itself, if few are left, or if a courier gave them back that did not see the
   * lock of this listener.
   */
  keepAhead(): void {
    try {
      const row = this.#read.get();
      const newest = row?.newest ?? 0;
      if (newest + margin < this.#upTo && (row?.reserved ?? 0) >= this.#upTo) return;
      this.#db.prepare('UPDATE outbox SET reserved = ?').run(newest + ahead);
      if (bringIntoFile(this.#db)) this.#upTo = newest + ahead; // else again after the next event
    } catch {
      // ignored: the same disk fault keeps events from being stored, and is reported there
    }
  }
}

/**
 * Gives back reserved numbers when a process ends in order and no listener goes on. SQLite brings the WAL into the file
 * when the last process closes it. `isLast` is asked within the transaction, so that a listener that starts meanwhile
 * reserves its numbers after it.
 */
export function releaseNumbers(db: SqliteDatabase, isLast: () => boolean): void {
  const release = db.transaction(() => {
    if (isLast()) db.prepare('UPDATE outbox SET reserved = NULL WHERE reserved IS NOT NULL').run();
  });
  ifPossible(() => release.immediate()); // else they are skipped, at worst
}

/** Skips the next numbers of hours. Call it within a transaction. */
export function skipHours(db: SqliteDatabase, count: number): void {
  giveOutAfter(db, 'hour_summary', numbered(db, 'hour_summary') + count);
}

function numbered(db: SqliteDatabase, table: string): number {
  return (db.prepare('SELECT seq FROM sqlite_sequence WHERE name = ?').pluck().get(table) as number | undefined) ?? 0;
}

/** The next number of that table becomes the one after `last`. Call it within a transaction. */
export function giveOutAfter(db: SqliteDatabase, table: 'event' | 'hour_summary', last: number): void {
  db.prepare('DELETE FROM sqlite_sequence WHERE name = ?').run(table);
  db.prepare('INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)').run(table, last);
}
