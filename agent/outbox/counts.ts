import type { SqliteDatabase } from './sqlite-database.ts';

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
