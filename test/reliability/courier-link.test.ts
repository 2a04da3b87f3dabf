// The courier and its link: what is work for the watchdog, and how a broker that is away is tried. The publisher is a fake that answers when the test says so.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { BrokerError, LinkError, OutboxError } from '../../agent/lib/errors.ts';
import { soon, startCourier } from '../support/courier.ts';
import { openPatient } from '../support/patient.ts';
import { fixedClock, recordedEvent, silentLogger } from '../support/samples.ts';

test('publishes that settle are work, though others are under way all the while: the watchdog ends no courier that drains for minutes', async () => {
  const outbox = openPatient(join(mkdtempSync(join(tmpdir(), 'tocsin-busy-link-')), 'outbox.db'));
  for (const minute of [1, 2]) outbox.append(recordedEvent(minute));
  let aheadMs = 0;
  let told = 0;
  const answers = new Map<number, () => void>();
  startCourier(outbox, fixedClock({ monotonicMs: () => performance.now() + aheadMs }), {
    progress: () => void told++,
    before: ({ topic, message }) => (topic.endsWith('/event') ? new Promise<void>((answer) => answers.set(message.data.sequence, answer)) : undefined),
  });
  onTestFinished(() => answers.get(2)?.()); // or delivery would not end
  await soon(() => expect([...answers.keys()]).toEqual([1, 2]));
  aheadMs = 60_000;
  answers.get(1)?.();
  await soon(() => expect(outbox.pendingCount()).toBe(1));
  aheadMs = 120_000; // a minute after the last that settled
  const before = told;
  await soon(() => expect(told).toBeGreaterThan(before + 1));
});

test('once one is not answered in time the connection is given up, though others over it may wait as long again', async () => {
  const outbox = openPatient(join(mkdtempSync(join(tmpdir(), 'tocsin-gone-link-')), 'outbox.db'));
  for (const minute of [1, 2]) outbox.append(recordedEvent(minute));
  const fail = new Map<number, () => void>();
  const late = () => new BrokerError('Expected a PUBACK, got none in 10 s', 'wait', false);
  let ended = 0;
  const seen = startCourier(outbox, fixedClock(), {
    before: ({ topic, message }) =>
      topic.endsWith('/event') && ended === 0 ? new Promise<void>((_, reject) => fail.set(message.data.sequence, () => reject(late()))) : undefined,
    close() {
      ended++;
      fail.get(2)?.(); // as a connection that is closed does to what is under way
    },
  });
  onTestFinished(() => fail.get(2)?.()); // or delivery would not end
  await soon(() => expect([...fail.keys()]).toEqual([1, 2]));
  fail.get(1)?.();
  await soon(() => expect(seen.ids()).toHaveLength(2));
  expect(seen.connections()).toBe(2);
});

test('what was acknowledged over a connection that breaks is not sent again over the next, though it is deleted later', async () => {
  const outbox = openPatient(join(mkdtempSync(join(tmpdir(), 'tocsin-broken-link-')), 'outbox.db'));
  for (const minute of [1, 2, 3]) outbox.append(recordedEvent(minute));
  let tries = 0;
  const seen = startCourier(outbox, fixedClock(), {
    acknowledgeWithinMs: 60_000,
    before({ message }) {
      if (message.data?.sequence === 4 && tries++ === 0) throw new BrokerError('Expected a PUBACK, got a broken connection', 'wait', false);
    },
  });
  await soon(() => expect(seen.ids()).toHaveLength(3));
  outbox.append(recordedEvent(4));
  await soon(() => expect(seen.ids()).toContain(`${outbox.id}-4`));
  expect(seen.ids()).toEqual([1, 2, 3, 4].map((n) => `${outbox.id}-${n}`));
});

test('an outbox that fails is no reason to end a connection before what is under way is answered', async () => {
  const outbox = openPatient(join(mkdtempSync(join(tmpdir(), 'tocsin-good-link-')), 'outbox.db'));
  outbox.append(recordedEvent(1));
  outbox.drop(2); // a gap to be told
  let isFailing = true;
  const { gapReported } = outbox;
  outbox.gapReported = (gap) => {
    if (isFailing) throw new OutboxError('Expected to write the outbox, got: a full disk', 'free space');
    gapReported.call(outbox, gap);
  };
  const answer = Promise.withResolvers<void>();
  onTestFinished(() => answer.resolve()); // or delivery would not end
  let asked = 0;
  let ended = 0;
  const before = ({ topic }: { topic: string }) => {
    if (!topic.endsWith('/event')) return;
    asked++;
    return answer.promise;
  };
  const seen = startCourier(outbox, fixedClock(), { before, close: () => void ended++ });
  await soon(() => expect([asked, seen.of('/gap').length]).toEqual([1, 1]));
  await new Promise((turn) => setImmediate(turn));
  expect(ended).toBe(0);
  isFailing = false;
  answer.resolve();
  await soon(() => expect(outbox.fates().sent).toBe(1));
  await soon(() => expect(seen.connections()).toBe(2));
  expect(ended).toBe(1);
});

test('a broker that is away is tried after waits that grow, and told of once', async () => {
  const outbox = openPatient(join(mkdtempSync(join(tmpdir(), 'tocsin-away-')), 'outbox.db'));
  const [warn, debug] = [vi.fn(), vi.fn()];
  const connect = () => {
    throw new BrokerError('Expected the broker, got: nothing', 'wait', false);
  };
  startCourier(outbox, fixedClock(), { connect, logger: { ...silentLogger, warn, debug }, random: () => 0.1 });
  const waits = () => debug.mock.calls.flatMap(([of]) => ('waitMs' in of ? [[of.attempt, of.waitMs]] : []));
  await soon(() => expect(waits().length).toBeGreaterThanOrEqual(3));
  expect(waits().slice(0, 3)).toEqual([
    [1, 325],
    [2, 425],
    [3, 625],
  ]);
  expect(warn).toHaveBeenCalledTimes(1);
});

// each time a handshake and a birth message that it cannot answer in time either
test('a broker that accepts connections and is too slow to answer over any is tried after waits that grow, and told of once', async () => {
  const outbox = openPatient(join(mkdtempSync(join(tmpdir(), 'tocsin-slow-broker-')), 'outbox.db'));
  const [warn, debug] = [vi.fn(), vi.fn()];
  let nowMs = 0;
  const before = () => {
    nowMs += 15_000;
    throw new BrokerError('Expected a PUBACK, got none in 15 s', 'wait', false, { cause: new LinkError('no_answer', 'no PUBACK in 15 s') });
  };
  startCourier(outbox, fixedClock({ monotonicMs: () => nowMs }), { before, logger: { ...silentLogger, warn, debug }, random: () => 0.1 });
  const waits = () => debug.mock.calls.flatMap(([of]) => ('waitMs' in of ? [of.waitMs] : []));
  await soon(() => expect(waits().slice(0, 3)).toEqual([325, 425, 625]));
  expect(warn).toHaveBeenCalledTimes(1);
});

test('the journal names each reason for which there is no connection, once until one has held: behind a network that is not up yet, a certificate that has ended', async () => {
  const outbox = openPatient(join(mkdtempSync(join(tmpdir(), 'tocsin-told-link-')), 'outbox.db'));
  const reasons = ['EAI_AGAIN', 'CERT_HAS_EXPIRED', 'EAI_AGAIN', 'CERT_HAS_EXPIRED', undefined, 'EAI_AGAIN', undefined];
  const told: unknown[] = [];
  let aheadMs = 0;
  const seen = startCourier(outbox, fixedClock({ monotonicMs: () => performance.now() + aheadMs }), {
    logger: { ...silentLogger, warn: (fields) => void told.push((fields as { fault?: unknown }).fault) },
    connect() {
      const reason = reasons.shift();
      if (reason) throw new BrokerError('Expected the broker to accept the sensor', 'check', false, { cause: new Error(reason) });
    },
    before({ topic }) {
      if (topic.endsWith('/event') && reasons.length > 0) {
        const cause = new LinkError('connection_lost', 'a broken connection');
        throw new BrokerError('Expected a PUBACK, got a broken connection', 'wait', false, { cause });
      }
    },
  });
  await soon(() => expect(seen.connections()).toBe(5));
  expect(told).toEqual(['unreachable', 'broker_expired']);
  aheadMs = 60_000;
  outbox.append(recordedEvent(1));
  await soon(() => expect(seen.ids()).toHaveLength(1));
  expect(told.slice(2)).toEqual(['connection_lost', 'unreachable']);
});
