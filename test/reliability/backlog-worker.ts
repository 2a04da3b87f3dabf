// Stores an event every INTERVAL ms, as the listener does, and prints each sequence number with the time:
// backlog-worker.ts OUTBOX INTERVAL
import { setInterval } from 'node:timers';
import { systemClock } from '../../agent/lib/clock.ts';
import { openPatientOutbox } from '../../agent/outbox/patient-outbox.ts';
import { isDamage } from '../../agent/outbox/sqlite.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { limits, recordedEvent, silentLogger } from '../support/samples.ts';

const [path = '', interval = '500'] = process.argv.slice(2);
const clock = systemClock();
const open = () => openSqliteOutbox(path, { ...limits, maxMegabytes: 1000, maxEventsPerMinute: 60 }, { repair: true });
const outbox = openPatientOutbox({ path, open, isDamage, logger: silentLogger });
setInterval(() => {
  const beganMs = Date.now();
  const heard = recordedEvent(0, { onsetWallMs: beganMs, onsetMonotonicMs: clock.monotonicMs(), bootId: clock.bootId });
  if (outbox.append(heard) === 'stored') process.stdout.write(`${outbox.newest()} ${beganMs}\n`);
}, Number(interval));
