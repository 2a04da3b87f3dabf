import { reading } from './readable-rows.ts';
import { isNumber, maxNumber } from './reserved-numbers.ts';
import type { SqliteDatabase } from './sqlite.ts';

const countsSql = `SELECT (SELECT count(*) FROM event) AS present,
  sum(events * CASE name WHEN 'stored' THEN 1 WHEN 'sent' THEN -1 WHEN 'expired' THEN -1 WHEN 'unreadable' THEN -1 ELSE 0 END) AS expected FROM fate`;

const holesSql = `INSERT OR REPLACE INTO gap (first, last, reason)
  SELECT coalesce((SELECT max(sequence) FROM event WHERE sequence < next), 0) + 1, next - 1, 'unreadable'
  FROM (SELECT sequence AS next FROM event UNION ALL SELECT seq + 1 FROM sqlite_sequence WHERE name = 'event')
  WHERE next > 1 AND next - 1 NOT IN (SELECT sequence FROM event)`;

/**
 * Restores `stored = pending + sent + expired + unreadable` if it does not hold, by the rows that exist: events that no
 * count covers were stored, and events that are counted but missing cannot be read. Which of the numbers without an
 * event were sent is not known: all of them become gaps, as in a repair. The number of pending events is derived from
 * these counts, since counting rows takes long.
 */
export function settleCounts(db: SqliteDatabase): void {
  const settle = db.transaction(() => {
    const { present, expected } = db.prepare(countsSql).get() as { present: number; expected: number };
    if (present === expected) return;
    const [fate, events] = present > expected ? ['stored', present - expected] : ['unreadable', expected - present];
    db.prepare('UPDATE fate SET events = events + ? WHERE name = ?').run(events, fate);
    if (fate === 'unreadable') db.exec(holesSql);
  });
  settle.immediate();
}

/**
 * Takes over the counts of a damaged file of which `sound` events could be copied, and counts what is missing as
 * unreadable. An impossible count is treated as unreadable: the schema would refuse it, and with it the whole repair.
 */
export function copyCounts(from: SqliteDatabase, to: SqliteDatabase, sound: number): { unreadable: number; areCountsRight: boolean } {
  const read = (name: string) => {
    const events = reading(() => from.prepare('SELECT events FROM fate WHERE name = ?').pluck().get(name));
    return isNumber(events, maxNumber) ? events : undefined;
  };
  const counts = ['stored', 'sent', 'expired', 'refused', 'dropped', 'unreadable'].map((name) => [name, read(name)] as const);
  const fates = new Map(counts.map(([name, events]) => [name, events ?? 0]));
  const of = (name: string) => fates.get(name) ?? 0;
  const present = of('sent') + of('expired') + of('unreadable') + sound;
  const areCountsRight = counts.every(([, events]) => events !== undefined) && of('stored') >= present;
  const unreadable = Math.max(0, of('stored') - present);
  fates.set('stored', present + unreadable);
  fates.set('unreadable', of('unreadable') + unreadable);
  for (const [name, events] of fates) to.prepare('UPDATE fate SET events = ? WHERE name = ?').run(events, name);
  return { unreadable, areCountsRight };
}
