// How the courier learns that the listener has died, without a write: a lock that the kernel lets go with the process.
import { existsSync } from 'node:fs';
import { openDatabase, type SqliteDatabase } from './sqlite-database.ts';

const lockOf = (outboxPath: string) => `${outboxPath}.listener.lock`;

const withoutJournal = 'journal_mode = MEMORY'; // else each transaction makes a second file

/**
 * Holds the lock until the process ends or what is returned is called. PATH.listener.lock stays an empty file: a transaction that is
 * begun and writes nothing is but a lock. Throws what SQLite says: where it cannot be held, hearing goes on, and the courier finds nothing to ask.
 */
export function holdListenerLock(outboxPath: string): () => void {
  const db = openDatabase(lockOf(outboxPath));
  try {
    db.pragma(withoutJournal);
    db.exec('BEGIN EXCLUSIVE');
    held.add(db);
    return () => {
      held.delete(db);
      db.close();
    };
  } catch (error) {
    db.close();
    throw error;
  }
}

const held = new Set<SqliteDatabase>(); // a connection that is collected would let go

/** Whether a listener runs now; nothing where that cannot be known, as long as none has held the lock. */
export function openListenerProbe(outboxPath: string): () => boolean | undefined {
  const path = lockOf(outboxPath);
  let db: SqliteDatabase | undefined;
  return () => {
    if (!existsSync(path)) return undefined;
    try {
      db ??= openDatabase(path);
      db.pragma('busy_timeout = 0');
      db.pragma(withoutJournal);
      db.exec('BEGIN EXCLUSIVE; ROLLBACK');
      return false;
    } catch (error) {
      return (error as { code?: unknown }).code === 'SQLITE_BUSY' ? true : undefined;
    }
  };
}
