import { expect, test } from 'vitest';
import { openLevelHistory } from '../../agent/events/level-history.ts';
import { openHearingReport, takeBackStop } from '../../agent/outbox/hearing-report.ts';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { healthCourier, openOutbox } from '../support/health-courier.ts';
import { fixedClock, hearingRecord, silentLogger } from '../support/samples.ts';

test('a listener that stops reporting becomes silent, and the time since counts as not heard', async () => {
  const { outbox, at } = healthCourier();
  outbox.writeHearing(hearingRecord());
  expect((await at(21_000)).hearing.state).toBe('listening');
  expect(await at(174_900)).toBeUndefined();
  expect(await at(176_000)).toMatchObject({ hearing: { state: 'silent', elapsedSeconds: 166, listenedSeconds: 9, notHeardSeconds: 157 } });
});

test.each([
  [5, 31_250],
  [600, 775_000],
])('a listener that reports every %i s is silent once it is late for that interval, reported once', async (intervalSeconds, lateMs) => {
  const { outbox, at, reconnect } = healthCourier();
  outbox.writeHearing(hearingRecord({ intervalSeconds }));
  const told: string[] = [];
  for (let ms = 21_000; ms < lateMs + 10_000; ms += 1000) {
    if (ms % 50_000 === 0) reconnect();
    const health = await at(ms);
    if (health) told.push(health.hearing.state);
    expect(told.includes('silent'), `at ${ms}`).toBe(ms > lateMs);
  }
  expect(told.filter((state) => state === 'silent')).toHaveLength(1);
});

test.each([5, 10, 16, 120])('a listener that reports every %i s is not silent where the disk refused one report', async (intervalSeconds) => {
  const { outbox, at, reconnect } = healthCourier();
  let now = 20_000;
  let refused = 0;
  const writeHearing: Outbox['writeHearing'] = (...row) => {
    if (outbox.readHearing() && refused++ === 0) throw new Error('disk full');
    outbox.writeHearing(...row);
  };
  const levels = openLevelHistory(
    () => undefined,
    () => undefined,
  );
  const parts = { outbox: { ...outbox, readHearing: () => undefined, readUsualLevels: () => [], writeHearing }, logger: silentLogger, levels };
  const report = openHearingReport({ ...parts, clock: fixedClock({ monotonicMs: () => now }) }, { name: 'street', version: '1' }, intervalSeconds * 1000);
  for (; now < 20_000 + 3 * intervalSeconds * 1000; now += 1000) {
    report({ sinceMonotonicMs: 10_000, state: 'listening', fault: undefined, listenedSeconds: 5, droppedSamples: 0, opens: 1 });
    reconnect();
    expect((await at(now + 900))?.hearing.state, `at ${now}`).toBe('listening');
  }
  expect(refused).toBeGreaterThan(1);
});

test('the time after an orderly stop counts as not heard', async () => {
  const { outbox, at, reconnect } = healthCourier();
  outbox.writeHearing(hearingRecord({ state: 'stopped' }));
  await at(21_000);
  reconnect();
  expect(await at(60_000)).toMatchObject({ hearing: { state: 'stopped', elapsedSeconds: 50, listenedSeconds: 9, notHeardSeconds: 41 } });
});

test('a listener that stopped in order stays `stopped`, even if its lock is unreadable or briefly held by another process', async () => {
  let runs: boolean | undefined;
  const { outbox, at, reconnect } = healthCourier(openOutbox(), () => runs);
  outbox.writeHearing(hearingRecord({ state: 'stopped' }));
  for (let ms = 21_000; ms < 900_000; ms += 1000) {
    if (ms === 300_000) runs = true;
    else if (ms > 300_000) runs = false;
    if (ms % 60_000 === 0) reconnect();
    const health = await at(ms);
    if (health) expect(health.hearing.state, `at ${ms}`).toBe('stopped');
  }
});

test('a listener that ran for long and stops in order is `stopped`, though its process takes a while to end', async () => {
  let runs = true;
  const { outbox, at, reconnect } = healthCourier(openOutbox(), () => runs);
  for (let ms = 20_000; ms < 300_000; ms += 1000) {
    if (ms % 60_000 === 0) outbox.writeHearing(hearingRecord({ writtenMonotonicMs: ms }));
    await at(ms);
  }
  outbox.writeHearing(hearingRecord({ state: 'stopped', writtenMonotonicMs: 299_500 }));
  expect(await at(300_000)).toMatchObject({ hearing: { state: 'stopped' } }); // it still holds its lock
  runs = false;
  for (let ms = 301_000; ms < 400_000; ms += 1000) await at(ms);
  reconnect();
  expect(await at(400_000)).toMatchObject({ hearing: { state: 'stopped' } });
});

test('health omits the noise floor and the suspicion of a silent listener', async () => {
  const { outbox, at } = healthCourier();
  outbox.writeHearing(hearingRecord({ noiseFloorDb: -58, suspicion: 'covered', fault: 'clipped' }));
  expect((await at(21_000)).hearing).toMatchObject({ state: 'listening', noiseFloorDb: -58, suspicion: 'covered' });
  const { hearing } = await at(180_000);
  expect(hearing).toMatchObject({ state: 'silent', suspicion: 'none', fault: 'clipped' });
  expect(hearing).not.toHaveProperty('noiseFloorDb');
  outbox.writeHearing(hearingRecord({ noiseFloorDb: -57, writtenMonotonicMs: 181_000 }));
  expect((await at(182_000)).hearing).toMatchObject({ state: 'listening', noiseFloorDb: -57 });
});

test('a listener whose process is gone is silent within 10 s, unless it stopped in order or is restarted', async () => {
  let runs = true;
  const { outbox, at } = healthCourier(openOutbox(), () => runs);
  outbox.writeHearing(hearingRecord());
  expect((await at(21_000)).hearing.state).toBe('listening');
  runs = false;
  expect(await at(22_000)).toBeUndefined();
  expect(await at(26_000)).toBeUndefined();
  runs = true; // restarted by systemd
  expect(await at(27_100)).toBeUndefined();
  runs = false; // failed again before it could report
  expect(await at(30_000)).toMatchObject({ hearing: { state: 'silent', elapsedSeconds: 20, listenedSeconds: 9, notHeardSeconds: 11 } });
  expect(await at(40_000)).toBeUndefined(); // reported once
  runs = true; // it loads its model: silent until it reports
  expect(await at(50_000)).toBeUndefined();
  outbox.writeHearing(hearingRecord({ state: 'starting', writtenMonotonicMs: 52_000, starts: 2 }));
  expect(await at(52_500)).toMatchObject({ hearing: { state: 'starting' } });
  outbox.writeHearing(hearingRecord({ state: 'stopped', writtenMonotonicMs: 60_000, starts: 2 }));
  expect(await at(60_500)).toMatchObject({ hearing: { state: 'stopped' } });
  runs = false;
  for (let ms = 62_000; ms < 80_000; ms += 1000) {
    runs = ms % 5000 === 0; // another process asks for the lock at the same moment
    expect(await at(ms)).toBeUndefined();
  }
  runs = false;
  // a listener starts, and fails before it is seen to hold its lock
  takeBackStop({ outbox, clock: fixedClock({ monotonicMs: () => 81_500 }) });
  expect(await at(82_000)).toMatchObject({ hearing: { state: 'starting', starts: 2 } });
  takeBackStop({ outbox, clock: fixedClock({ monotonicMs: () => 84_000 }) }); // and another one
  expect(await at(84_500)).toBeUndefined();
  expect(await at(87_000)).toMatchObject({ hearing: { state: 'silent', elapsedSeconds: 77, listenedSeconds: 9 } });
  expect(await at(97_000)).toBeUndefined();
});

test.each([
  ['listening', 1500],
  ['listening', 60_000],
  ['deaf', 1500],
  ['starting', 1500],
] as const)('a listener that died (last state %s) and fails at every start is silent, though it holds its lock for %i ms each time', async (state, holdsMs) => {
  let began = Number.POSITIVE_INFINITY;
  let now = 0;
  const runs = () => now < began || (now - began) % (3000 + holdsMs) >= 3000;
  const { outbox, at } = healthCourier(openOutbox(), runs);
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
  began = now; // the lock is free for 3 s, then held for as long as a start takes to fail
  await look(130_000);
  expect(told.map(([is]) => is)).toEqual([state, 'silent']);
  expect(told[1]?.[1]).toBeLessThanOrEqual(Math.max(10_000, holdsMs + 3000));
  outbox.writeHearing(hearingRecord({ state: 'starting', writtenMonotonicMs: now, starts: 2 }));
  await look(now + 2000);
  expect(told.at(-1)?.[0], 'it is believed once it reports').toBe('starting');
});

test('a running listener that cannot write to the disk becomes silent once its report is overdue', async () => {
  let runs = false;
  const { outbox, at } = healthCourier(openOutbox(), () => runs);
  outbox.writeHearing(hearingRecord({ state: 'stopped' }));
  expect((await at(21_000)).hearing.state).toBe('stopped');
  for (let ms = 22_000; ms < 60_000; ms += 1000) expect(await at(ms)).toBeUndefined();
  runs = true;
  let toldMs = 60_000;
  let told: Awaited<ReturnType<typeof at>>;
  for (; toldMs < 400_000 && told?.hearing.state !== 'silent'; toldMs += 1000) told = await at(toldMs);
  expect(toldMs, 'not before a listener that hears would have reported').toBeGreaterThan(60_000 + 1.25 * 120_000);
  expect(toldMs).toBeLessThan(400_000);
  outbox.writeHearing(hearingRecord({ state: 'listening', writtenMonotonicMs: toldMs }));
  expect(await at(toldMs + 1000)).toMatchObject({ hearing: { state: 'listening' } });
});

test.each(['listening', 'stopped'] as const)('a listener that was %s and is restarted is not reported as silent while it loads its model', async (state) => {
  let runs: boolean | undefined = false;
  const { outbox, at } = healthCourier(openOutbox(), () => runs);
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

test('a hearing record from the future is published, and ages from when it was first seen', async () => {
  const { outbox, at } = healthCourier();
  outbox.writeHearing(hearingRecord({ writtenMonotonicMs: 1_000_000, sinceMonotonicMs: 990_000 }));
  expect(await at(21_000)).toMatchObject({ hearing: { state: 'listening', reportedSecondsAgo: 0, elapsedSeconds: 1 } });
  expect(await at(180_000)).toMatchObject({ hearing: { state: 'silent', reportedSecondsAgo: 159, elapsedSeconds: 160, listenedSeconds: 9 } });
});

test('a hearing record written before its own start does not block health', async () => {
  const { outbox, at } = healthCourier();
  outbox.writeHearing(hearingRecord({ writtenMonotonicMs: 12_000, sinceMonotonicMs: 15_000 }));
  expect(await at(21_000)).toMatchObject({ hearing: { state: 'listening', elapsedSeconds: 0, listenedSeconds: 0, notHeardSeconds: 0 } });
});

test('a listener that never reported in this boot is silent after 30 s; a record of another boot is ignored', async () => {
  const { outbox, at } = healthCourier();
  outbox.writeHearing(hearingRecord({ bootId: 'ffffffff-7d3a-4f5b-9c8d-1e2f3a4b5c6d' }));
  expect(await at(25_000)).toBeUndefined();
  expect(await at(49_900)).toBeUndefined();
  expect(await at(51_000)).toMatchObject({
    hearing: { state: 'silent', elapsedSeconds: 31, listenedSeconds: 0, notHeardSeconds: 31, starts: 0, reportedSecondsAgo: 51 },
  });
  expect(await at(6_870_000)).toMatchObject({ hearing: { state: 'silent', elapsedSeconds: 6850, notHeardSeconds: 6850 } });
  // what was not heard before the first record stays not heard
  outbox.writeHearing(hearingRecord({ sinceMonotonicMs: 6_880_000, writtenMonotonicMs: 6_890_000 }));
  expect(await at(6_891_000)).toMatchObject({ hearing: { state: 'listening', elapsedSeconds: 6870, listenedSeconds: 9, notHeardSeconds: 6861 } });
});
