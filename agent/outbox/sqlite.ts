// What every file of the outbox knows of SQLite. The only file that imports better-sqlite3.
import Database from 'better-sqlite3';
import { hasCode } from '../lib/errors.ts';

export type SqliteDatabase = Database.Database;
export type Statement<Bound extends unknown[] = unknown[], Result = unknown> = Database.Statement<Bound, Result>;
export type OpenDatabase = (path: string, then?: 'migrate') => SqliteDatabase;

/** Opens a file as it is. */
export const openSqlite = (path: string, options?: Database.Options): SqliteDatabase => new Database(path, options);

/**
 * Whether an outbox error comes from a damaged or replaced file, so that opening it again can help. CORRUPTFS: a block that the disk cannot read (EIO). ERROR: no
 * statement here is wrong for a file that is what it says.
 */
export function isDamage(error: unknown): boolean {
  return hasCode(error, /^SQLITE_(CORRUPT|NOTADB|IOERR_(SHORT_READ|CORRUPTFS)|READONLY_DBMOVED|DAMAGED|ERROR$)/);
}

/** An error that `isDamage`. */
export function damage(what: string): Error {
  return Object.assign(new Error(what), { code: 'SQLITE_DAMAGED' });
}

/**
 * What SQLite finds wrong in a file; nothing where it is sound. What an index says is held against its table: by a false one a label, a boot or a model is not found, or
 * taken for another. It takes no longer than `quick_check`, for no index is of events.
 */
export function flawIn(db: SqliteDatabase): string | undefined {
  const said = String(db.pragma('integrity_check', { simple: true }));
  return said === 'ok' ? undefined : said;
}

/** Whether all that stands in the log stands in the file as well now: a reader may be in the way, or a checkpoint of the other half, for which SQLite says -1 and -1. */
export function bringIntoFile(db: SqliteDatabase): boolean {
  const [{ busy, log, checkpointed }] = db.pragma('wal_checkpoint(PASSIVE)') as [{ busy: number; log: number; checkpointed: number }];
  return busy === 0 && log >= 0 && log === checkpointed;
}
