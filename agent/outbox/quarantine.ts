import { readdirSync, rmSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { isFullAt } from './disk.ts';
import type { SqliteDatabase, Statement } from './sqlite.ts';

const weekHours = 168;
const hourMs = 3_600_000;

/** Called by a repair for the new outbox, before that is put in place. */
export const repairedSql = 'UPDATE outbox SET repaired_hours = 0';

/**
 * The numbers of the damaged files kept beside an outbox. A name such as `damaged-007` is none of a repair's: it would
 * not be found by its number, and could never be deleted.
 */
export function quarantined(path: string): number[] {
  const start = `${basename(path)}.damaged-`;
  return readdirSync(dirname(path)).flatMap((name) => {
    const number = name.startsWith(start) && /^[1-9]\d{0,6}$/.exec(name.slice(start.length))?.[0];
    return number ? [Number(number)] : [];
  });
}

/** Deletes one of them, with its log. */
export function discard(path: string, number: number): void {
  for (const end of ['', '-wal']) rmSync(`${path}.damaged-${number}${end}`, { force: true });
}

/**
 * Does work that needs space. While the disk is full, deletes damaged files beside the outbox, the oldest first, and
 * tries again.
 */
export function makingRoom<T>(path: string, work: () => T): T {
  for (;;) {
    try {
      return work();
    } catch (error) {
      const copies = quarantined(path);
      if (copies.length === 0 || !isFullAt(path, error)) throw error;
      discard(path, Math.min(...copies));
    }
  }
}

/**
 * Keeps a damaged file for a week of running time. The hours are counted in the outbox that took its place: file times
 * are of a wall clock that may have been wrong, and may be set at any time, also while nobody runs who would notice.
 */
export class Quarantine {
  readonly #path: string;
  readonly #read: Statement<[], number | null>;
  readonly #add: Statement<[number]>;
  #countedMs = performance.now();
  #recent = false;

  constructor(path: string, db: SqliteDatabase) {
    this.#path = path;
    this.#read = db.prepare<[], number | null>('SELECT repaired_hours FROM outbox').pluck();
    this.#add = db.prepare<[number]>(`UPDATE outbox SET repaired_hours = min(${weekHours}, coalesce(repaired_hours, 0) + ?)`);
  }

  /**
   * Whether a file was set aside within the week, which is reported. Afterwards it is deleted, since it holds events
   * that were delivered long ago. Call it often.
   */
  keeps(): boolean {
    if (quarantined(this.#path).length === 0) return false;
    const hours = Math.floor((performance.now() - this.#countedMs) / hourMs);
    try {
      if (hours > 0 && this.#isCounting()) {
        this.#add.run(hours);
        this.#countedMs += hours * hourMs;
      }
      this.#recent = this.#isCounting();
      if (this.#read.get() === weekHours) for (const number of quarantined(this.#path)) discard(this.#path, number);
    } catch {
      // an outbox that cannot be used is reported elsewhere; what it last said holds
    }
    return this.#recent;
  }

  /** Where there are no hours yet, somebody deleted the outbox that took the place of the damaged file. */
  #isCounting(): boolean {
    return (this.#read.get() ?? 0) < weekHours;
  }
}
