// Works on an outbox as both processes do, and records in `marks` what was begun and what had returned:
// crash-worker.ts FOLDER EVENTS [normal]
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { seededRandom } from '../support/random.ts';
import { hearingRecord, limits, recordedEvent } from '../support/samples.ts';

const [folder = '', events = '100', plant] = process.argv.slice(2);
if (plant === 'normal') {
  const { pragma } = Database.prototype;
  Database.prototype.pragma = function (this: Database.Database, text: string, options) {
    return pragma.call(this, text.replace('synchronous = FULL', 'synchronous = NORMAL'), options);
  } as typeof pragma;
}
const marks = openSync(join(folder, 'marks'), 'a');
const mark = (what: object) => writeSync(marks, `${JSON.stringify(what)}\n`);
const random = seededRandom(20_261_120);
const path = join(folder, 'outbox.db');
let aheadMs = 0; // an hour passes with each hearing record, so that the log is overwritten
performance.now = () => aheadMs;
const listener = openSqliteOutbox(path, limits, { reserve: true });
const courier = openSqliteOutbox(path, limits);
let sequence = 0;
for (let i = 0; i < Number(events); ) {
  for (const burst = 1 + Math.floor(random() * 4), end = i + burst; i < end; i++) {
    mark({ append: sequence + 1, index: i, state: 'begun' });
    listener.append(recordedEvent(i));
    mark({ append: ++sequence, index: i, state: 'returned' });
  }
  const waiting = courier.pending(0, 16).map((e) => e.sequence);
  if (random() < 0.3 || waiting.length === 0) continue;
  const acknowledge = waiting.slice(0, 1 + Math.floor(random() * waiting.length));
  mark({ acknowledge, state: 'begun' });
  courier.acknowledge(acknowledge);
  mark({ acknowledge, state: 'returned' });
  if (random() > 0.1) continue;
  aheadMs += 3_600_000;
  listener.writeHearing(hearingRecord());
}
listener.close();
courier.close();
closeSync(marks);
