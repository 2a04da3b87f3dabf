import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Hearing } from '../../agent/audio/hearing.ts';
import type { UsualLevel } from '../../agent/events/health.ts';
import { openLevelHistory } from '../../agent/events/level-history.ts';
import { readBoard, throttledFile } from '../../agent/lib/board.ts';
import { openHearingReport, takeBackStop } from '../../agent/outbox/hearing-report.ts';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { openSummaryReport } from '../../agent/outbox/summary-report.ts';
import { streetLevels } from '../support/levels.ts';
import { fixedClock, hearingRecord, hourSummary, limits, silentLogger } from '../support/samples.ts';

const openOutbox = () => openSqliteOutbox(join(mkdtempSync(join(tmpdir(), 'tocsin-health-')), 'outbox.db'), limits);
const levels = openLevelHistory(
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

test('the listener writes the hearing record when its state changes and at intervals, and continues its counts after a restart, not after a reboot', () => {
  const outbox = openOutbox();
  let now = 10_000;
  const parts = { outbox, clock: fixedClock({ monotonicMs: () => now }), logger: silentLogger, levels };
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
  // too soon after the last write; the supervisor reports again within a second
  report(hearing({ state: 'deaf', fault: 'busy' }));
  expect(written()).toBe(133_000);
  now = 135_000;
  report(hearing({ state: 'deaf', fault: 'busy', listenedSeconds: 120 }));
  expect(outbox.readHearing()).toMatchObject({ state: 'deaf', fault: 'busy' });

  now = 200_000;
  const restarted = openHearingReport(parts, model, 120_000);
  restarted(hearing({ sinceMonotonicMs: 200_000, listenedSeconds: 1 }));
  expect(outbox.readHearing()).toMatchObject({ sinceMonotonicMs: 10_000, listenedSeconds: 121, droppedSamples: 14, opens: 2, starts: 2 });

  const rebooted = openHearingReport({ ...parts, clock: fixedClock({ bootId: 'ffffffff-7d3a-4f5b-9c8d-1e2f3a4b5c6d' }) }, model, 120_000);
  rebooted(hearing());
  expect(outbox.readHearing(), 'a boot begins anew').toMatchObject({ sinceMonotonicMs: 10_000, listenedSeconds: 5, droppedSamples: 7, opens: 1, starts: 1 });
});

test('a start resets the state `stopped` to `starting` if the stop was in the same boot, and changes nothing else', () => {
  const outbox = openOutbox();
  const clock = fixedClock({ monotonicMs: () => 40_000 });
  const after = (change: Parameters<typeof hearingRecord>[0]) => {
    outbox.writeHearing(hearingRecord(change));
    takeBackStop({ outbox, clock });
    return outbox.readHearing();
  };
  takeBackStop({ outbox, clock });
  expect(outbox.readHearing()).toBeUndefined();
  expect(after({ state: 'stopped', starts: 3 })).toEqual(hearingRecord({ state: 'starting', starts: 3, writtenMonotonicMs: 40_000 }));
  for (const left of [{ state: 'listening' }, { state: 'stopped', bootId: 'ffffffff-7d3a-4f5b-9c8d-1e2f3a4b5c6d' }] as const)
    expect(after(left)).toEqual(hearingRecord(left));
});

test('a microphone that comes and goes is recorded at once ten times, then once a minute; after a quiet period at once again', () => {
  const outbox = openOutbox();
  let now = 10_000;
  const parts = { outbox, clock: fixedClock({ monotonicMs: () => now }), logger: silentLogger, levels };
  const report = openHearingReport(parts, { name: 'street', version: '0.1.0' }, 600_000);
  const times = new Set<number>();
  const flap = (seconds: number) => {
    for (const end = now + seconds * 1000; now < end; now += 1000) {
      const well = (now / 1000) % 4 < 2;
      report(hearing(well ? {} : { state: 'deaf', fault: 'unplugged' }));
      times.add(outbox.readHearing()?.writtenMonotonicMs as number);
    }
  };
  flap(3600);
  expect(times.size).toBeGreaterThan(60);
  expect(times.size).toBeLessThanOrEqual(72);
  for (let minute = 0; minute < 10; minute++, now += 60_000) report(hearing());
  report(hearing(), true); // a write without a change does not spend what the quiet minutes gave
  for (let change = 0; change < 10; change++) {
    const fault = change % 2 ? 'unplugged' : 'busy';
    now += 2000;
    report(hearing({ state: 'deaf', fault }));
    expect(outbox.readHearing()).toMatchObject({ state: 'deaf', fault, writtenMonotonicMs: now });
  }
});

test('an outbox that cannot be written does not stop the listener and is tried again', () => {
  const outbox = openOutbox();
  let now = 10_000;
  let broken = true;
  const writeHearing: typeof outbox.writeHearing = (record) => {
    if (broken) throw new Error('disk full');
    outbox.writeHearing(record);
  };
  const failing = { readHearing: () => undefined, readUsualLevels: () => [], writeHearing } as unknown as typeof outbox;
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

  // fails at the end of an interval too: after another whole interval the courier would report the listener as silent
  broken = true;
  for (; now < 136_000; now += 1000) report(hearing());
  broken = false;
  for (; now < 150_000; now += 1000) report(hearing());
  expect(outbox.readHearing()?.writtenMonotonicMs).toBe(143_000);
});

test('the hearing record has a noise floor while the microphone is heard, and none while it is deaf', () => {
  const outbox = openOutbox();
  let now = 10_000;
  const history = openLevelHistory(
    () => undefined,
    () => undefined,
  );
  const parts = { outbox, clock: fixedClock({ monotonicMs: () => now }), logger: silentLogger, levels: history };
  const report = openHearingReport(parts, { name: 'street', version: '0.1.0' }, 120_000);
  streetLevels(history, 1, -60, -30);
  report(hearing());
  expect(outbox.readHearing()?.noiseFloorDb).toBe(-60);
  now += 3000;
  report(hearing({ state: 'deaf', fault: 'unplugged' }));
  expect(outbox.readHearing()).not.toHaveProperty('noiseFloorDb');
});

test('an outbox that is unreadable at first is read before it is written: counts continue and usual levels are kept', () => {
  const outbox = openOutbox();
  const usual = (hour: number, quarters: number) => ({ hour, quarters, floorDb: -60, loudDb: -30 });
  outbox.writeHearing(hearingRecord({ starts: 3 }), [usual(3, 50), usual(4, 50)]);
  let now = 40_000;
  let closed = true;
  const whileOpen = <T>(work: () => T): T => {
    if (closed) throw new Error('unable to open database file');
    return work();
  };
  const stuck = {
    readHearing: () => whileOpen(() => outbox.readHearing()),
    readUsualLevels: () => whileOpen(() => outbox.readUsualLevels()),
    writeHearing: (...record) => whileOpen(() => outbox.writeHearing(...record)),
  } as Pick<typeof outbox, 'readHearing' | 'readUsualLevels' | 'writeHearing'> as typeof outbox;
  const learnt = new Map<number, ReturnType<typeof usual>>();
  let hour = 3;
  const history = openLevelHistory(
    () => hour,
    (level) => learnt.set(level.hour, level),
  );
  const parts = { outbox: stuck, clock: fixedClock({ monotonicMs: () => now }), logger: silentLogger, levels: history, learnt };
  const report = openHearingReport(parts, { name: 'street', version: '0.1.0' }, 120_000);
  report(hearing({ sinceMonotonicMs: 40_000, listenedSeconds: 0 }));
  streetLevels(history, 1, -80, -50);
  hour = 5;
  streetLevels(history, 1, -70, -40);
  closed = false;
  now = 43_000;
  report(hearing({ sinceMonotonicMs: 40_000, listenedSeconds: 2 }));
  expect(outbox.readHearing()).toMatchObject({ sinceMonotonicMs: 10_000, listenedSeconds: 11, starts: 4 });
  expect(outbox.readUsualLevels()).toEqual([usual(3, 50), usual(4, 50), { hour: 5, quarters: 1, floorDb: -70, loudDb: -40 }]);
  hour = 3;
  streetLevels(history, 4, -80, -50);
  expect(history.suspicion()).toBe('covered');
});

test('while the disk takes nothing for days, the listener holds one usual level for each hour of the day, and stores the last', () => {
  let isWell = false;
  const written: (readonly UsualLevel[])[] = [];
  const outbox = {
    readHearing: () => undefined,
    readUsualLevels: () => [],
    writeHearing(_record, levels = []) {
      if (!isWell) throw new Error('read-only');
      written.push(levels);
    },
  } as Pick<Outbox, 'readHearing' | 'readUsualLevels' | 'writeHearing'> as Outbox;
  const learnt = new Map<number, UsualLevel>();
  let quarters = 0;
  const history = openLevelHistory(
    () => Math.floor(quarters / 4) % 24,
    (level) => learnt.set(level.hour, level),
  );
  const parts = { outbox, clock: fixedClock({ monotonicMs: () => quarters * 900_000 }), logger: silentLogger, levels: history, learnt };
  const report = openHearingReport(parts, { name: 'street', version: '0.1.0' }, 600_000);
  for (; quarters < 3 * 96; quarters++) {
    streetLevels(history, 1, -60, -30);
    report(hearing({}));
  }
  expect(learnt.size).toBe(24);
  isWell = true;
  report(hearing({}));
  expect(written.map((levels) => levels.map((level) => level.quarters))).toEqual([Array.from({ length: 24 }, () => 12)]);
  expect(learnt.size).toBe(0);
});

// The files are like those of a Raspberry Pi; there is no firmware behind them.
test('the board reports temperature and throttling where the files exist, and nothing where they do not', () => {
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
  writeFileSync(join(firmware, 'get_throttled'), '8\n'); // the soft temperature limit
  expect(readBoard(sys, sys)).toMatchObject({ throttled: 'now', underVoltage: 'no' });
  writeFileSync(join(firmware, 'get_throttled'), '10000\n');
  expect(readBoard(sys, sys)).toMatchObject({ throttled: 'no', underVoltage: 'earlier', freeDiskMegabytes: expect.any(Number) });
});

test.each(['soc/soc:firmware', 'soc@107c000000:firmware', 'soc@107c000000/soc@107c000000:firmware'])('throttling is read with the firmware in %s', (folder) => {
  const sys = mkdtempSync(join(tmpdir(), 'tocsin-sys-'));
  for (const other of ['soc/soc:gpu', 'soc@107c000000/soc@107c000000:power', 'socket:firmware', 'serial8250', folder])
    mkdirSync(join(sys, 'devices/platform', other), { recursive: true });
  writeFileSync(join(sys, 'devices/platform', folder, 'get_throttled'), '50005\n');
  expect(throttledFile(sys)).toBe(join(sys, 'devices/platform', folder, 'get_throttled'));
  expect(readBoard('/nowhere', sys)).toEqual({ throttled: 'now', underVoltage: 'now' });
});

test('counts beyond the bounds of the outbox are stored at the bound, with the rest of the record', () => {
  const outbox = openOutbox();
  outbox.writeHearing(hearingRecord({ starts: 1_000_001, opens: 2e9, droppedSamples: 1e12 + 1, listenedSeconds: 77 }));
  expect(outbox.readHearing()).toMatchObject({ starts: 1_000_000, opens: 1e9, droppedSamples: 1e12, listenedSeconds: 77 });
  outbox.close();
});

test('an hourly level beyond the bounds is stored at the bound; an hour that the schema refuses does not block later ones', () => {
  const outbox = openOutbox();
  const report = openSummaryReport(outbox, silentLogger, () => 0);
  report.add(hourSummary({ levels: { laeq: 21, la10: 25, la90: -140 } }));
  report.add(hourSummary({ recognised: { glass_break: -1, shout: 0, bang: 0 } }));
  report.add(hourSummary({ listenedSeconds: 77 }));
  report.retry();
  expect(outbox.summaries(10).map(({ levels, listenedSeconds }) => [levels?.laeq, levels?.la90, listenedSeconds])).toEqual([
    [20, -130, hourSummary().listenedSeconds],
    [hourSummary().levels?.laeq, hourSummary().levels?.la90, 77],
  ]);
  outbox.close();
});

test('a stop whose write is refused once is stored all the same; any other report waits for its next turn', () => {
  const outbox = openOutbox();
  let now = 10_000;
  const parts = { outbox, clock: fixedClock({ monotonicMs: () => now }), logger: silentLogger, levels };
  const report = openHearingReport(parts, { name: 'street', version: '0.1.0' }, 120_000);
  report(hearing());
  const { writeHearing } = outbox;
  const refuseOnce = () => {
    outbox.writeHearing = () => {
      outbox.writeHearing = writeHearing;
      throw Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_WRITE' });
    };
  };
  refuseOnce();
  now = 20_000;
  report(hearing({ state: 'deaf', fault: 'flat' }));
  expect(outbox.readHearing()?.state).toBe('listening');
  refuseOnce();
  report(hearing({ state: 'stopped' }));
  expect(outbox.readHearing()?.state).toBe('stopped');
});
