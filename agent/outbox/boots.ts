import type { SqliteDatabase } from './sqlite.ts';

export const mostBoots = 64; // to look for those to forget is to read all events
export const keptBoots = 16; // the newest, this one among them

/**
 * Forgets boots that nothing refers to: one for each boot would in the end take the space of events. References are
 * read from the schema, to which a later release may have added.
 */
export function forgetBoots(db: SqliteDatabase): void {
  try {
    if ((db.prepare('SELECT count(*) FROM boot').pluck().get() as number) <= mostBoots) return;
    db.pragma('foreign_keys = OFF'); // else each that goes is looked for among all events
    db.transaction(() => {
      const references = 'SELECT t.name, f."from" FROM sqlite_master AS t JOIN pragma_foreign_key_list(t.name) AS f WHERE f."table" = \'boot\'';
      const used = (db.prepare(references).raw().all() as [string, string][])
        .map(([table, column]) => `SELECT ${column} FROM ${table} WHERE ${column} IS NOT NULL`)
        .join(' UNION ');
      db.exec(`DELETE FROM boot WHERE id NOT IN (${used} UNION SELECT * FROM (SELECT id FROM boot ORDER BY id DESC LIMIT ${keptBoots}))`);
    }).immediate();
  } catch {
    // the disk takes nothing: at the next start
  } finally {
    db.pragma('foreign_keys = ON');
  }
}
