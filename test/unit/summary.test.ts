import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { openSoundLevelMeter } from '../../agent/audio/sound-level.ts';
import { toSummary } from '../../agent/delivery/summaries.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { openSummaryReport } from '../../agent/outbox/summary-report.ts';
import { metered } from '../support/hour-meter.ts';
import { validatorOf } from '../support/published-schema.ts';
import { bootId, fixedClock, hourSummary, limits, silentLogger } from '../support/samples.ts';

const hour = 3_600_000;
const validate = validatorOf('summary');

const noonTwenty = Date.UTC(2026, 10, 20, 12, 20);

test('summaries cover full UTC hours; the first one is shorter, and nothing is counted twice', () => {
  const { hours, meter, pass } = metered(noonTwenty);
  meter.recognised('shout');
  pass(40 * 60, -50);
  meter.recognised('bang');
  meter.recognised('bang');
  pass(3600, -60);
  expect(hours).toHaveLength(2);
  expect(hours[0]).toMatchObject({ beganWallMs: noonTwenty, elapsedSeconds: 2400, recognised: { glass_break: 0, shout: 1, bang: 0 } });
  expect(hours[1]).toMatchObject({ beganWallMs: Date.UTC(2026, 10, 20, 13), elapsedSeconds: 3600, recognised: { glass_break: 0, shout: 0, bang: 2 } });
  expect((hours[0]?.listenedSeconds ?? 0) + (hours[1]?.listenedSeconds ?? 0)).toBe(6000);
});

test('listened seconds never exceed the hour nor fall below 0, even if a pause from before the hour is counted or taken back later', () => {
  const { hours, meter, time } = metered(Date.UTC(2026, 10, 20, 12, 59, 30));
  const pass = (seconds: number, listened: number) => {
    time.wallMs += seconds * 1000;
    time.monotonicMs += seconds * 1000;
    meter.tick(listened);
  };
  pass(26, 26);
  pass(4, 26);
  pass(3, 33);
  meter.close();
  pass(3, 30);
  meter.close();
  pass(0.9, 30.9); // too short for a summary
  meter.close();
  pass(1, 31.9);
  meter.close();
  expect(hours.map(({ elapsedSeconds, listenedSeconds }) => [elapsedSeconds, listenedSeconds])).toEqual([
    [30, 26],
    [3, 3],
    [3, 0],
    [1, expect.closeTo(1, 6)],
  ]);
});

test('LAeq is the power mean, LA10 and LA90 are percentiles, and unheard time is in none of them', () => {
  const { hours, pass, meter } = metered(Date.UTC(2026, 10, 20, 12));
  pass(600, -20); // a sixth of what is heard
  pass(3000, -60.3);
  meter.close();
  const power = (600 * 10 ** -2 + 3000 * 10 ** -6.03) / 3600;
  expect(hours[0]?.levels?.laeq).toBeCloseTo(10 * Math.log10(power), 6);
  expect(hours[0]?.levels).toMatchObject({ la10: -20, la90: expect.closeTo(-60.3, 6) });
  pass(1800);
  meter.level(-127, 0); // digital zeros
  pass(1800);
  expect(hours[1]).toMatchObject({ elapsedSeconds: 3600, listenedSeconds: 0 });
  expect(hours[1]?.levels).toBeUndefined();
  pass(3600, -40.04); // nothing of the first hour is left
  expect(hours[2]?.levels).toMatchObject({ laeq: expect.closeTo(-40.04, 6), la10: expect.closeTo(-40, 6), la90: expect.closeTo(-40, 6) });
  meter.level(-130, 1e-20); // what the filters leave of an offset
  pass(3600);
  expect(hours[3]?.levels).toEqual({ laeq: -130, la10: -130, la90: -130 });
});

test('without a clock a summary covers 60 minutes; setting the clock does not make it longer', () => {
  const { time, hours, pass } = metered(5000, false);
  pass(3600, -50);
  expect(hours).toMatchObject([{ clockSynchronised: false, elapsedSeconds: 3600, beganMonotonicMs: 50_000 }]);
  pass(600, -50);
  Object.assign(time, { wallMs: noonTwenty, synchronised: true });
  pass(40 * 60, -50);
  expect(hours[1]).toMatchObject({ clockSynchronised: true, elapsedSeconds: 3000, beganWallMs: noonTwenty - 600_000 });
  for (const days of [30, -30]) {
    time.wallMs += days * 86_400_000;
    pass(1800, -50);
  }
  for (const { elapsedSeconds } of hours) expect(elapsedSeconds).toBeLessThanOrEqual(3600);
});

test.each([-1500, -8600, 1500, 8600].flatMap((ms) => [1, 1800, 3590].map((second) => [ms, second] as const)))(
  'a clock change of %i ms, %i s after the full hour, creates no extra summary',
  (by, second) => {
    const { time, hours, pass } = metered(noonTwenty);
    pass(40 * 60 + second, -50);
    time.wallMs += by;
    pass(Math.ceil(7200 - second - by / 1000), -50); // until three by the clock as it is now
    expect(hours).toHaveLength(3);
    for (const [i, seconds] of [2400, 3600 - by / 1000, 3600].entries()) {
      const { beganWallMs = 0, elapsedSeconds = 0 } = hours[i] ?? {};
      expect(Math.abs(elapsedSeconds - seconds)).toBeLessThanOrEqual(1);
      expect((beganWallMs + elapsedSeconds * 1000) % hour).toBeLessThan(1000);
    }
  },
);

test('a clock set back by over a minute just after the full hour creates a summary of 61 s, then a full hour', () => {
  const { time, hours, pass } = metered(noonTwenty);
  pass(40 * 60 + 1, -50);
  time.wallMs -= 61_000;
  pass(60 + 3600, -50);
  expect(hours.map(({ elapsedSeconds }) => elapsedSeconds)).toEqual([2400, 61, 3600]);
});

test('the part before the first full hour is a summary of its own, after a start and after an hour without a clock', () => {
  const { time, hours, pass } = metered(Date.UTC(2026, 10, 20, 12, 59, 30));
  pass(3630, -50);
  expect(hours.map(({ elapsedSeconds }) => elapsedSeconds)).toEqual([30, 3600]);
  time.synchronised = false;
  pass(3600, -50);
  Object.assign(time, { wallMs: Date.UTC(2026, 10, 20, 15, 59, 30), synchronised: true });
  pass(3630, -50);
  expect(hours.slice(2).map(({ elapsedSeconds }) => elapsedSeconds)).toEqual([3600, 30, 3600]);
});

test('a clock set in the last minute of a UTC hour ends the summary with that hour', () => {
  const { time, hours, pass } = metered(Date.UTC(2026, 10, 20, 9, 59, 50), false);
  pass(3570, -50);
  time.synchronised = true; // at 10:59:20
  pass(3640, -50);
  expect(hours.map(({ elapsedSeconds }) => elapsedSeconds)).toEqual([3571, 39, 3600]);
});

test('the sound level meter reports the F level and the power of every 125 ms step', () => {
  const steps: [number, number][] = [];
  const meter = openSoundLevelMeter(48_000, (fastDb, meanSquare) => steps.push([fastDb, meanSquare]));
  const sine = Float32Array.from({ length: 48_000 * 2 }, (_, i) => 0.1 * Math.sin((2 * Math.PI * 1000 * i) / 48_000));
  for (let at = 0; at < sine.length; at += 4800) meter.push(sine.slice(at, at + 4800));
  expect(steps).toHaveLength(16);
  expect(steps.at(-1)?.[0]).toBeCloseTo(-20, 1);
  expect(10 * Math.log10(2 * (steps.at(-1)?.[1] ?? 0))).toBeCloseTo(-20, 2);
  meter.push(new Float32Array(6000));
  expect(steps.at(-1)?.[0], 'at the end of the step').toBeCloseTo(-24.3, 1);
});

test('a published summary matches the schema, and has dB SPL values only if the sensor is calibrated', () => {
  const clock = fixedClock();
  const plain = toSummary({ ...hourSummary({ elapsedSeconds: 3599.96, listenedSeconds: 3590.04 }), sequence: 3 }, '0123456789abcdef', clock);
  expect(validate(plain), JSON.stringify(validate.errors)).toBe(true);
  expect(plain).toMatchObject({ outbox: '0123456789abcdef', sequence: 3, elapsedSeconds: 3600, listenedSeconds: 3590 });
  expect(plain).toMatchObject({ time: '2026-11-20T10:00:00.000Z', clock: 'synchronised', levelsDbfs: { laeq: -48.2, la10: -46, la90: -61.5 } });
  expect(plain.levelsDbSpl).toBeUndefined();
  const calibrated = toSummary({ ...hourSummary({ splAtFullScaleDb: 118.4 }), sequence: 3 }, '0123456789abcdef', clock);
  expect(validate(calibrated), JSON.stringify(validate.errors)).toBe(true);
  expect(calibrated.levelsDbSpl).toEqual({ laeq: 70.2, la10: 72.4, la90: 56.9 });
  for (const change of [{ note: 'text' }, { recognised: { ...plain.recognised, speech: 1 } }, { levelsDbfs: { ...plain.levelsDbfs, spectrum: [1] } }])
    expect(validate({ ...plain, ...change })).toBe(false);
  const { levels: _, ...unheard } = hourSummary({ splAtFullScaleDb: 118.4, listenedSeconds: 0 });
  expect(JSON.stringify(toSummary({ ...unheard, sequence: 3 }, '0123456789abcdef', clock))).not.toContain('levels');
  const early = hourSummary({ clockSynchronised: false, beganWallMs: 5000, beganMonotonicMs: 10_000 });
  expect(toSummary({ ...early, sequence: 1 }, '0123456789abcdef', clock)).toMatchObject({ clock: 'corrected', time: '2026-11-20T10:00:10.000Z' });
  const before = { ...early, sequence: 1, bootId: 'ffffffff-7d3a-4f5b-9c8d-1e2f3a4b5c6d', bootBeganMs: Date.UTC(2026, 10, 19) };
  expect(toSummary(before, '0123456789abcdef', clock)).toMatchObject({ clock: 'corrected', time: '2026-11-19T00:00:10.000Z' });
});

test('an hour reads back as it was stored, to the precision of the columns', () => {
  const outbox = openSqliteOutbox(join(mkdtempSync(join(tmpdir(), 'tocsin-summary-')), 'outbox.db'), limits);
  const heard = hourSummary({ elapsedSeconds: 3600.001, listenedSeconds: 3590.5, recognised: { glass_break: 1, shout: 2, bang: 3 }, splAtFullScaleDb: 118.4 });
  const { levels: _, ...unheard } = hourSummary({ beganMonotonicMs: hour, clockSynchronised: false, listenedSeconds: 0 });
  for (const summary of [heard, unheard]) outbox.writeSummary(summary);
  expect(outbox.summaries(9)).toEqual([
    { ...heard, sequence: 1 },
    { ...unheard, sequence: 2 },
  ]);
  outbox.close();
});

test('the outbox holds at most 800 hourly summaries, counted by rows and not by sequence numbers', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-summary-')), 'outbox.db');
  const outbox = openSqliteOutbox(path, limits);
  outbox.writeSummary(hourSummary());
  // as sequence numbers continue after a repair
  const db = new Database(path);
  db.exec("UPDATE sqlite_sequence SET seq = 1001 WHERE name = 'hour_summary'");
  outbox.writeSummary(hourSummary());
  expect(outbox.summaries(1000).map((s) => s.sequence)).toEqual([1, 1002]);
  db.exec(`CREATE TEMP TABLE hour AS SELECT * FROM hour_summary WHERE sequence = 1;
    UPDATE hour SET sequence = NULL;
    INSERT INTO hour_summary SELECT hour.* FROM hour, json_each('${JSON.stringify(Array(798).fill(0))}');`);
  db.close();
  expect(outbox.summaries(1000)).toHaveLength(800);
  outbox.writeSummary(hourSummary());
  outbox.writeSummary(hourSummary());
  expect(outbox.summaries(1000).map((s) => s.sequence)).toEqual(Array.from({ length: 800 }, (_, i) => 1003 + i));
  outbox.close();
});

test('an hourly summary that the disk refuses is held and stored later', () => {
  const outbox = openSqliteOutbox(join(mkdtempSync(join(tmpdir(), 'tocsin-summary-')), 'outbox.db'), limits);
  let full = true;
  let now = 0;
  const report = openSummaryReport(
    {
      ...outbox,
      writeSummary(summary) {
        if (full) throw new Error('full');
        outbox.writeSummary(summary);
      },
    },
    silentLogger,
    () => now,
  );
  report.add(hourSummary());
  report.add(hourSummary({ beganMonotonicMs: hour, bootId }));
  full = false;
  report.retry();
  expect(outbox.summaries(10)).toHaveLength(0);
  now += 60_000;
  report.retry();
  expect(outbox.summaries(10).map((s) => s.beganMonotonicMs)).toEqual([0, hour]);
  outbox.close();
});
