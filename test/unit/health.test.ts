import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { expect, test } from 'vitest';
import type { Hearing } from '../../agent/audio/supervisor.ts';
import { openHealthReport } from '../../agent/delivery/health.ts';
import { openLink, readLinkWords } from '../../agent/delivery/link.ts';
import type { Publisher } from '../../agent/delivery/publisher.ts';
import { openLevelHistory } from '../../agent/events/level-history.ts';
import { readBoard } from '../../agent/lib/board.ts';
import { openHearingReport } from '../../agent/outbox/hearing-report.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { bootId, fixedClock, hearingRecord, limits, recordedEvent, silentLogger } from '../support/samples.ts';

const ajv = new Ajv2020({ strict: false });
formats.default(ajv);
const validate = ajv.compile(JSON.parse(readFileSync('docs/health.schema.json', 'utf8')));
const openOutbox = () => openSqliteOutbox(join(mkdtempSync(join(tmpdir(), 'tocsin-health-')), 'outbox.db'), limits);
const levels = openLevelHistory(
  [],
  () => undefined,
  () => undefined,
);
const hearing = (change: Partial<Hearing> = {}): Hearing => ({
  sinceMonotonicMs: 10_000,
  state: 'listening',
  fault: undefined,
  listenedSeconds: 5,
  droppedSamples: 7,
  opens: 1,
  ...change,
});

/** A courier's report at a time of the test's choosing; what it published, each held to the schema. */
function courier(outbox = openOutbox(), listenerRuns: () => boolean | undefined = () => undefined) {
  const time = { ms: 20_000 };
  const published: { topic: string; text: string; retain: boolean }[] = [];
  const publisher = (): Publisher => ({
    lost: new AbortController().signal,
    close: async () => undefined,
    publish: async (topic, text, { retain }) => void published.push({ topic, text, retain }),
  });
  const link = openLink(() => undefined);
  const parts = {
    link,
    outbox,
    clock: fixedClock({ monotonicMs: () => time.ms }),
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
  runs = false;
  expect(await at(30_000)).toBeUndefined();
  expect(await at(35_000)).toMatchObject({ hearing: { state: 'silent', elapsedSeconds: 25, listenedSeconds: 9, notHeardSeconds: 16 } });
  expect(await at(40_000)).toBeUndefined(); // told once
  runs = true; // it loads its model: silent until it reports
  expect(await at(50_000)).toBeUndefined();
  outbox.writeHearing(hearingRecord({ state: 'starting', writtenMonotonicMs: 52_000, starts: 2 }));
  expect(await at(52_500)).toMatchObject({ hearing: { state: 'starting' } });
  outbox.writeHearing(hearingRecord({ state: 'stopped', writtenMonotonicMs: 60_000, starts: 2 }));
  expect(await at(60_500)).toMatchObject({ hearing: { state: 'stopped' } });
  runs = false;
  expect(await at(62_000)).toBeUndefined();
  expect(await at(70_000)).toBeUndefined();
});

test('a row from the future is published, and grows old from when it was found', async () => {
  const { outbox, at } = courier();
  outbox.writeHearing(hearingRecord({ writtenMonotonicMs: 1_000_000, sinceMonotonicMs: 990_000 }));
  expect(await at(21_000)).toMatchObject({ hearing: { state: 'listening', reportedSecondsAgo: 0 } });
  expect(await at(180_000)).toMatchObject({ hearing: { state: 'silent', reportedSecondsAgo: 159, notHeardSeconds: 0 } });
});

test('one that never reported in this boot is silent once it had time to start; of another boot nothing is believed', async () => {
  const { outbox, at } = courier();
  outbox.writeHearing(hearingRecord({ bootId: 'ffffffff-7d3a-4f5b-9c8d-1e2f3a4b5c6d' }));
  expect(await at(25_000)).toBeUndefined();
  expect(await at(51_000)).toMatchObject({ hearing: { state: 'silent', listenedSeconds: 0, starts: 0 } });
});

test('the outbox is told of: what waits and how long', async () => {
  const { outbox, at } = courier();
  outbox.append(recordedEvent(0));
  outbox.writeHearing(hearingRecord());
  expect(await at(21_000)).toMatchObject({ outbox: { pending: 1, oldestSeconds: 21, stored: 1, dropped: 0, faults: [] } });
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

test('the listener writes at once when its state changes, else at intervals, and goes on counting after a restart', () => {
  const outbox = openOutbox();
  let now = 10_000;
  const link = openLink(() => undefined);
  const parts = { link, outbox, clock: fixedClock({ monotonicMs: () => now }), logger: silentLogger, levels };
  const model = { name: 'street', version: '0.1.0' };
  const report = openHearingReport(parts, model, 120_000);
  const written = () => outbox.readHearing()?.writtenMonotonicMs;
  report(hearing({ state: 'starting' }));
  expect(written()).toBe(10_000);
  now = 13_000;
  report(hearing());
  expect(outbox.readHearing()).toMatchObject({ state: 'listening', writtenMonotonicMs: 13_000, listenedSeconds: 5, starts: 1 });
  now = 100_000;
  report(hearing());
  expect(written()).toBe(13_000);
  now = 133_000;
  report(hearing({ listenedSeconds: 120 }));
  expect(written()).toBe(133_000);
  now = 134_000;
  report(hearing({ state: 'deaf', fault: 'busy' })); // too soon after the last; the supervisor reports again within a second
  expect(written()).toBe(133_000);
  now = 135_000;
  report(hearing({ state: 'deaf', fault: 'busy', listenedSeconds: 120 }));
  expect(outbox.readHearing()).toMatchObject({ state: 'deaf', fault: 'busy' });

  now = 200_000;
  const restarted = openHearingReport(parts, model, 120_000);
  restarted(hearing({ sinceMonotonicMs: 200_000, listenedSeconds: 1 }));
  expect(outbox.readHearing()).toMatchObject({ sinceMonotonicMs: 10_000, listenedSeconds: 121, droppedSamples: 14, opens: 2, starts: 2 });
});

test('an outbox that cannot be written does not stop the hearing, and is tried again', () => {
  const outbox = openOutbox();
  let now = 10_000;
  let broken = true;
  const writeHearing: typeof outbox.writeHearing = (record) => {
    if (broken) throw new Error('disk full');
    outbox.writeHearing(record);
  };
  const failing = { readHearing: () => undefined, writeHearing } as unknown as typeof outbox;
  const report = openHearingReport(
    { outbox: failing, clock: fixedClock({ monotonicMs: () => now }), logger: silentLogger, levels },
    { name: 'street', version: '1' },
    120_000,
  );
  report(hearing());
  broken = false;
  now = 13_000;
  report(hearing());
  expect(outbox.readHearing()?.writtenMonotonicMs).toBe(13_000);
});

/** Quarters of an hour of a street: mostly `floor`, a fifth of the time `loud`. */
function street(history: ReturnType<typeof openLevelHistory>, quarters: number, floor: number, loud: number): void {
  for (let i = 0; i < quarters * 7200; i++) history.push(i % 5 === 0 ? loud : floor + (i % 3));
}

test('the noise floor is the level exceeded 90 % of the last minutes', () => {
  const history = openLevelHistory(
    [],
    () => 3,
    () => undefined,
  );
  expect(history.noiseFloorDb()).toBeUndefined();
  street(history, 1, -60, -30);
  expect(history.noiseFloorDb()).toBe(-60);
  street(history, 1, -50, -30);
  expect(history.noiseFloorDb()).toBe(-50);
});

test('much quieter than usual is covered, loud and steady is noisy, a quieter or busier street is neither', () => {
  const history = openLevelHistory(
    [],
    () => 3,
    () => undefined,
  );
  street(history, 20, -60, -30);
  const then = (floor: number, loud: number) => {
    street(history, 1, floor, loud);
    return history.suspicion();
  };
  expect(then(-66, -36)).toBe('none');
  expect(then(-45, -25)).toBe('none');
  expect(then(-75, -45)).toBe('covered');
  expect(then(-75, -30)).toBe('none'); // quiet between loud moments is a quiet street
  expect(then(-35, -34)).toBe('noisy');
  expect(then(-60, -30)).toBe('none');
});

test('nothing is suspected before three days of that hour, nor while the clock is wrong; what was learnt outlives a restart', () => {
  const learnt = new Map<number, Parameters<Parameters<typeof openLevelHistory>[2]>[0]>();
  let hour: number | undefined = 3;
  const open = () =>
    openLevelHistory(
      [...learnt.values()],
      () => hour,
      (level) => void learnt.set(level.hour, level),
    );
  const young = open();
  street(young, 11, -60, -30);
  street(young, 1, -80, -50);
  expect(young.suspicion()).toBe('none');
  street(young, 20, -60, -30);
  const restarted = open();
  hour = undefined;
  street(restarted, 1, -80, -50);
  expect(restarted.suspicion()).toBe('none');
  hour = 4;
  street(restarted, 1, -80, -50);
  expect(restarted.suspicion()).toBe('none');
  hour = 3;
  street(restarted, 1, -80, -50);
  expect(restarted.suspicion()).toBe('covered');
});

// Files as a Raspberry Pi has them; the firmware behind them is not there.
test('the board tells its temperature and throttling where it can, and nothing where not', () => {
  const sys = mkdtempSync(join(tmpdir(), 'tocsin-sys-'));
  expect(readBoard('/nowhere', sys)).toEqual({});
  for (const [zone, value] of [
    ['thermal_zone0', '48312\n'],
    ['thermal_zone1', '51250\n'],
  ] as const) {
    mkdirSync(join(sys, 'class/thermal', zone), { recursive: true });
    writeFileSync(join(sys, 'class/thermal', zone, 'temp'), value);
  }
  const firmware = join(sys, 'devices/platform/soc/soc:firmware');
  mkdirSync(firmware, { recursive: true });
  writeFileSync(join(firmware, 'get_throttled'), '50005\n'); // 0x50005: under-voltage and throttled, now and earlier
  expect(readBoard('/nowhere', sys)).toEqual({ temperatureCelsius: 51.3, throttled: 'now', underVoltage: 'now' });
  writeFileSync(join(firmware, 'get_throttled'), '10000\n');
  expect(readBoard(sys, sys)).toMatchObject({ throttled: 'no', underVoltage: 'earlier', freeDiskMegabytes: expect.any(Number) });
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

test('what systemd is told of the broker is told once for each change, and can be read back', () => {
  const told: string[] = [];
  const link = openLink((words) => told.push(words));
  link.failed('login_refused');
  link.failed('login_refused');
  link.connected();
  link.refusing(false);
  link.refusing(true);
  expect(told.map(readLinkWords)).toEqual([
    { state: 'connecting', eventsRefused: false },
    { state: 'login_refused', eventsRefused: false },
    { state: 'connected', eventsRefused: false },
    { state: 'connected', eventsRefused: true },
  ]);
  expect(['', 'broker:', 'broker: well', 'broker: connected, all refused'].map(readLinkWords)).toEqual([undefined, undefined, undefined, undefined]);
});
