// What the courier does with an outbox that changes, and with temporary refusals. The publisher is a fake that
// accepts or refuses at once; network.test.ts and link.test.ts show brokers and networks.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { BrokerError, OutboxError } from '../../agent/lib/errors.ts';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { openPatientOutbox } from '../../agent/outbox/patient-outbox.ts';
import { isDamage } from '../../agent/outbox/sqlite.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { layBacklog } from '../support/backlog.ts';
import { type CourierFakes, soon, startCourier } from '../support/courier.ts';
import { openPatient } from '../support/patient.ts';
import { fixedClock, hourSummary, limits, recordedEvent, silentLogger } from '../support/samples.ts';

let path: string;
let aheadMs: number;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'tocsin-courier-')), 'outbox.db');
  aheadMs = 0;
});
const clock = fixedClock({ monotonicMs: () => performance.now() + aheadMs });
const refusal = () => new BrokerError('Expected a PUBACK, got reason code 151', 'wait', true);

const start = (outbox: Outbox, change: Partial<CourierFakes> = {}, before?: CourierFakes['before']) => startCourier(outbox, clock, { ...change, before });

describe('after a repair replaced the outbox by one with another id and restarted numbers', () => {
  function replace(): Outbox {
    writeFileSync(path, 'this was a database once\n'.repeat(400));
    for (const end of ['-wal', '-shm']) rmSync(`${path}${end}`, { force: true });
    return openPatient(path); // as the other process does
  }

  test('its events are sent over the existing connection, with the new id', async () => {
    const [listener, courier] = [openPatient(path), openPatient(path)];
    for (let i = 1; i <= 50; i++) listener.append(recordedEvent(i));
    const seen = start(courier);
    await soon(() => expect(courier.fates().sent).toBe(50));
    const repaired = replace();
    for (let i = 101; i <= 105; i++) repaired.append(recordedEvent(i));
    await soon(() => expect(seen.ids()).toHaveLength(55));
    expect(seen.ids().slice(50)).toEqual([1, 2, 3, 4, 5].map((n) => `${repaired.id}-${n}`));
    expect(seen.connections()).toBe(1);
    await soon(() => expect(repaired.fates()).toMatchObject({ stored: 5, sent: 5 }));
  });

  test.each(['the courier waits with them', 'the disk had taken no deletes'])(
    'acknowledgements of the old outbox delete nothing in the new one, where %s',
    async (where) => {
      const listener = openPatient(path);
      let full = where.startsWith('the disk');
      const open = () => {
        const inner = openSqliteOutbox(path, limits, { repair: true });
        const { acknowledge } = inner;
        inner.acknowledge = (sequences) => {
          if (full) throw new OutboxError('Expected to write the outbox, got: a full disk', 'free space');
          acknowledge.call(inner, sequences);
        };
        return inner;
      };
      const courier = openPatientOutbox({ path, open, isDamage, logger: silentLogger, retryMs: 50 });
      onTestFinished(() => courier.close());
      for (let i = 1; i <= 5; i++) listener.append(recordedEvent(i));
      const seen = start(courier, { acknowledgeWithinMs: full ? 0 : 1500 });
      await soon(() => expect(seen.ids()).toHaveLength(5));
      const repaired = replace();
      for (let i = 101; i <= 103; i++) repaired.append(recordedEvent(i));
      full = false;
      await soon(() => expect(repaired.fates().sent).toBe(3));
      expect(seen.ids().slice(5)).toEqual([1, 2, 3].map((n) => `${repaired.id}-${n}`));
    },
  );

  test('a PUBACK for a gap and a summary of the old outbox deletes nothing in the new one', async () => {
    const courier = openPatient(path);
    courier.drop(3);
    courier.writeSummary(hourSummary());
    let answer = () => {};
    const waiting = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const seen = start(courier, { summaries: true }, ({ topic }) => (topic.endsWith('gap') || topic === 'hour' ? waiting : undefined));
    await soon(() => expect(seen.of('/status')).toHaveLength(1));
    const repaired = replace();
    repaired.drop(3);
    repaired.writeSummary(hourSummary());
    expect(courier.pending(0, 1)).toEqual([]); // the courier has opened the new outbox
    answer();
    await soon(() => expect([seen.of('/gap').length, seen.of('hour').length]).toEqual([2, 2]));
    await soon(() => expect([repaired.gaps(10), repaired.summaries(10)]).toEqual([[], []]));
  });
});

// connecting and the birth message may take up to 60 s each, and systemd waits for 90 s
test('the watchdog is pinged after connecting, before the birth message is acknowledged', async () => {
  let told = 0;
  let answer = () => {};
  const birth = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const seen = start(openPatient(path), { progress: () => void told++ }, ({ topic }) => (topic.endsWith('/status') ? birth : undefined));
  await soon(() => expect(seen.connections()).toBe(1));
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(told).toBe(1);
  answer();
  await soon(() => expect(told).toBeGreaterThan(1));
});

// a publish has a time-out; should it fail, only the missing watchdog pings end the courier
test.each(['event', 'gap'])('a publish (%s) that never settles counts as work for 90 s, and again once it settles', async (kind) => {
  let told = 0;
  let answer = () => {};
  const never = new Promise<void>((resolve) => {
    answer = resolve;
  });
  const outbox = openPatient(path);
  if (kind === 'event') outbox.append(recordedEvent(1));
  else outbox.drop(3);
  const looks = vi.spyOn(outbox, 'pending');
  let flying = 0;
  const seen = start(outbox, { progress: () => void told++ }, ({ topic }) => {
    if (!topic.endsWith(`/${kind}`)) return;
    flying++;
    return never;
  });
  onTestFinished(() => answer()); // otherwise delivery would not end
  const turns = (count: number) => {
    const before = looks.mock.calls.length;
    return soon(() => expect(looks.mock.calls.length).toBeGreaterThanOrEqual(before + count));
  };
  await soon(() => expect(flying).toBe(1));
  aheadMs = 60_000; // longer than any time-out can be configured
  const within = told;
  await turns(5);
  expect(told).toBeGreaterThanOrEqual(within + 4);
  aheadMs = 90_000;
  const after = told;
  await turns(5);
  expect(told, 'reading the outbox alone does not ping the watchdog').toBe(after);
  answer();
  await soon(() => expect(told).toBeGreaterThan(after));
  expect([seen.of(`/${kind}`).length, seen.connections()]).toEqual([1, 1]);
});

test('a refused fresh event does not disturb the delivery of a backlog', async () => {
  const outbox = openPatient(path);
  const earlier = '1b6f1c2e-7d3a-4f5b-9c8d-1e2f3a4b5c6d';
  for (let i = 1; i <= 3000; i++) outbox.append(recordedEvent(i, { bootId: earlier }));
  let refused = false;
  const seen = start(outbox, {}, async ({ topic, message }) => {
    if (!topic.endsWith('/event')) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (message.data.sequence <= 3000 || refused) return;
    refused = true;
    setTimeout(() => {
      aheadMs = 31_000;
    }, 200); // the time of the next try has passed
    throw refusal();
  });
  await new Promise((resolve) => setTimeout(resolve, 1300)); // fresh events overtake a backlog only after a second
  outbox.append(recordedEvent(4000, { onsetMonotonicMs: clock.monotonicMs() }));
  await soon(() => expect(outbox.fates()).toMatchObject({ sent: 3001 }));
  expect(refused).toBe(true);
  expect(seen.connections()).toBe(1);
});

test('an event in flight while fresh events overtake is not sent twice, even if acknowledged events are deleted later', async () => {
  const outbox = openPatient(path);
  const fresh = (count: number) => {
    for (let i = 0; i < count; i++) outbox.append(recordedEvent(0, { onsetMonotonicMs: clock.monotonicMs() + i }));
  };
  let tries = 0;
  let arrive = () => {};
  const later = new Promise<void>((resolve) => {
    arrive = resolve;
  });
  onTestFinished(() => arrive()); // otherwise delivery would not end
  fresh(1);
  const seen = start(outbox, { acknowledgeWithinMs: 10_000 }, async ({ topic, message: { data } }) => {
    if (!topic.endsWith('/event')) return;
    if (data.sequence === 1 && ++tries === 1) throw refusal();
    if (data.sequence === 2) return later;
    if (data.sequence > 2) return arrive();
    await null; // the turn of the courier is over
    aheadMs += 1000; // fresh events are looked for
    fresh(18); // of one label no more than twenty are stored in a minute
  });
  await soon(() => expect(tries).toBe(1));
  aheadMs = 2000; // fresh events overtake from now on
  fresh(1);
  await new Promise((resolve) => setTimeout(resolve, 300)); // it is in flight
  aheadMs = 61_000;
  await soon(() => expect(new Set(seen.ids()).size).toBe(20));
  expect([seen.ids().length, tries, seen.connections()]).toEqual([20, 2, 1]);
});

test('a refused gap is sent again on the same connection after a wait, and logged once', async () => {
  const outbox = openPatient(path);
  outbox.drop(3);
  let tries = 0;
  const logged: string[] = [];
  const logger = { ...silentLogger, error: (_facts: object, text: string) => void logged.push(text) };
  const seen = start(outbox, { logger }, ({ topic }) => {
    if (!topic.endsWith('/gap') || ++tries > 2) return;
    throw refusal();
  });
  await soon(() => expect(tries).toBe(1));
  await new Promise((resolve) => setTimeout(resolve, 1000));
  expect(tries).toBe(1);
  aheadMs = 61_000;
  await soon(() => expect(tries).toBe(2));
  aheadMs = 122_000;
  await soon(() => expect(outbox.gaps(1)).toEqual([]));
  expect(logged).toEqual(['the broker refuses a gap message; it is kept and tried again']);
  expect(seen.of('/gap')).toHaveLength(1);
  expect(seen.connections()).toBe(1);
});

test('a refused birth message is sent again on the same connection, and logged once', async () => {
  let allowed = false;
  let tries = 0;
  const logged: string[] = [];
  const logger = { ...silentLogger, error: (_facts: object, text: string) => void logged.push(text) };
  const seen = start(openPatient(path), { logger }, ({ topic }) => {
    if (!topic.endsWith('/status') || allowed) return;
    tries++;
    throw refusal();
  });
  for (const count of [1, 2, 3]) {
    await soon(() => expect(tries).toBe(count));
    aheadMs += 61_000;
  }
  allowed = true;
  aheadMs += 61_000;
  await soon(() => expect(seen.of('/status')).toEqual([expect.objectContaining({ state: 'online' })]));
  expect(logged).toEqual(['the broker refuses the status message; it is tried again, and events are sent all the same']);
  expect(seen.connections()).toBe(1);
});

test('events that the listener removed for space are not sent after their gap, except those in flight', async () => {
  const small = { ...limits, maxMegabytes: 1 };
  openSqliteOutbox(path, small).close();
  layBacklog(path, 30_000, (i) => recordedEvent(i));
  const open = () => openSqliteOutbox(path, small, { repair: true });
  const [listener, courier] = [openPatient(path, { open }), openPatient(path, { open })];
  const told: string[] = [];
  let slow = () => {};
  const link = new Promise<void>((resolve) => {
    slow = resolve;
  });
  const { first, last } = await new Promise<{ first: number; last: number }>((resolve) => {
    let flying = 0;
    start(courier, {}, async ({ topic, message }) => {
      if (topic.endsWith('/gap')) resolve(message as never);
      if (!topic.endsWith('/event')) return;
      if (++flying === 16) listener.append(recordedEvent(30_001)); // the oldest 100 events are removed
      await link;
      told.push(topic + message.data.sequence);
    });
  });
  expect([first, last]).toEqual([1, 100]);
  slow();
  await soon(() => expect(told.length).toBeGreaterThan(200));
  expect(told.filter((event) => Number(/\d+$/.exec(event)?.[0]) <= last)).toHaveLength(16);
});

test('a gap and summaries are reported once while the disk cannot delete them, and deleted once it can', async () => {
  let full = true;
  const open = () => {
    const inner = openSqliteOutbox(path, limits, { repair: true });
    for (const name of ['gapReported', 'summaryReported'] as const) {
      const work = inner[name] as (of: never) => void;
      inner[name] = (of: never) => {
        if (full) throw new OutboxError('Expected to write the outbox, got: a full disk', 'free space');
        work.call(inner, of);
      };
    }
    return inner;
  };
  const outbox = openPatientOutbox({ path, open, isDamage, logger: silentLogger, retryMs: 50 });
  onTestFinished(() => outbox.close());
  outbox.drop(3);
  outbox.writeSummary(hourSummary());
  outbox.writeSummary(hourSummary({ beganMonotonicMs: 3_600_000 }));
  const seen = start(outbox, { summaries: true });
  await soon(() => expect([seen.of('/gap').length, seen.of('hour').length]).toEqual([1, 2]));
  outbox.append(recordedEvent(1));
  await soon(() => expect(seen.ids()).toHaveLength(1));
  expect([seen.of('/gap').length, seen.of('hour').length, seen.connections()]).toEqual([1, 2, 1]);
  expect([outbox.gaps(5), outbox.summaries(5)]).toEqual([[], []]);
  full = false;
  await soon(() => {
    const file = openSqliteOutbox(path, limits);
    const left = [file.gaps(5), file.summaries(5)];
    file.close();
    expect(left).toEqual([[], []]);
  });
});
