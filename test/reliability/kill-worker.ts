// Stores events without end, one a minute of its own time, and says each sequence number once append returned: kill-worker.ts OUTBOX FIRST
import { writeSync } from 'node:fs';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { limits, recordedEvent } from '../support/samples.ts';

const [path = '', first = '1'] = process.argv.slice(2);
const outbox = openSqliteOutbox(path, limits, { repair: true, reserve: true });
for (let index = Number(first); ; index++) {
  if (outbox.append(recordedEvent(index)) === 'stored') writeSync(1, `${index}\n`);
}
