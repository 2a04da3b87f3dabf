// Damage to a page while the courier has the outbox open: SQLite believes it, and no check is made until the next start. The publisher is a
// fake that takes at once what the gate before the network lets through.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { topicsOf } from '../../agent/delivery/topics.ts';
import { closedForm } from '../../agent/events/published.ts';
import { UnsentError } from '../../agent/lib/errors.ts';
import { soon, startCourier } from '../support/courier.ts';
import { openPatient } from '../support/patient.ts';
import { fixedClock, hourSummary, recordedEvent } from '../support/samples.ts';

const topics = topicsOf('a', 'b');
let aheadMs = 0;
const clock = fixedClock({ monotonicMs: () => performance.now() + aheadMs, bootId: '11111111-2222-4333-8444-555555555555' }); // the stamps are of an earlier boot

test('an event and an hour whose time no date can tell hold up no others, and end no connection', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-impossible-')), 'outbox.db');
  const outbox = openPatient(path);
  for (let i = 1; i <= 40; i++) outbox.append(recordedEvent(i));
  for (let i = 1; i <= 4; i++) outbox.writeSummary(hourSummary({ beganMonotonicMs: i * 3_600_000 }));
  const db = new Database(path);
  db.pragma('ignore_check_constraints = ON');
  db.exec('UPDATE event SET onset_wall_ms = 9e15 WHERE sequence = 3; UPDATE hour_summary SET began_wall_ms = -9e15 WHERE sequence = 2');
  db.close();
  const gate = ({ topic, message }: { topic: string; message: object }) => {
    const published = topic === 'hour' ? topics.summary : topic;
    if (closedForm(topics)(published, JSON.stringify(message)) === undefined) throw new UnsentError('Expected a message of the closed schema', 'look');
  };
  const seen = startCourier(outbox, clock, { summaries: true, before: gate });
  await soon(() => expect(outbox.fates().sent).toBe(39));
  aheadMs += 60_000; // what was refused is passed over then
  await soon(() => expect(outbox.summaries(10).map(({ sequence }) => sequence)).toEqual([2]));
  expect(outbox.pending(0, 10).map(({ sequence }) => sequence)).toEqual([3]);
  expect(seen.connections()).toBe(1);
});
