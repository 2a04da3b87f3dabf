// How often the courier tries refused events, and what happens to the others. The publisher is a fake and the clock
// is simulated; network.test.ts has the reason codes of brokers.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test, vi } from 'vitest';
import { type Link, openLink } from '../../agent/delivery/link.ts';
import { BrokerError, UnsentError } from '../../agent/lib/errors.ts';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { layBacklog } from '../support/backlog.ts';
import { soon, startCourier } from '../support/courier.ts';
import { openPatient } from '../support/patient.ts';
import { fixedClock, limits, recordedEvent, silentLogger } from '../support/samples.ts';

const minuteMs = 60_000;
let aheadMs: number;
let refuses: (sequence: number) => boolean;
let tries: number[];
let turns: number;
let link: Link;
let said: string[];
beforeEach(() => {
  aheadMs = 0;
  refuses = () => true;
  tries = [];
  turns = 0;
  said = [];
  link = openLink(() => undefined);
});
const clock = fixedClock({ monotonicMs: () => performance.now() + aheadMs });
const refusal = () => new BrokerError('Expected a PUBACK, got reason code 135', 'check the ACL', true);

function waiting(count: number): Outbox {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-refusals-')), 'outbox.db');
  openSqliteOutbox(path, limits).close();
  layBacklog(path, count, (i) => recordedEvent(i));
  return openPatient(path);
}
const start = (outbox: Outbox, error: () => Error = refusal, acknowledgeWithinMs = 0) =>
  startCourier(outbox, clock, {
    link,
    logger: { ...silentLogger, info: (_, message) => void said.push(message), error: (_, message) => void said.push(message) },
    random: () => 0.5,
    acknowledgeWithinMs,
    progress: () => void turns++,
    before({ topic, message }) {
      if (!topic.endsWith('/event')) return;
      tries.push(message.data.sequence);
      if (refuses(message.data.sequence)) throw error();
    },
  });
async function pass(minutes: number, step = 1): Promise<void> {
  for (let i = 0; i < minutes; i += step) {
    aheadMs += step * minuteMs;
    const from = turns;
    await soon(() => expect(turns).toBeGreaterThan(from + 2));
  }
}

test('while all of 2,000 events are refused, few are tried; once allowed, all arrive within ten minutes over one connection', async () => {
  const outbox = waiting(2000);
  const seen = start(outbox, refusal, 10_000); // the courier's own setting: acknowledged events must not be found again
  await soon(() => expect(tries.length).toBeGreaterThanOrEqual(16));
  const refusing = vi.spyOn(link, 'refusing');
  await pass(75);
  expect(tries.length).toBeGreaterThan(20);
  expect(tries.length).toBeLessThan(60);
  expect(refusing.mock.calls.every(([why]) => why === 'refused')).toBe(true);
  expect([link.read(), outbox.pendingCount(), seen.connections()]).toEqual([
    { connections: 1, lastFault: 'none', eventsRefused: true, eventRefusal: 'refused' },
    2000,
    1,
  ]);
  refuses = () => false;
  await pass(10);
  await soon(() => expect(outbox.fates()).toMatchObject({ sent: 2000 }));
  expect([link.read().eventsRefused, seen.connections(), said]).toEqual([
    false,
    1,
    ['connected', expect.stringContaining('refuses'), 'the broker takes events again'],
  ]);
  expect(new Set(seen.ids()).size).toBe(seen.ids().length);
});

test('with every second of 4,000 events refused, the others are sent, and refused ones are retried one at a time', async () => {
  const outbox = waiting(4000);
  refuses = (sequence) => sequence % 2 === 0;
  const seen = start(outbox);
  await soon(() => expect(outbox.fates()).toMatchObject({ sent: 2000 }));
  await soon(() => expect(tries).toHaveLength(4000));
  await pass(30);
  const again = tries.slice(4000);
  expect(again.length).toBeGreaterThan(3);
  expect(again.length).toBeLessThan(20);
  expect(new Set(again).size).toBe(again.length);
  expect([link.read().eventsRefused, seen.connections()]).toEqual([true, 1]);
  outbox.append(recordedEvent(9001)); // an odd number: accepted, which says nothing about the refused ones
  await soon(() => expect(outbox.fates()).toMatchObject({ sent: 2001 }));
  expect(link.read().eventsRefused).toBe(true);
  refuses = () => false;
  await pass(10);
  await soon(() => expect(outbox.pendingCount()).toBe(0));
  expect([link.read().eventsRefused, seen.connections(), seen.ids().length]).toEqual([false, 1, 4001]);
});

test('a new event is sent at once after one event was refused for hours', async () => {
  const outbox = waiting(1);
  refuses = (sequence) => sequence === 1;
  start(outbox);
  await pass(300, 10);
  expect(tries.length).toBeGreaterThan(20);
  outbox.append(recordedEvent(9001));
  await soon(() => expect(outbox.fates()).toMatchObject({ sent: 1 }));
});

test('with the first 40 events always refused, the later ones and new events are sent within 20 minutes', async () => {
  const outbox = waiting(60);
  refuses = (sequence) => sequence <= 40;
  const seen = start(outbox);
  await soon(() => expect(tries.length).toBeGreaterThanOrEqual(16));
  outbox.append(recordedEvent(9001));
  await pass(20);
  await soon(() => expect(outbox.fates()).toMatchObject({ sent: 21 }));
  expect(outbox.pendingCount()).toBe(40);
  expect(seen.connections()).toBe(1);
});

test('with the first 20 events and the newest always refused, those between are sent in the end', async () => {
  const outbox = waiting(60);
  refuses = (sequence) => sequence <= 20 || sequence === 60;
  start(outbox);
  await soon(() => expect(tries.length).toBeGreaterThanOrEqual(16));
  await pass(150, 10);
  await soon(() => expect(outbox.fates()).toMatchObject({ sent: 39 }));
});

test('events that the sensor itself refuses do not delay later ones', async () => {
  const outbox = waiting(60);
  refuses = (sequence) => sequence <= 40;
  const seen = start(outbox, () => new UnsentError('Expected a message of the closed schema', 'look'));
  await soon(() => expect(outbox.fates()).toMatchObject({ sent: 20 }));
  expect(tries.length).toBe(60);
  expect([link.read().eventsRefused, seen.connections()]).toEqual([true, 1]);
});

test('once a refused event is accepted, the other refused events are tried once more', async () => {
  refuses = (sequence) => sequence <= 2;
  start(waiting(3));
  await soon(() => expect(tries).toEqual([1, 2, 3]));
  refuses = (sequence) => sequence === 2;
  await pass(1);
  const from = turns;
  await soon(() => expect(turns).toBeGreaterThan(from + 5));
  expect(tries.slice(3)).toEqual([1, 2]);
});

test('after a broken connection while all events are refused, the next one begins with a single try', async () => {
  const outbox = waiting(100);
  let breaks = false;
  const seen = start(outbox, () => (breaks ? new BrokerError('Expected a PUBACK, got a broken connection', 'wait', false) : refusal()));
  await soon(() => expect(tries.length).toBeGreaterThanOrEqual(16));
  breaks = true;
  await pass(2);
  await soon(() => expect(seen.connections()).toBeGreaterThanOrEqual(2));
  breaks = false;
  const before = tries.length;
  await soon(() => expect(tries.length).toBeGreaterThan(before));
  const from = turns;
  await soon(() => expect(turns).toBeGreaterThan(from + 5));
  expect(tries.length).toBe(before + 1);
  expect(tries.at(-1), 'not the first event again').toBeGreaterThan(16);
  await soon(() => expect(link.read().eventsRefused).toBe(true));
  refuses = () => false;
  await pass(10);
  await soon(() => expect(outbox.pendingCount()).toBe(0));
  expect(link.read().eventsRefused).toBe(false);
});

test('retries of a refused event count towards the limit of 16 in flight', async () => {
  const outbox = waiting(160);
  let [underway, most, trials] = [0, 0, 0];
  startCourier(outbox, clock, {
    random: () => 0.5,
    async before({ topic, message }) {
      if (!topic.endsWith('/event')) return;
      most = Math.max(most, ++underway);
      aheadMs += 5000; // so that a retry becomes due again and again while the others are in flight
      await new Promise((resolve) => setTimeout(resolve, 350)); // longer than the loop waits
      underway--;
      if (message.data.sequence !== 1) return;
      trials++;
      throw refusal();
    },
  });
  await soon(() => expect(outbox.fates().sent).toBe(159));
  expect(trials).toBeGreaterThan(3);
  expect(most).toBe(16);
});
