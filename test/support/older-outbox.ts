// Outboxes as left by an older release.
import { readdirSync, readFileSync } from 'node:fs';
import Database from 'better-sqlite3';
import { bootId } from './samples.ts';

const folder = 'agent/outbox/migrations';
const migrations = readdirSync(folder).sort();

/** The number of schema versions; the last is that of this release. */
export const versions = migrations.length;

export const otherBoot = '1b6f1c2e-7d3a-4f5b-9c8d-1e2f3a4b5c6d';
export const olderId = '0123456789abcdef';
export const beganWallMs = 1_790_000_000_000;

/** Turns a file into one of a later release, with a column unknown to this one. */
export function sayLater(path: string): void {
  const db = new Database(path);
  db.exec('ALTER TABLE event ADD COLUMN bearing INTEGER');
  db.pragma(`user_version = ${versions + 1}`);
  db.close();
}

/**
 * Creates a file of schema version `version` with rows in each of its tables: events 1 to 300 of two boots and two
 * models, of which 1 to 100 were sent and 101 to 110 have expired (a gap, if the version has gaps). Numbers continue
 * after 302, since two more were sent. Summaries 3 to 5 are pending. The file stays open, with a write-ahead log,
 * until the caller closes it.
 */
export function openOlderOutbox(path: string, version: number): Database.Database {
  const db = new Database(path);
  db.pragma('page_size = 1024');
  db.pragma('journal_mode = WAL');
  db.pragma('synchronous = FULL');
  db.pragma('foreign_keys = ON');
  db.transaction(() => {
    for (const name of migrations.slice(0, version)) db.exec(readFileSync(`${folder}/${name}`, 'utf8'));
    db.pragma(`user_version = ${version}`);
  })();
  db.transaction(() => {
    db.exec(`UPDATE outbox SET id = '${olderId}'`);
    db.exec(`INSERT INTO boot (boot_id) VALUES ('${bootId}'), ('${otherBoot}')`);
    db.exec("INSERT INTO model (name, version) VALUES ('street', '0.1.0'), ('street', '0.2.0')");
    const insert = db.prepare('INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, 400, 900, 18, ?, 900, 100, 50)');
    for (let i = 1; i <= 302; i++)
      insert.run(i, 1 + (i % 3), i > 200 ? 2 : 1, i > 250 ? 2 : 1, Date.UTC(2026, 10, 20, 10) + i * 60_000, i * 60_000, i % 2, i % 5 ? null : 80);
    db.exec('DELETE FROM event WHERE sequence <= 110 OR sequence > 300');
    db.exec("UPDATE fate SET events = CASE name WHEN 'stored' THEN 302 WHEN 'sent' THEN 102 WHEN 'expired' THEN 10 WHEN 'refused' THEN 7 ELSE 0 END");
    if (version >= 2) db.exec("INSERT INTO gap VALUES (101, 110, 'too_old')");
    if (version >= 3) {
      db.exec(`INSERT INTO hearing VALUES (1, 2, 2, 7200000, 3000, 'listening', 'none', 'covered', 7100000, 480, 3, 2, -58${version >= 11 ? ', 300' : ''})`);
      for (let hour = 0; hour < 24; hour++) db.exec(`INSERT INTO usual_level VALUES (${hour}, 56, -6025, -3000)`);
    }
    if (version >= 4) {
      for (let hour = 1; hour <= 5; hour++)
        db.exec(`INSERT INTO hour_summary VALUES (${hour}, 1, 2, 1790000000000, ${hour * 3_600_000}, 1, 3600000, 3590000, 0, 4, 1, -4820, -4600, -6150, NULL)`);
      db.exec('DELETE FROM hour_summary WHERE sequence <= 2');
    }
    if (version >= 5) db.exec(`UPDATE boot SET began_wall_ms = ${beganWallMs} WHERE id = 1`);
    if (version >= 6)
      db.exec(
        'INSERT INTO listening_day (day, model, strict, first_utc_day, last_utc_day, listened_ms) VALUES (4, 2, 0, 20700, 20701, 86400000); INSERT INTO would_be_event VALUES (4, 2, 17, 9), (4, 3, 20, 2)',
      );
    if (version >= 10) db.exec('UPDATE listening_day SET recognition = 281474976710655');
  })();
  return db;
}
