// Expiry of old events by the courier, with and without a broker. The clock is simulated; the publisher is a fake.
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { openExpiry } from '../../agent/delivery/expiry.ts';
import { OutboxError } from '../../agent/lib/errors.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { layBacklog } from '../support/backlog.ts';
import { soon, startCourier } from '../support/courier.ts';
import { range } from '../support/damaged-outbox.ts';
import { openPatient } from '../support/patient.ts';
import { fixedClock, limits, recordedEvent, silentLogger } from '../support/samples.ts';

const day = 86_400_000;
const maxAgeMs = 30 * day;
let path: string;
let nowMs: number;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'tocsin-expiry-')), 'outbox.db');
  openSqliteOutbox(path, limits).close();
});
const clock = fixedClock({ monotonicMs: () => nowMs });
const away = () => {
  throw new Error('connect ECONNREFUSED');
};

test('without a broker events expire at the maximum age; once it is back, gaps are reported and only newer events are sent', async () => {
  layBacklog(path, 25_000, (i) => recordedEvent(i)); // one a minute: 17 days
  const outbox = openPatient(path);
  nowMs = 20 * day;
  let here = false;
  const seen = startCourier(outbox, clock, { maxAgeMs, connect: () => here || away() });
  await soon(() => expect(seen.connections()).toBeGreaterThan(2));
  expect(outbox.fates().expired).toBe(0);
  nowMs = 45 * day;
  await soon(() => expect(outbox.fates().expired).toBe(15 * 24 * 60));
  expect(seen.of('/event')).toEqual([]);
  here = true;
  await soon(() => expect(outbox.pendingCount()).toBe(0));
  expect(outbox.fates()).toMatchObject({ expired: 21_600, sent: 3400 });
  expect(Math.min(...seen.of('/event').map(({ data }) => data.sequence))).toBe(21_601);
  // the search runs in rounds of 10,000 and was in the middle of one
  await soon(() => expect(seen.of('/gap')).toHaveLength(2));
  expect(seen.of('/gap')).toMatchObject([
    { first: 1, last: 10_000, reason: 'too_old' },
    { first: 10_001, last: 21_600, reason: 'too_old' },
  ]);
});

test.each([
  ['of this boot', (i: number) => recordedEvent(i), 21_600],
  // later events show their age, and those are too old themselves
  [
    'of an earlier boot without a clock, and of this one',
    (i: number) => recordedEvent(i, i < 12_000 ? { bootId: '1b6f1c2e-7d3a-4f5b-9c8d-1e2f3a4b5c6d', clockSynchronised: false } : {}),
    21_600,
  ],
])('a courier that starts with many expired events (%s) sends none of them and pings the watchdog while it removes them', async (_which, event, expired) => {
  layBacklog(path, 25_000, event);
  const outbox = openPatient(path);
  nowMs = 45 * day;
  let told = 0;
  const toldAt: number[] = [];
  const expire = vi.spyOn(outbox, 'expire').mockImplementation((...args) => {
    toldAt.push(told);
    return Object.getPrototypeOf(outbox).expire.apply(outbox, args);
  });
  const seen = startCourier(outbox, clock, { maxAgeMs, progress: () => void told++ });
  await soon(() => expect(outbox.pendingCount()).toBe(0));
  expect(outbox.fates()).toMatchObject({ expired, sent: 25_000 - expired });
  expect(Math.min(...seen.of('/event').map(({ data }) => data.sequence))).toBe(expired + 1);
  expect(expire.mock.calls.length).toBeGreaterThan(2);
  expect(new Set(toldAt).size, 'the watchdog is pinged before each call').toBe(toldAt.length);
});

test('what was read ahead and expires while a gap message is under way is not sent', async () => {
  layBacklog(path, 40, (i) => recordedEvent(i)); // one a minute
  const outbox = openPatient(path);
  outbox.drop(1);
  nowMs = 40 * 60_000;
  const answers: Record<string, () => void> = {};
  const answer = () => Object.values(answers).map((each) => each());
  const later = (kind: string) =>
    new Promise<void>((resolve) => {
      answers[kind] = resolve;
    });
  const [gap, events] = [later('gap'), later('events')];
  let flying = 0;
  const before = ({ topic }: { topic: string }) => {
    if (topic.endsWith('/status')) return;
    flying++;
    return topic.endsWith('/gap') ? gap : events;
  };
  const seen = startCourier(outbox, clock, { maxAgeMs: 60 * 60_000, before });
  onTestFinished(() => void answer()); // otherwise delivery would not end
  await soon(() => expect(flying).toBe(17));
  nowMs = 90 * 60_000;
  await soon(() => expect(outbox.fates().expired).toBe(30));
  answers.events?.();
  await soon(() => expect(outbox.pendingCount()).toBe(0));
  const sent = seen.of('/event').map(({ data }) => data.sequence);
  expect(new Set(sent)).toEqual(new Set([...range(1, 16), ...range(31, 40)])); // the first 16 were under way
});

test('no expired event is sent once an outbox that was unreadable at first becomes readable', async () => {
  layBacklog(path, 1000, (i) => recordedEvent(i));
  const outbox = openPatient(path);
  nowMs = 45 * day;
  let readable = false;
  vi.spyOn(outbox, 'pendingCount').mockImplementation(() => {
    if (!readable) throw new OutboxError('Expected an outbox, got: database is locked', 'wait');
    return Object.getPrototypeOf(outbox).pendingCount.call(outbox);
  });
  const seen = startCourier(outbox, clock, { maxAgeMs, connect: () => readable || away() });
  await soon(() => expect(seen.connections()).toBeGreaterThan(2)); // it has read the outbox
  readable = true;
  await soon(() => expect(outbox.fates().expired).toBe(1000));
  expect(seen.ids()).toEqual([]);
});

test.each(['the broker is away', 'the broker is there'])(
  'without expired events, %s, the courier looks for them once a minute and writes nothing',
  async (where) => {
    layBacklog(path, 100, (i) => recordedEvent(i));
    const outbox = openPatient(path);
    nowMs = day;
    const expire = vi.spyOn(outbox, 'expire');
    const other = new Database(path, { readonly: true });
    onTestFinished(() => void other.close());
    const written = () => other.pragma('data_version', { simple: true }); // changes when another connection has committed
    let turns = 0;
    let answer = () => {};
    const later = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const before = ({ topic }: { topic: string }) => topic.endsWith('/event') && later;
    const begin = written();
    const trial = where.endsWith('away') ? { connect: away } : {};
    startCourier(outbox, clock, { maxAgeMs, progress: () => void turns++, before, ...trial });
    onTestFinished(() => answer()); // otherwise delivery would not end
    const more = () => {
      const from = turns;
      return soon(() => expect(turns).toBeGreaterThan(from + 3));
    };
    await more();
    const looks = expire.mock.calls.length;
    await more();
    expect(expire.mock.calls.length).toBe(looks);
    nowMs += 61_000;
    await more();
    expect(expire.mock.calls.length).toBe(looks + 1);
    expect(written()).toBe(begin);
  },
);

test('if the outbox cannot be written without a broker, the courier continues and retries the expiry a minute later', async () => {
  layBacklog(path, 10, (i) => recordedEvent(i));
  const outbox = openSqliteOutbox(path, limits);
  onTestFinished(() => outbox.close());
  nowMs = 45 * day;
  const expire = vi.spyOn(outbox, 'expire').mockImplementationOnce(() => {
    throw new OutboxError('Expected to write the outbox, got: database or disk is full', 'free space');
  });
  const seen = startCourier(outbox, clock, { maxAgeMs, connect: away });
  await soon(() => expect(seen.connections()).toBeGreaterThan(2));
  expect(expire).toHaveBeenCalledTimes(1);
  nowMs += 61_000;
  await soon(() => expect(outbox.fates().expired).toBe(10));
});

test.each(['ends', 'stays'])('while another process locks the outbox at the start, nothing is sent that is too old; the lock %s', async (lock) => {
  layBacklog(path, 1001, (i) => recordedEvent(i === 1000 ? 45 * 24 * 60 - 1 : i)); // the last is new
  const outbox = openPatient(path);
  expect(outbox.pendingCount()).toBe(1001); // it is open before the lock
  nowMs = 45 * day;
  const other = new Database(path);
  onTestFinished(() => void other.close());
  other.exec('BEGIN IMMEDIATE');
  let turns = 0;
  const seen = startCourier(outbox, clock, { maxAgeMs, progress: () => void turns++ });
  await soon(() => expect(turns).toBeGreaterThan(10));
  nowMs += 5000;
  const from = turns;
  await soon(() => expect(turns).toBeGreaterThan(from + 10));
  expect(seen.ids()).toEqual([]);
  if (lock === 'ends') other.exec('ROLLBACK');
  nowMs += lock === 'ends' ? 2000 : 61_000;
  await soon(() => expect(seen.ids()).toHaveLength(lock === 'ends' ? 1 : 1001));
  expect(outbox.fates()).toMatchObject({ expired: lock === 'ends' ? 1000 : 0 });
});

test('what is too old and cannot be removed holds up the rest for a minute, however long the outbox could not be read before', async () => {
  const locked = () => {
    throw new OutboxError('Expected an outbox, got: database is locked', 'wait');
  };
  const outbox = { pendingCount: locked as () => number, expire: locked };
  const expire = openExpiry(maxAgeMs, { outbox, clock, logger: silentLogger });
  const look = () => expire(new AbortController().signal, () => undefined);
  nowMs = 0;
  expect(await look()).toBe(0);
  outbox.pendingCount = () => 1;
  const found = [];
  for (nowMs = 120_000; nowMs <= 180_000; nowMs += 20_000) found.push(await look());
  expect(found).toEqual([undefined, undefined, undefined, 0]);
});

test('what the broker acknowledges while old events are looked for does not expire', async () => {
  layBacklog(path, 2, (i) => recordedEvent(i));
  const outbox = openPatient(path);
  const acknowledged: number[] = [];
  nowMs = maxAgeMs + 30_000; // the first is too old
  const meanwhile = () => {
    acknowledged.push(2);
    nowMs += day;
  };
  const expired = await openExpiry(maxAgeMs, { outbox, clock, logger: silentLogger })(new AbortController().signal, meanwhile, () =>
    outbox.acknowledge(acknowledged),
  );
  expect(expired).toBe(1);
  expect(outbox.fates()).toMatchObject({ sent: 1, expired: 1 });
  expect(outbox.gaps(10)).toMatchObject([{ first: 1, last: 1 }]);
});

test('a wall clock that somebody has set within the hour ages no event: it may be set back yet', async () => {
  const outbox = openPatient(path);
  outbox.append(recordedEvent(1, { bootId: crypto.randomUUID(), onsetWallMs: Date.UTC(2026, 9, 1) }));
  const expiredAt = (steadyMs: number) =>
    openExpiry(maxAgeMs, { outbox, clock: fixedClock({ steadyMs: () => steadyMs }), logger: silentLogger })(new AbortController().signal, () => undefined);
  expect([await expiredAt(3_599_999), await expiredAt(3_600_000)]).toEqual([0, 1]);
});

test('where a connection ends while old events are looked for, the search goes on before anything is sent over the next', async () => {
  layBacklog(path, 25_000, (i) => recordedEvent(i));
  const outbox = openPatient(path);
  nowMs = 100 * day; // all are too old
  const expireOld = openExpiry(maxAgeMs, { outbox, clock, logger: silentLogger });
  const lost = new AbortController();
  expect(await expireOld(lost.signal, () => lost.abort())).toBe(10_000);
  expect(await expireOld(new AbortController().signal, () => undefined)).toBe(15_000);
});

test('an outbox that is looked into again and again compiles each statement once: one holds memory outside the heap until it is collected', () => {
  const outbox = openSqliteOutbox(path, limits);
  onTestFinished(() => outbox.close());
  const look = () => {
    outbox.expire({ bootId: clock.bootId, monotonicMs: day }, maxAgeMs);
    return [outbox.pending(0, 1), outbox.pendingCount(), outbox.newest(), outbox.gaps(1), outbox.summaries(1), outbox.faults(), outbox.readHearing()];
  };
  look();
  const compiled = vi.spyOn(Database.prototype, 'prepare');
  onTestFinished(() => compiled.mockRestore());
  look();
  expect(compiled.mock.calls.map(([sql]) => sql)).toEqual([]);
});

test('events whose time is not known expire with a later one that is too old, also thousands of events behind them', () => {
  layBacklog(path, 10_001, (i) => recordedEvent(i, { clockSynchronised: i === 10_000 })); // the outbox looks at 10,000 at once
  const outbox = openSqliteOutbox(path, limits);
  const now = { bootId: 'another', monotonicMs: 0, wallMs: recordedEvent(10_001).onsetWallMs + maxAgeMs };
  expect([1, 2, 3].map(() => outbox.expire(now, maxAgeMs))).toEqual([0, 1, 10_000]);
  outbox.close();
});

test('an event of an earlier boot whose clock was years ahead expires once this boot alone has lasted for longer', () => {
  const outbox = openSqliteOutbox(path, limits);
  outbox.append(recordedEvent(0, { onsetWallMs: Date.UTC(2050, 0, 1) }));
  const now = (monotonicMs: number) => ({ bootId: 'another', monotonicMs, wallMs: Date.UTC(2026, 11, 1) + monotonicMs });
  expect(outbox.expire(now(maxAgeMs), maxAgeMs)).toBe(0);
  expect(outbox.expire(now(maxAgeMs + 1), maxAgeMs)).toBe(1);
  outbox.close();
});

test.each([
  ['167 hours after the repair', 167, 1],
  ['beside an outbox that was made anew since, because somebody deleted it', null, 168],
])('a damaged file is deleted after its week, also without a broker: %s', async (_, counted, hours) => {
  const file = new Database(path);
  file.prepare('UPDATE outbox SET repaired_hours = ?').run(counted);
  file.close();
  writeFileSync(`${path}.damaged-1`, '');
  const outbox = openPatient(path);
  const seen = startCourier(outbox, clock, { connect: away });
  await soon(() => expect(seen.connections()).toBeGreaterThan(1));
  expect(existsSync(`${path}.damaged-1`)).toBe(true);
  const now = performance.now.bind(performance);
  vi.spyOn(performance, 'now').mockImplementation(() => now() + hours * 3_600_000);
  onTestFinished(() => void vi.restoreAllMocks());
  await soon(() => expect(existsSync(`${path}.damaged-1`)).toBe(false));
});
