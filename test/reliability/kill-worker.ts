// Stores events without end, one a minute of its own time, and prints each sequence number once append returned:
// kill-worker.ts OUTBOX FIRST [erase]. With `erase` each event is acknowledged and an hour passes before the next, so
// that the log is overwritten.
import { writeSync } from 'node:fs';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { hearingRecord, limits, recordedEvent } from '../support/samples.ts';

const [path = '', first = '1', erase] = process.argv.slice(2);
let aheadMs = 0;
if (erase) performance.now = () => aheadMs;
const outbox = openSqliteOutbox(path, limits, { repair: true, reserve: true });
for (let index = Number(first); ; index++) {
  if (outbox.append(recordedEvent(index)) === 'stored') writeSync(1, `${index}\n`);
  if (!erase) continue;
  outbox.acknowledge([index]);
  aheadMs += 3_600_000;
  outbox.writeHearing(hearingRecord());
}
