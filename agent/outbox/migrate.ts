import { readdirSync, readFileSync } from 'node:fs';
import { OutboxError } from '../lib/errors.ts';
import { openInMemory, type SqliteDatabase } from './sqlite.ts';

const migrations = new URL('./migrations/', import.meta.url);
const farAhead = 1000; // no release is that many migrations ahead of another

/** The file is of a later release: this one must not write it, nor say that all is well with it. */
export class LaterSchemaError extends OutboxError {}

/**
 * Runs `first`, then applies the numbered migrations that the file lacks, all in one transaction. Refuses a file of a
 * later release.
 */
export function migrate(db: SqliteDatabase, first: () => void = () => undefined): void {
  const apply = db.transaction(() => {
    refuseLater(db);
    first();
    for (const name of migrationFiles().slice(versionOf(db))) {
      db.exec(sqlOf(name));
      db.pragma(`user_version = ${Number.parseInt(name, 10)}`);
    }
  });
  apply.immediate();
}

/** Throws a LaterSchemaError. */
export function refuseLater(db: SqliteDatabase): void {
  const [version, known] = [versionOf(db), migrationFiles().length];
  if (version > known)
    throw new LaterSchemaError(
      `Expected schema version ${known} or an earlier one, got ${version}: ${db.name} is of a later release`,
      'install the later release again; nothing in the file was changed',
    );
}

/**
 * Whether a file claims a later schema version than this release knows, and that is false: the number is impossibly far
 * ahead, or the schema is that of this release or an earlier one, since each migration changes it.
 */
export function isFalseVersion(db: SqliteDatabase): boolean {
  const ahead = versionOf(db) - migrationFiles().length;
  return ahead > farAhead || (ahead > 0 && schemasOfReleases().includes(schemaOf(db)));
}

/** Whether tables, columns and bounds are exactly those that the migrations make in an empty database. */
export function hasOurSchema(db: SqliteDatabase): boolean {
  return schemasOfReleases().at(-1) === schemaOf(db);
}

/**
 * Whether it has the schema of a release up to this one, or none yet. Ask before anything else of a file: a view or a
 * constraint that somebody wrote into it would run, for ever or in any amount of memory.
 */
export function hasKnownSchema(db: SqliteDatabase): boolean {
  return [none, ...schemasOfReleases()].includes(schemaOf(db));
}

/** Whether it has the schema of an earlier release, which a half of this one migrates when it starts. */
export function hasEarlierSchema(db: SqliteDatabase): boolean {
  return schemasOfReleases().slice(0, -1).includes(schemaOf(db));
}

/** All schemas so far, made one after another in an empty database. */
function schemasOfReleases(): string[] {
  const fresh = openInMemory();
  const schemas = migrationFiles().map((name) => {
    fresh.exec(sqlOf(name));
    return schemaOf(fresh);
  });
  fresh.close();
  return schemas;
}

const none = '[]';

export const schemaSql = 'SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name';

function schemaOf(db: SqliteDatabase): string {
  return JSON.stringify(db.prepare(schemaSql).raw().all());
}

function sqlOf(name: string): string {
  return readFileSync(new URL(name, migrations), 'utf8');
}

function migrationFiles(): string[] {
  return readdirSync(migrations)
    .filter((name) => /^\d{6}\.sql$/.test(name))
    .sort();
}

function versionOf(db: SqliteDatabase): number {
  return db.pragma('user_version', { simple: true }) as number;
}
