import { existsSync, statSync } from 'node:fs';
import { forgetBoots } from './boots.ts';
import { settleCounts } from './counts.ts';
import { hasWrongHeader, pageBytes } from './header.ts';
import { hasOurSchema, isFalseVersion, migrate, refuseLater } from './migrate.ts';
import { createFile } from './repair.ts';
import { isFalselyNumbered, skipLostNumbers } from './reserved-numbers.ts';
import { forgetSchema, isNoted, mendSchema, notedOf, noteSchema } from './schema-note.ts';
import { bringIntoFile, damage, flawIn, isDamage, openSqlite, type SqliteDatabase } from './sqlite.ts';
import { commitsBeyondDamage, lacksCommits } from './wal-check.ts';

export const busyMs = 5000; // how long another process that writes is waited for

export function openDatabase(path: string, then?: 'migrate'): SqliteDatabase {
  createFile(path);
  const db = openSqlite(path, { timeout: busyMs });
  try {
    if (path.endsWith('.lock')) return db;
    db.pragma(`page_size = ${pageBytes}`);
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.pragma('foreign_keys = ON');
    db.pragma('secure_delete = ON');
    if (then) migrate(db);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Opens a file after every check that can be made of it, and brings it to the present schema. Throws what `isDamage` where it is damaged. */
export function openChecked(path: string): SqliteDatabase {
  checkFiles(path);
  let db: SqliteDatabase | undefined;
  try {
    db = openDatabase(path);
    check(db, path);
    return db;
  } catch (error) {
    db?.close();
    throw error;
  }
}

/**
 * As `openChecked`, for the two halves: where the pages of its schema are not noted beside it, they are. That is once in the life of a file. Where it cannot
 * be, as on a full disk, or where the other half has just done it, the outbox is open all the same.
 */
export function openNoted(path: string): SqliteDatabase {
  const db = openChecked(path);
  let reader: SqliteDatabase | undefined;
  try {
    const noted = notedOf(db);
    if (isNoted(path, noted)) return db;
    forgetSchema(path);
    // one that only reads, and has read, leaves the log where it is the last to close: where that is gone, numbers that are reserved are held for lost
    reader = openReadOnly(path);
    reader.pragma('schema_version');
    if (!bringIntoFile(db)) return db; // some of it stands in the log alone
    db.close();
    reader.close();
    noteSchema(path, noted);
  } catch {
    // then at the next start
  } finally {
    reader?.close();
  }
  if (db.open) return db;
  if (existsSync(`${path}.new`)) throw damage('a repair has begun');
  return openDatabase(path);
}

/** What shows before SQLite opens the file, and may not after that. */
function checkFiles(path: string): void {
  if (existsSync(`${path}.new`)) throw damage('a repair was interrupted');
  if (commitsBeyondDamage(`${path}-wal`) > 1 && commitsBeyondDamage(`${path}-wal`) > 1) throw damage('the write-ahead log is damaged');
  if (lacksCommits(path)) throw damage('the write-ahead log lacks what was written to it');
  if (bytesOf(path) === 0 && bytesOf(`${path}-wal`) > 0) throw damage('the file of a write-ahead log is empty or gone');
  if (hasWrongHeader(path)) throw damage('the header is damaged');
}

function check(db: SqliteDatabase, path: string): void {
  if (isFalseVersion(db, openInMemory)) throw damage('no release has its schema version');
  refuseLater(db); // before what takes long, for it is tried again every second
  if (flawIn(db)) throw damage('the file is damaged');
  migrate(db, () => skipLostNumbers(db, path));
  if (!hasOurSchema(db, openInMemory())) throw damage('the schema is not the one of this release');
  // reading joins them: what refers to a row that is not there would wait for ever, and nobody would know
  if (db.prepare('SELECT 1 FROM pragma_foreign_key_check LIMIT 1').get()) throw damage('a row refers to one that is not there');
  if (isFalselyNumbered(db)) throw damage('the number given out last is not right');
  settleCounts(db);
  forgetBoots(db);
}

/** Whether nothing is wrong with it, if only once the pages of its schema are put back; not where its log is damaged too, which would no longer show. Throws what keeps it from being looked at. */
export function isSound(path: string): boolean {
  return (
    isRight(() => openChecked(path).close()) || (isRight(() => checkFiles(path)) && mendSchema(path, openDatabase) && isRight(() => openChecked(path).close()))
  );
}

/** Whether a check finds no damage. Throws what keeps it from being made: a full disk, or the other half. */
function isRight(check: () => void): boolean {
  try {
    check();
    return true;
  } catch (error) {
    if (!isDamage(error)) throw error;
    return false;
  }
}

function bytesOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** Opened to look into only: nothing is made, migrated or repaired. Throws what SQLite says. */
export function openReadOnly(path: string): SqliteDatabase {
  return openSqlite(path, { readonly: true, fileMustExist: true, timeout: 2000 });
}

/** Opened to check rows against their constraints, and changing nothing: a read-only connection does not read the constraints at all. */
export function openForCheck(path: string): SqliteDatabase {
  const db = openSqlite(path, { fileMustExist: true, timeout: 2000 });
  db.pragma('query_only = ON');
  return db;
}

/** An empty database that is in no file. */
export function openInMemory(): SqliteDatabase {
  return openSqlite(':memory:');
}
