// Events that the broker refuses, by the courier: how often they are tried, and what becomes of the others. The publisher is a fake and the
// clock the test's own: reason codes of brokers are in network.test.ts.
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
    logger: { ...silentLogger, info: (_, message) => void said.push(message) },
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

test('all of 2,000 refused: over 75 minutes a few are tried, on one connection, and health says so all the while; allowed, all are there within ten minutes', async () => {
  const outbox = waiting(2000);
  const seen = start(outbox, refusal, 10_000); // as the courier has it: what has arrived is not to be found again
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
  expect([link.read().eventsRefused, seen.connections(), said]).toEqual([false, 1, ['connected', 'the broker takes events again']]);
  expect(new Set(seen.ids()).size).toBe(seen.ids().length);
});

test('every other of 4,000 refused: the rest is sent over one connection, and of those refused one after another is tried', async () => {
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
  outbox.append(recordedEvent(9001)); // of an odd number: taken, and no word on the others
  await soon(() => expect(outbox.fates()).toMatchObject({ sent: 2001 }));
  expect(link.read().eventsRefused).toBe(true);
  refuses = () => false;
  await pass(10);
  await soon(() => expect(outbox.pendingCount()).toBe(0));
  expect([link.read().eventsRefused, seen.connections(), seen.ids().length]).toEqual([false, 1, 4001]);
});

test('one refused for ever through a quiet night: what is heard in the morning does not wait', async () => {
  const outbox = waiting(1);
  refuses = (sequence) => sequence === 1;
  start(outbox);
  await pass(300, 10);
  expect(tries.length).toBeGreaterThan(20);
  outbox.append(recordedEvent(9001));
  await soon(() => expect(outbox.fates()).toMatchObject({ sent: 1 }));
});

test('the first 40 refused for ever: those behind them are sent in the end, and what is heard meanwhile', async () => {
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

test('the first 20 and the newest refused for ever, and nothing more is heard: those between are sent in the end', async () => {
  const outbox = waiting(60);
  refuses = (sequence) => sequence <= 20 || sequence === 60;
  start(outbox);
  await soon(() => expect(tries.length).toBeGreaterThanOrEqual(16));
  await pass(150, 10);
  await soon(() => expect(outbox.fates()).toMatchObject({ sent: 39 }));
});

test('the first 40 are what the sensor itself does not send: those behind them do not wait', async () => {
  const outbox = waiting(60);
  refuses = (sequence) => sequence <= 40;
  const seen = start(outbox, () => new UnsentError('Expected a message of the closed schema', 'look'));
  await soon(() => expect(outbox.fates()).toMatchObject({ sent: 20 }));
  expect(tries.length).toBe(60);
  expect([link.read().eventsRefused, seen.connections()]).toEqual([true, 1]);
});

test('once one that was refused is taken, those refused still are sent once more, not at each look', async () => {
  refuses = (sequence) => sequence <= 2;
  start(waiting(3));
  await soon(() => expect(tries).toEqual([1, 2, 3]));
  refuses = (sequence) => sequence === 2;
  await pass(1);
  const from = turns;
  await soon(() => expect(turns).toBeGreaterThan(from + 5));
  expect(tries.slice(3)).toEqual([1, 2]);
});

test('all refused, and the connection breaks: the next one begins with one try, and goes on once that is taken', async () => {
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
  expect(tries.at(-1), 'not the first again').toBeGreaterThan(16);
  await soon(() => expect(link.read().eventsRefused).toBe(true));
  refuses = () => false;
  await pass(10);
  await soon(() => expect(outbox.pendingCount()).toBe(0));
  expect(link.read().eventsRefused).toBe(false);
});

test('the trial of an event that was refused waits for room as any other: never more than 16 are under way', async () => {
  const outbox = waiting(160);
  let [underway, most, trials] = [0, 0, 0];
  startCourier(outbox, clock, {
    random: () => 0.5,
    async before({ topic, message }) {
      if (!topic.endsWith('/event')) return;
      most = Math.max(most, ++underway);
      aheadMs += 5000; // so that a trial is due again and again while the others are under way
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
