import { readdirSync, readFileSync } from 'node:fs';
import type { SqliteDatabase } from './sqlite-database.ts';

const migrations = new URL('./migrations/', import.meta.url);
const farAhead = 1000; // no release is that many migrations ahead of another

/** Does `first`, then applies the numbered migrations that the file has not seen, all in one transaction; refuses a file from the future. */
export function migrate(db: SqliteDatabase, first: () => void = () => undefined): void {
  const files = migrationFiles();
  const apply = db.transaction(() => {
    const version = versionOf(db);
    if (version > files.length) throw new Error(`schema version ${version}, but this release knows up to ${files.length}`);
    first();
    for (const name of files.slice(version)) {
      db.exec(readFileSync(new URL(name, migrations), 'utf8'));
      db.pragma(`user_version = ${Number.parseInt(name, 10)}`);
    }
  });
  apply.immediate();
}

/**
 * Whether a file says a later schema version than this release knows, and it is not true: none is that far ahead, or the schema is the one of this release,
 * and each migration changes it.
 */
export function isFalseVersion(db: SqliteDatabase, openFresh: () => SqliteDatabase): boolean {
  const ahead = versionOf(db) - migrationFiles().length;
  return ahead > farAhead || (ahead > 0 && hasOurSchema(db, openFresh()));
}

/** Whether the tables, their columns and bounds are to the letter those that the migrations make in `fresh`, an empty database. */
export function hasOurSchema(db: SqliteDatabase, fresh: SqliteDatabase): boolean {
  const schemaOf = (of: SqliteDatabase) => JSON.stringify(of.prepare('SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name').raw().all());
  migrate(fresh);
  const same = schemaOf(db) === schemaOf(fresh);
  fresh.close();
  return same;
}

function migrationFiles(): string[] {
  return readdirSync(migrations)
    .filter((name) => /^\d{6}\.sql$/.test(name))
    .sort();
}

function versionOf(db: SqliteDatabase): number {
  return db.pragma('user_version', { simple: true }) as number;
}
