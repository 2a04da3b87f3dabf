import Database from 'better-sqlite3';
import type { RecordedEvent } from '../../agent/events/event.ts';
import { insertSql, toRow } from '../../agent/outbox/rows.ts';

/** Adds events to an existing outbox in one transaction: they are stored as after months, without a sync for each. */
export function layBacklog(path: string, count: number, event: (index: number) => RecordedEvent): void {
  const db = new Database(path);
  db.pragma('journal_mode = WAL');
  const insert = db.prepare(insertSql);
  const boot = db.prepare('INSERT OR IGNORE INTO boot (boot_id) VALUES (?)');
  const model = db.prepare('INSERT OR IGNORE INTO model (name, version) VALUES (?, ?)');
  const rate = db.prepare("SELECT sql FROM sqlite_master WHERE name = 'event_rate'").pluck().get() as string;
  db.transaction(() => {
    db.exec('DROP TRIGGER event_rate'); // it limits the events per minute, and would run for every row
    for (let i = 0; i < count; i++) {
      const next = event(i);
      boot.run(next.bootId);
      model.run(next.model.name, next.model.version);
      insert.run(toRow(next));
    }
    db.exec(rate);
    db.prepare("UPDATE fate SET events = events + ? WHERE name = 'stored'").run(count);
  })();
  db.close();
}
