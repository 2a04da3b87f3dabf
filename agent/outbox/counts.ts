import { reading } from './readable-rows.ts';
import { isNumber, maxNumber } from './reserved-numbers.ts';
import type { SqliteDatabase } from './sqlite.ts';

const countsSql = `SELECT (SELECT count(*) FROM event) AS present,
  sum(events * CASE name WHEN 'stored' THEN 1 WHEN 'sent' THEN -1 WHEN 'expired' THEN -1 WHEN 'unreadable' THEN -1 ELSE 0 END) AS expected FROM fate`;

/**
 * Makes `stored = pending + sent + expired + unreadable` true again where it is not, by what is there: events that no count accounts for were stored, and
 * those that are counted and not there cannot be read. What waits is told from these counts, for to count it takes long.
 */
export function settleCounts(db: SqliteDatabase): void {
  const settle = db.transaction(() => {
    const { present, expected } = db.prepare(countsSql).get() as { present: number; expected: number };
    if (present === expected) return;
    const [fate, events] = present > expected ? ['stored', present - expected] : ['unreadable', expected - present];
    db.prepare('UPDATE fate SET events = events + ? WHERE name = ?').run(events, fate);
  });
  settle.immediate();
}

/**
 * Takes over the counts of a damaged file, of which `sound` events could be copied, and counts as unreadable what is missing. One that no number of
 * events can be is taken for one that cannot be read: the schema would refuse it, and with it everything that the repair has copied.
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
