import { existsSync, statSync } from 'node:fs';
import { isPipeOrDevice } from '../lib/regular-file.ts';
import { forgetBoots } from './boots.ts';
import { settleCounts } from './counts.ts';
import { createFile, isThere, refuseLink } from './files.ts';
import { hasWrongHeader, pageBytes } from './header.ts';
import { hasKnownSchema, hasOurSchema, isFalseVersion, migrate, refuseLater } from './migrate.ts';
import { isFalselyNumbered, skipLostNumbers } from './reserved-numbers.ts';
import { forgetSchema, isNoted, mendSchema, notedOf, noteSchema } from './schema-note.ts';
import { bringIntoFile, damage, flawIn, isDamage, openSqlite, type SqliteDatabase } from './sqlite.ts';
import { commitsBeyondDamage, lacksCommits } from './wal-check.ts';

export const busyMs = 5000; // how long another process that writes is waited for
export const halfBusyMs = 1000; // by a half, which tries again: a listener that waits for longer loses sound

/** Opens a file that stays empty: only its lock is used. Who takes it says for how long it waits. */
export function openLock(path: string): SqliteDatabase {
  createFile(path);
  return openSqlite(path);
}

export function openDatabase(path: string, then?: 'migrate'): SqliteDatabase {
  createFile(path);
  const db = openSqlite(path, { timeout: busyMs });
  try {
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

/**
 * Opens a file after every possible check, and migrates it. Throws an error for which `isDamage` is true if it is
 * damaged.
 */
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
 * Like `openChecked`, for the two halves: notes the pages of the schema beside the file if that has not been done,
 * which is once in the life of a file. If it cannot be done, as on a full disk, or if the other half has just done it,
 * the outbox is opened all the same.
 */
export function openNoted(path: string): SqliteDatabase {
  const db = openChecked(path);
  let reader: SqliteDatabase | undefined;
  try {
    const noted = notedOf(db);
    if (isNoted(path, noted)) return db;
    forgetSchema(path);
    // a connection that has only read leaves the log if it closes last; where the log is gone, reserved numbers count
    // as lost
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
  if (isThere(`${path}.new`)) throw damage('a repair has begun');
  return openDatabase(path);
}

/** Damage that shows before SQLite opens the file, and may not show afterwards. */
function checkFiles(path: string): void {
  refuseLink(path);
  if (isThere(`${path}.new`)) throw damage('a repair was interrupted');
  // looked at twice: while it is read, another process may begin the log anew
  if (commitsBeyondDamage(`${path}-wal`) > 1 && commitsBeyondDamage(`${path}-wal`) > 1) throw damage('the write-ahead log is damaged');
  if (lacksCommits(path)) throw damage('the write-ahead log lacks what was written to it');
  if (bytesOf(path) === 0 && bytesOf(`${path}-wal`) > 0) throw damage('the file of a write-ahead log is empty or gone');
  if (hasWrongHeader(path)) throw damage('the header is damaged');
}

function check(db: SqliteDatabase, path: string): void {
  if (isFalseVersion(db)) throw damage('no release has its schema version');
  refuseLater(db); // before what takes long, for it is tried again every second
  if (!hasKnownSchema(db)) throw damage('the schema is not one of a release');
  if (flawIn(db)) throw damage('the file is damaged');
  migrate(db, () => skipLostNumbers(db, path));
  if (!hasOurSchema(db)) throw damage('the schema is not the one of this release');
  // reads join these tables: a row that refers to a missing one would wait for ever, unnoticed
  if (db.prepare('SELECT 1 FROM pragma_foreign_key_check LIMIT 1').get()) throw damage('a row refers to one that is not there');
  if (isFalselyNumbered(db)) throw damage('the number given out last is not right');
  settleCounts(db);
  forgetBoots(db);
}

/**
 * Whether the file is sound, if necessary after its schema pages are put back; false if its log is damaged too, which
 * would no longer show. Throws what keeps it from being examined.
 */
export function isSound(path: string): boolean {
  return (
    isRight(() => openChecked(path).close()) || (isRight(() => checkFiles(path)) && mendSchema(path, openDatabase) && isRight(() => openChecked(path).close()))
  );
}

/** Whether a check finds no damage. Throws what prevents the check: a full disk, or the other half. */
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

/**
 * Opens for reading only: nothing is created, migrated or repaired. Throws SQLite's error, EISDIR for a folder, or an
 * Error for a pipe.
 */
export function openReadOnly(path: string): SqliteDatabase {
  const found = existsSync(path) ? statSync(path) : undefined; // none if this user may not look: SQLite tells that
  if (found && isPipeOrDevice(found)) throw new Error('a pipe or a device'); // it would wait for somebody who writes
  if (found?.isDirectory()) throw Object.assign(new Error('EISDIR: illegal operation on a directory, read'), { code: 'EISDIR' }); // SQLite calls it a disk I/O error
  return openSqlite(path, { readonly: true, fileMustExist: true, timeout: 2000 });
}

/**
 * Opens for checking rows against their constraints, without changes. A read-only connection does not read the
 * constraints at all.
 */
export function openForCheck(path: string): SqliteDatabase {
  const db = openSqlite(path, { fileMustExist: true, timeout: 2000 });
  db.pragma('query_only = ON');
  return db;
}
