import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { expect, test } from 'vitest';
import { openHealthReport } from '../../agent/delivery/health.ts';
import { openLink } from '../../agent/delivery/link.ts';
import type { Publisher } from '../../agent/delivery/publisher.ts';
import type { Clock } from '../../agent/lib/clock.ts';
import { BrokerError } from '../../agent/lib/errors.ts';
import type { OutboxFault } from '../../agent/lib/faults.ts';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { bootId, fixedClock, hearingRecord, limits, recordedEvent, silentLogger } from '../support/samples.ts';

const ajv = new Ajv2020({ strict: false });
formats.default(ajv);
const validate = ajv.compile(JSON.parse(readFileSync('docs/health.schema.json', 'utf8')));
const openOutbox = () => openSqliteOutbox(join(mkdtempSync(join(tmpdir(), 'tocsin-health-')), 'outbox.db'), limits);
/** An outbox with some of its answers changed. */
function changed(outbox: Outbox, change: Partial<Outbox>): Outbox {
  return new Proxy(outbox, { get: (target, name) => change[name as keyof Outbox] ?? (target[name as keyof Outbox] as () => unknown).bind(target) });
}

/** A courier's report at a time of the test's choosing; what it published, each held to the schema. */
function courier(outbox = openOutbox(), listenerRuns: () => boolean | undefined = () => undefined, change: Partial<Clock> = {}) {
  const time = { ms: 20_000 };
  const published: { topic: string; text: string; retain: boolean }[] = [];
  const publisher = (): Publisher => ({
    lost: new AbortController().signal,
    close: async () => undefined,
    publish: async (topic, text, { retain }) => {
      tries++;
      if (failure) throw failure;
      published.push({ topic, text, retain });
    },
  });
  let tries = 0;
  let failure: BrokerError | undefined;
  const link = openLink(() => undefined);
  const parts = {
    link,
    outbox,
    clock: fixedClock({ monotonicMs: () => time.ms, ...change }),
    logger: silentLogger,
    board: () => ({ temperatureCelsius: 51.2 }),
    listenerRuns,
  };
  const report = openHealthReport('t/health', '0.1.0', 120_000, parts);
  let connection = publisher();
  return {
    outbox,
    link,
    reconnect: () => {
      connection = publisher();
    },
    fail: (error?: BrokerError) => {
      failure = error;
    },
    tries: () => tries,
    /** What is published at this time, if anything. */
    async at(ms: number) {
      time.ms = ms;
      const before = published.length;
      report.tick(connection);
      await new Promise((resolve) => setImmediate(resolve));
      const [message] = published.slice(before);
      if (!message) return undefined;
      expect(message).toMatchObject({ topic: 't/health', retain: true });
      const health = JSON.parse(message.text);
      expect(validate(health), JSON.stringify(validate.errors)).toBe(true);
      return health;
    },
  };
}

test('health is published when the record is new, when the connection is, and not else', async () => {
  const { outbox, at, reconnect } = courier();
  outbox.writeHearing(hearingRecord());
  expect(await at(21_000)).toMatchObject({
    bootId,
    clock: 'synchronised',
    hearing: { state: 'listening', fault: 'none', elapsedSeconds: 10, listenedSeconds: 9, notHeardSeconds: 1, reportedSecondsAgo: 1 },
    model: { name: 'street', version: '0.1.0' },
    outbox: { pending: 0 },
    board: { temperatureCelsius: 51.2 },
  });
  expect(await at(30_000)).toBeUndefined();
  outbox.writeHearing(hearingRecord({ state: 'deaf', fault: 'unplugged', writtenMonotonicMs: 31_000 }));
  expect(await at(31_500)).toMatchObject({ hearing: { state: 'deaf', fault: 'unplugged', notHeardSeconds: 12 } });
  reconnect();
  expect(await at(40_000)).toMatchObject({ hearing: { state: 'deaf' } });
});

test('a listener that stops reporting is silent, and its time goes on unheard', async () => {
  const { outbox, at } = courier();
  outbox.writeHearing(hearingRecord());
  expect((await at(21_000)).hearing.state).toBe('listening');
  expect(await at(150_000)).toBeUndefined();
  expect(await at(180_000)).toMatchObject({ hearing: { state: 'silent', elapsedSeconds: 170, listenedSeconds: 9, notHeardSeconds: 161 } });
});

test('a listener whose process is gone is silent within 10 s, unless it stopped in order or is started again', async () => {
  let runs = true;
  const { outbox, at } = courier(openOutbox(), () => runs);
  outbox.writeHearing(hearingRecord());
  expect((await at(21_000)).hearing.state).toBe('listening');
  runs = false;
  expect(await at(22_000)).toBeUndefined();
  expect(await at(26_000)).toBeUndefined();
  runs = true; // started again by systemd
  expect(await at(27_100)).toBeUndefined();
  runs = false; // and has failed again, before it could report
  expect(await at(30_000)).toMatchObject({ hearing: { state: 'silent', elapsedSeconds: 20, listenedSeconds: 9, notHeardSeconds: 11 } });
  expect(await at(40_000)).toBeUndefined(); // told once
  runs = true; // it loads its model: silent until it reports
  expect(await at(50_000)).toBeUndefined();
  outbox.writeHearing(hearingRecord({ state: 'starting', writtenMonotonicMs: 52_000, starts: 2 }));
  expect(await at(52_500)).toMatchObject({ hearing: { state: 'starting' } });
  outbox.writeHearing(hearingRecord({ state: 'stopped', writtenMonotonicMs: 60_000, starts: 2 }));
  expect(await at(60_500)).toMatchObject({ hearing: { state: 'stopped' } });
  runs = false;
  expect(await at(62_000)).toBeUndefined();
  runs = true; // somebody else asks for the lock at the same moment
  expect(await at(63_000)).toBeUndefined();
  runs = false;
  expect(await at(70_000)).toBeUndefined();
});

test.each([
  ['listening', 1500],
  ['listening', 60_000],
  ['deaf', 1500],
  ['starting', 1500],
  ['stopped', 1500],
] as const)('a listener that died (it said %s) and fails at every start is silent, though it holds its lock for %i ms each time', async (state, holdsMs) => {
  let began = Number.POSITIVE_INFINITY;
  let now = 0;
  const runs = () => (now < began ? state !== 'stopped' : (now - began) % (3000 + holdsMs) >= 3000);
  const { outbox, at } = courier(openOutbox(), runs);
  outbox.writeHearing(hearingRecord({ state }));
  const told: [string, number][] = [];
  const look = async (untilMs: number) => {
    for (; now < untilMs; now += 1000) {
      const health = await at(now);
      if (health) told.push([health.hearing.state, now - began]);
    }
  };
  now = 21_000;
  await look(30_000);
  expect(told.map(([is]) => is)).toEqual([state]);
  began = now; // the lock is free for 3 s, and taken for as long as a start takes to fail
  await look(130_000);
  expect(told.map(([is]) => is)).toEqual([state, 'silent']);
  expect(told[1]?.[1]).toBeLessThanOrEqual(Math.max(10_000, holdsMs + 3000));
  outbox.writeHearing(hearingRecord({ state: 'starting', writtenMonotonicMs: now, starts: 2 }));
  await look(now + 2000);
  expect(told.at(-1)?.[0], 'it is believed once it reports').toBe('starting');
});

test.each(['listening', 'stopped'] as const)('one that was %s and is started again is not called silent while it loads its model', async (state) => {
  let runs: boolean | undefined = false;
  const { outbox, at } = courier(openOutbox(), () => runs);
  outbox.writeHearing(hearingRecord({ state }));
  expect(await at(21_000)).toMatchObject({ hearing: { state } });
  expect(await at(23_000)).toBeUndefined();
  runs = true;
  for (let ms = 24_000; ms < 60_000; ms += 1000) expect(await at(ms)).toBeUndefined();
  outbox.writeHearing(hearingRecord({ state: 'starting', writtenMonotonicMs: 60_000, starts: 2 }));
  expect(await at(60_500)).toMatchObject({ hearing: { state: 'starting' } });
  runs = undefined; // cannot be asked: no word that it has gone
  for (let ms = 61_500; ms < 80_000; ms += 1000) expect(await at(ms)).toBeUndefined();
});

test('a row from the future is published, and grows old from when it was found', async () => {
  const { outbox, at } = courier();
  outbox.writeHearing(hearingRecord({ writtenMonotonicMs: 1_000_000, sinceMonotonicMs: 990_000 }));
  expect(await at(21_000)).toMatchObject({ hearing: { state: 'listening', reportedSecondsAgo: 0 } });
  expect(await at(180_000)).toMatchObject({ hearing: { state: 'silent', reportedSecondsAgo: 159, elapsedSeconds: 160, listenedSeconds: 9 } });
});

test('one that never reported in this boot is silent once it had time to start; of another boot nothing is believed', async () => {
  const { outbox, at } = courier();
  outbox.writeHearing(hearingRecord({ bootId: 'ffffffff-7d3a-4f5b-9c8d-1e2f3a4b5c6d' }));
  expect(await at(25_000)).toBeUndefined();
  expect(await at(51_000)).toMatchObject({ hearing: { state: 'silent', elapsedSeconds: 31, listenedSeconds: 0, notHeardSeconds: 31, starts: 0 } });
  expect(await at(6_870_000)).toMatchObject({ hearing: { state: 'silent', elapsedSeconds: 6850, notHeardSeconds: 6850 } });
  // what was not heard before its first row stays not heard
  outbox.writeHearing(hearingRecord({ sinceMonotonicMs: 6_880_000, writtenMonotonicMs: 6_890_000 }));
  expect(await at(6_891_000)).toMatchObject({ hearing: { state: 'listening', elapsedSeconds: 6870, listenedSeconds: 9, notHeardSeconds: 6861 } });
});

test('the outbox is told of: what waits and how long', async () => {
  const { outbox, at } = courier();
  outbox.append(recordedEvent(0));
  outbox.writeHearing(hearingRecord());
  expect(await at(21_000)).toMatchObject({ outbox: { pending: 1, oldestSeconds: 21, stored: 1, dropped: 0, faults: [] } });
});

test('how long an event of an earlier boot waits is told by when it really was, and not told where that or the time now is not known', async () => {
  const earlier = 'ffffffff-7d3a-4f5b-9c8d-1e2f3a4b5c6d';
  const clock = { right: true, wallMs: Date.UTC(2026, 10, 20, 12) };
  const change = { wallMs: () => clock.wallMs, synchronised: () => clock.right };
  const { outbox, at } = courier(openOutbox(), undefined, change);
  const heard = { bootId: earlier, onsetWallMs: 100_000, onsetMonotonicMs: 100_000, clockSynchronised: false };
  outbox.append(recordedEvent(0, heard));
  outbox.writeHearing(hearingRecord());
  expect((await at(21_000)).outbox).toMatchObject({ pending: 1, stored: 1 });
  outbox.writeHearing(hearingRecord({ writtenMonotonicMs: 22_000 }));
  expect((await at(23_000)).outbox).not.toHaveProperty('oldestSeconds');
  outbox.noteBoot(earlier, Date.UTC(2026, 10, 20, 10) - 100_000);
  outbox.writeHearing(hearingRecord({ writtenMonotonicMs: 24_000 }));
  expect((await at(25_000)).outbox).toMatchObject({ oldestSeconds: 7200 });
  Object.assign(clock, { right: false, wallMs: 27_000 });
  outbox.writeHearing(hearingRecord({ writtenMonotonicMs: 26_000 }));
  expect((await at(27_000)).outbox).not.toHaveProperty('oldestSeconds');
});

test('a fault of the outbox is told within 5 s, one more at once, its end when it has lasted 30 s; one that comes and goes once', async () => {
  const outbox = openOutbox();
  let faults: OutboxFault[] = [];
  const { at } = courier(changed(outbox, { faults: () => faults }));
  outbox.writeHearing(hearingRecord());
  expect((await at(21_000)).outbox.faults).toEqual([]);
  faults = ['outbox_unwritable'];
  expect(await at(22_000)).toBeUndefined();
  expect((await at(26_100)).outbox.faults).toEqual(['outbox_unwritable']);
  expect(await at(32_000)).toBeUndefined();
  faults = ['outbox_unwritable', 'disk_full'];
  expect((await at(38_000)).outbox.faults).toEqual(['outbox_unwritable', 'disk_full']);
  faults = ['disk_full'];
  expect(await at(44_000)).toBeUndefined();
  faults = ['disk_full', 'outbox_unwritable'];
  expect(await at(60_000)).toBeUndefined();
  faults = [];
  expect(await at(80_000)).toBeUndefined();
  expect((await at(95_000)).outbox.faults).toEqual([]);
  expect(await at(101_000)).toBeUndefined();
});

test('an outbox that cannot be read is told of at once, without counts, and the row last read grows old', async () => {
  const outbox = openOutbox();
  let closed = true;
  const whileOpen = <T>(work: () => T): T => {
    if (closed) throw new Error('unable to open database file');
    return work();
  };
  const { at } = courier(
    changed(outbox, {
      readHearing: () => whileOpen(() => outbox.readHearing()),
      pending: (after, limit) => whileOpen(() => outbox.pending(after, limit)),
      faults: () => (closed ? ['outbox_unwritable'] : []),
    }),
  );
  expect(await at(20_100)).toMatchObject({ hearing: { state: 'silent', starts: 0 }, outbox: { faults: ['outbox_unwritable'] } });
  outbox.writeHearing(hearingRecord());
  closed = false;
  expect(await at(22_000)).toMatchObject({ hearing: { state: 'listening' }, outbox: { pending: 0, stored: 0, faults: [] } });
  closed = true;
  const { hearing, outbox: told } = await at(30_000);
  expect(hearing).toMatchObject({ state: 'listening', listenedSeconds: 9, reportedSecondsAgo: 10 });
  expect(told).toEqual({ faults: ['outbox_unwritable'] });
  expect((await at(190_000)).hearing).toMatchObject({ state: 'silent', listenedSeconds: 9 });
});

test('the schema takes no more than it says', async () => {
  const { outbox, at } = courier();
  outbox.writeHearing(hearingRecord());
  const health = await at(21_000);
  expect(validate({ ...health, note: 'text' })).toBe(false);
  expect(validate({ ...health, hearing: { ...health.hearing, fault: 'somebody spoke' } })).toBe(false);
  expect(validate({ ...health, board: { name: 'pi' } })).toBe(false);
  expect(validate({ ...health, outbox: { ...health.outbox, faults: ['disk_full', 'outbox_damaged'] } })).toBe(true);
  expect(validate({ ...health, outbox: { ...health.outbox, faults: ['what was said'] } })).toBe(false);
});

test('health says why the connection was away, and at once when events are refused', async () => {
  const { outbox, at, link, reconnect } = courier();
  outbox.writeHearing(hearingRecord());
  link.failed('certificate_refused');
  link.connected();
  expect((await at(21_000)).link).toEqual({ connections: 1, lastFault: 'certificate_refused', eventsRefused: false });
  link.refusing(true);
  expect((await at(23_000)).link).toMatchObject({ eventsRefused: true });
  expect(await at(25_000)).toBeUndefined();
  link.refusing(false);
  expect((await at(27_000)).link).toMatchObject({ eventsRefused: false });
  link.failed('connection_lost');
  link.connected();
  reconnect();
  expect((await at(29_000)).link).toEqual({ connections: 2, lastFault: 'connection_lost', eventsRefused: false });
});

test('health that the broker refuses is sent again a minute later or over another connection, as it is then; what only got lost, after a second', async () => {
  const { at, fail, tries, reconnect, outbox } = courier();
  outbox.writeHearing(hearingRecord({ writtenMonotonicMs: 20_000 }));
  fail(new BrokerError('Expected a PUBACK, got reason code 135', 'check the ACL', true));
  for (let s = 0; s < 60; s++) await at(20_000 + s * 1000);
  expect(tries()).toBe(1);
  await at(80_000);
  expect(tries()).toBe(2);
  reconnect();
  await at(81_000);
  expect(tries()).toBe(3);
  fail();
  outbox.writeHearing(hearingRecord({ writtenMonotonicMs: 100_000, state: 'stopped' }));
  expect(await at(140_000)).toBeUndefined();
  expect((await at(141_000)).hearing.state).toBe('stopped');
  outbox.writeHearing(hearingRecord({ writtenMonotonicMs: 142_000 }));
  fail(new BrokerError('Expected a PUBACK, got none in 60 s', 'wait', false));
  for (let s = 2; s < 7; s++) await at(140_000 + s * 1000);
  expect(tries()).toBe(9);
});
