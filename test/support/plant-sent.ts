// Loaded into the agent by --import: all pending events of the outbox SENT_OUTBOX are marked as sent as soon as the
// last sequence number is read. It cannot show at which other moments a courier may send.
import Database from 'better-sqlite3';

const { prepare } = Database.prototype;
Database.prototype.prepare = function (this: Database.Database, sql: string) {
  if (sql.includes('sqlite_sequence')) {
    Database.prototype.prepare = prepare;
    const courier = new Database(process.env.SENT_OUTBOX);
    courier.exec("UPDATE fate SET events = (SELECT count(*) FROM event) WHERE name = 'sent'; DELETE FROM event");
    courier.close();
  }
  return prepare.call(this, sql);
} as typeof prepare;
