// The courier and its link: what counts as work for the watchdog, and how an absent broker is retried. The publisher
// is a fake that answers as told.
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, onTestFinished, test, vi } from 'vitest';
import { BrokerError, LinkError, OutboxError } from '../../agent/lib/errors.ts';
import { openBootNote } from '../../agent/outbox/boot-note.ts';
import { soon, startCourier } from '../support/courier.ts';
import { openPatient } from '../support/patient.ts';
import { fixedClock, recordedEvent, silentLogger } from '../support/samples.ts';

test('each settled publish counts as progress for the watchdog, even while others stay unanswered', async () => {
  const outbox = openPatient(join(mkdtempSync(join(tmpdir(), 'tocsin-busy-link-')), 'outbox.db'));
  for (const minute of [1, 2]) outbox.append(recordedEvent(minute));
  let aheadMs = 0;
  let told = 0;
  const answers = new Map<number, () => void>();
  startCourier(outbox, fixedClock({ monotonicMs: () => performance.now() + aheadMs }), {
    progress: () => void told++,
    before: ({ topic, message }) => (topic.endsWith('/event') ? new Promise<void>((answer) => answers.set(message.data.sequence, answer)) : undefined),
  });
  onTestFinished(() => answers.get(2)?.()); // otherwise delivery would not end
  await soon(() => expect([...answers.keys()]).toEqual([1, 2]));
  aheadMs = 60_000;
  answers.get(1)?.();
  await soon(() => expect(outbox.pendingCount()).toBe(1));
  aheadMs = 120_000; // a minute after the last settled publish
  const before = told;
  await soon(() => expect(told).toBeGreaterThan(before + 1));
});

test('a publish that is not answered in time ends the connection, even if others might still be answered', async () => {
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
      fail.get(2)?.(); // as a closed connection does with messages in flight
    },
  });
  onTestFinished(() => fail.get(2)?.()); // otherwise delivery would not end
  await soon(() => expect([...fail.keys()]).toEqual([1, 2]));
  fail.get(1)?.();
  await soon(() => expect(seen.ids()).toHaveLength(2));
  expect(seen.connections()).toBe(2);
});

test('events acknowledged over a connection that breaks are not sent again, even if they are not deleted yet', async () => {
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

test('an outbox fault does not end the connection before messages in flight are answered', async () => {
  const outbox = openPatient(join(mkdtempSync(join(tmpdir(), 'tocsin-good-link-')), 'outbox.db'));
  outbox.append(recordedEvent(1));
  outbox.drop(2); // creates a gap to report
  let isFailing = true;
  const { gapReported } = outbox;
  outbox.gapReported = (gap) => {
    if (isFailing) throw new OutboxError('Expected to write the outbox, got: a full disk', 'free space');
    gapReported.call(outbox, gap);
  };
  const answer = Promise.withResolvers<void>();
  onTestFinished(() => answer.resolve()); // otherwise delivery would not end
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

test('an absent broker is retried after growing waits, and logged once', async () => {
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

test('a damaged file that was set aside is deleted after its week without a broker too', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-away-')), 'outbox.db');
  const outbox = openPatient(path);
  outbox.append(recordedEvent(1));
  const db = new Database(path);
  db.exec('UPDATE outbox SET repaired_hours = 168');
  db.close();
  writeFileSync(`${path}.damaged-1`, '');
  const connect = () => {
    throw new BrokerError('Expected the broker, got: nothing', 'wait', false);
  };
  startCourier(outbox, fixedClock(), { connect });
  await soon(() => expect(existsSync(`${path}.damaged-1`)).toBe(false));
});

// each attempt costs a handshake and a birth message that the broker cannot answer in time either
test('a broker that accepts connections but answers too slowly is retried after growing waits, and logged once', async () => {
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

test('without a broker, a clock that is set is noted, and ends the wait: it may be what the certificates lacked', async () => {
  const outbox = openPatient(join(mkdtempSync(join(tmpdir(), 'tocsin-away-')), 'outbox.db'));
  let [isSet, isWaiting] = [false, false];
  const clock = fixedClock({ synchronised: () => isSet });
  const seen = startCourier(outbox, clock, {
    connect() {
      throw new BrokerError('Expected the broker, got: a certificate that is not yet valid', 'wait', false);
    },
    noteBoot: openBootNote(outbox, clock, silentLogger),
    random: () => 1e6, // for days
    progress() {
      isWaiting = true;
    },
  });
  await soon(() => expect(isWaiting).toBe(true));
  isSet = true;
  await soon(() => expect(seen.connections()).toBe(2));
  await soon(() => expect(outbox.bootBegan(clock.bootId)).toBe(clock.wallMs() - clock.monotonicMs()));
});

test('with a broker, a clock that is set is noted too', async () => {
  const outbox = openPatient(join(mkdtempSync(join(tmpdir(), 'tocsin-there-')), 'outbox.db'));
  outbox.append(recordedEvent(1));
  let isSet = false;
  const clock = fixedClock({ synchronised: () => isSet });
  const seen = startCourier(outbox, clock, { noteBoot: openBootNote(outbox, clock, silentLogger) });
  await soon(() => expect(seen.ids()).toHaveLength(1));
  isSet = true;
  await soon(() => expect(outbox.bootBegan(clock.bootId)).toBe(clock.wallMs() - clock.monotonicMs()));
});

test('a birth message that was refused at first is told once when the broker takes it', async () => {
  const outbox = openPatient(join(mkdtempSync(join(tmpdir(), 'tocsin-birth-')), 'outbox.db'));
  let nowMs = 0;
  const seen = startCourier(outbox, fixedClock({ monotonicMs: () => nowMs }), {
    before({ topic }) {
      if (topic.endsWith('/status') && nowMs === 0) throw new BrokerError('Expected a PUBACK, got reason code 135', 'check the ACL', true);
    },
  });
  for (const minute of [1, 2, 3]) {
    outbox.append(recordedEvent(minute));
    await soon(() => expect(seen.ids()).toHaveLength(minute));
    nowMs = 60_000;
    if (minute > 1) await soon(() => expect(seen.of('/status')).toHaveLength(1));
  }
});

test('while the outbox cannot be read, the connection stays, and waiting for it is progress', async () => {
  const outbox = openPatient(join(mkdtempSync(join(tmpdir(), 'tocsin-unread-')), 'outbox.db'));
  for (const read of ['pendingCount', 'newest', 'pending', 'gaps'] as const)
    vi.spyOn(outbox, read).mockImplementation(() => {
      throw new OutboxError('Expected to read the outbox, got: disk I/O error', 'check the disk');
    });
  let told = 0;
  const seen = startCourier(outbox, fixedClock(), { progress: () => void told++ });
  await soon(() => expect(told).toBeGreaterThan(3));
  expect(seen.connections()).toBe(1);
});

test('after a connection that held, an absent broker is retried after growing waits', async () => {
  const outbox = openPatient(join(mkdtempSync(join(tmpdir(), 'tocsin-away-')), 'outbox.db'));
  outbox.append(recordedEvent(1));
  const debug = vi.fn();
  let nowMs = 0;
  const seen = startCourier(outbox, fixedClock({ monotonicMs: () => nowMs }), {
    logger: { ...silentLogger, debug },
    random: () => 0.1,
    connect() {
      if (nowMs > 0) throw new BrokerError('Expected the broker, got: nothing', 'wait', false);
    },
    before({ topic }) {
      if (!topic.endsWith('/event')) return;
      nowMs = 60_000;
      throw new BrokerError('Expected a PUBACK, got a broken connection', 'wait', false);
    },
  });
  const waits = () => debug.mock.calls.flatMap(([of]) => ('waitMs' in of ? [of.waitMs] : []));
  await soon(() => expect(waits().slice(0, 3)).toEqual([325, 425, 625]));
  expect(seen.connections()).toBeGreaterThanOrEqual(4);
});

test('a broker that answers the birth message and breaks the connection over the first event is retried after growing waits', async () => {
  const outbox = openPatient(join(mkdtempSync(join(tmpdir(), 'tocsin-breaking-broker-')), 'outbox.db'));
  outbox.append(recordedEvent(1));
  const debug = vi.fn();
  const before = ({ topic }: { topic: string }) => {
    if (topic.endsWith('/event')) throw new BrokerError('Expected a PUBACK, got a broken connection', 'wait', false);
  };
  startCourier(outbox, fixedClock(), { before, logger: { ...silentLogger, debug }, random: () => 0.1 });
  const waits = () => debug.mock.calls.flatMap(([of]) => ('waitMs' in of ? [of.waitMs] : []));
  await soon(() => expect(waits().slice(0, 3)).toEqual([325, 425, 625]));
});

test('each reason for a failed connection is logged once until a connection has held', async () => {
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
