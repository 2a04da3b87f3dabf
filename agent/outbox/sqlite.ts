// What every file of the outbox knows of SQLite. The only file that imports better-sqlite3.
import Database from 'better-sqlite3';
import { hasCode } from '../lib/errors.ts';
import { refuseJournal } from './beside.ts';

export type SqliteDatabase = Database.Database;
export type Statement<Bound extends unknown[] = unknown[], Result = unknown> = Database.Statement<Bound, Result>;
export type Prepare = (sql: string) => Statement;
export type OpenDatabase = (path: string, then?: 'migrate') => SqliteDatabase;

/** Opens a file as it is. Throws SQLite's error, or that of `refuseJournal`. */
export function openSqlite(path: string, options?: Database.Options): SqliteDatabase {
  refuseJournal(path);
  return new Database(path, options);
}

/** An empty database in memory. */
export const openInMemory = (): SqliteDatabase => new Database(':memory:');

/**
 * Whether an outbox error comes from a damaged or replaced file, so that opening it again can help. CORRUPTFS: a block
 * that the disk cannot read (EIO). ERROR: no statement here is wrong for an intact file.
 */
export function isDamage(error: unknown): boolean {
  return hasCode(error, /^SQLITE_(CORRUPT|NOTADB|IOERR_(SHORT_READ|CORRUPTFS)|READONLY_DBMOVED|DAMAGED|ERROR$)/);
}

/** Makes an error for which `isDamage` is true. */
export function damage(what: string): Error {
  return Object.assign(new Error(what), { code: 'SQLITE_DAMAGED' });
}

/**
 * What SQLite finds wrong in a file; undefined if it is sound. Indexes are compared with their tables: by a wrong one,
 * a label, boot or model is not found, or is taken for another. It takes no longer than `quick_check`, since no index
 * is on events.
 */
export function flawIn(db: SqliteDatabase): string | undefined {
  const said = String(db.pragma('integrity_check', { simple: true }));
  return said === 'ok' ? undefined : said;
}

/**
 * Brings the log into the file; true if all of it is there now. A reader may prevent it, or a checkpoint of the other
 * half, for which SQLite returns -1 and -1.
 */
export function bringIntoFile(db: SqliteDatabase): boolean {
  const [{ busy, log, checkpointed }] = db.pragma('wal_checkpoint(PASSIVE)') as [{ busy: number; log: number; checkpointed: number }];
  return busy === 0 && log >= 0 && log === checkpointed;
}

/** What a file holds, without the pages that are free for what comes next. */
export function usedBytes(db: SqliteDatabase): number {
  const read = (name: string) => db.pragma(name, { simple: true }) as number;
  return (read('page_count') - read('freelist_count')) * read('page_size');
}
