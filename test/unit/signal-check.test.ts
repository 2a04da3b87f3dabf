import { expect, test } from 'vitest';
import { openSignalCheck, type SignalVerdict } from '../../agent/audio/signal-check.ts';
import { seededRandom } from '../support/random.ts';

const rate = 16000;
const frame = rate / 8;

/**
 * Plays `seconds` of samples from `sample`; each frame arrives at `arrival(due)` and was waited for `waited(due)` ms.
 */
function play(
  seconds: number,
  sample: (i: number) => number,
  arrival = (dueMs: number) => dueMs,
  waited: (dueMs: number) => number = () => 100,
  distrust = false,
  afterOverrun: (dueMs: number) => boolean = () => false,
) {
  const check = openSignalCheck(rate, 5);
  const faults: { fault: SignalVerdict['fault']; second: number }[] = [];
  let heard = 0;
  let clippedAt: number | undefined;
  let clipped = false;
  let rateSeconds = 0;
  let rightAt: number | undefined;
  for (let first = 0; first < seconds * rate; first += frame) {
    const samples = Float32Array.from({ length: frame }, (_, i) => sample(first + i));
    const due = ((first + frame) / rate) * 1000;
    const verdict = check.push({ samples, afterOverrun: afterOverrun(due) }, arrival(due), waited(due), distrust);
    heard += verdict.heardSamples / rate;
    if (verdict.fault) faults.push({ fault: verdict.fault, second: first / rate });
    ({ clipped, rateSeconds } = verdict);
    if (clipped) clippedAt ??= first / rate;
    if (verdict.rateRight) rightAt ??= first / rate;
  }
  return { fault: faults[0]?.fault, second: faults[0]?.second ?? Infinity, heard, clippedAt, clipped, rateSeconds, rightAt };
}
const tone = (i: number) => 0.1 * Math.sin(i / 5);
// two steps of the converter
const quiet = (i: number) => Math.round(1.2 * Math.sin(i / 5) + 1.2 * Math.sin(i / 11)) / 32768;

test('normal and very quiet sound are no fault and count as heard', () => {
  // and no more than 60 s of history is kept
  expect(play(120, tone)).toMatchObject({ fault: undefined, heard: 120, clippedAt: undefined, rateSeconds: 60 });
  expect(play(120, quiet)).toMatchObject({ fault: undefined, heard: 120 });
});

test('zeros and a constant signal become a fault and never count as heard', () => {
  const zeros = play(20, (i) => (i < 10 * rate ? tone(i) : 0));
  expect(zeros).toMatchObject({ fault: 'zeros', heard: 10 });
  expect(zeros.second).toBeLessThan(16);
  expect(play(20, (i) => (i < 10 * rate ? tone(i) : 0.25 + (i % 2) / 32768))).toMatchObject({ fault: 'flat', heard: 10 });
  for (const still of [() => -1, (i: number) => (i % 2) / 32768])
    expect(play(20, (i) => (i < 10 * rate ? tone(i) : still(i)))).toMatchObject({ fault: 'flat' });
});

test('a pause of 4 s without variation counts as heard, one of 8 s does not', () => {
  expect(play(20, (i) => (i > 8 * rate && i < 12 * rate ? 0 : tone(i)))).toMatchObject({ fault: undefined, heard: 20 });
  expect(play(24, (i) => (i >= 8 * rate && i < 16 * rate ? 0 : tone(i)))).toMatchObject({ fault: 'zeros', heard: 16 });
});

/** In each `period` seconds the last `dead` seconds have `value`; the change is not at a frame boundary. */
const dying = (dead: number, period: number, value: number) => (i: number) => (i % (period * rate) < (period - dead) * rate - 77 ? tone(i) : value);

test.each([
  ['zeros', 4.9, 5, 0],
  ['zeros', 3, 5, 0],
  ['zeros', 2, 3, 0],
  ['flat', 4, 5, 0.25],
])('a loose plug (%s for %f of each %f s) is a fault within 150 s, and crackle does not end the fault', (fault, dead, period, value) => {
  const result = play(200, dying(dead, period, value));
  expect(result.fault).toBe(fault);
  expect(result.second).toBeGreaterThan(30);
  expect(result.second).toBeLessThan(150);
  const again = play(100, dying(dead, period, value), undefined, undefined, true);
  expect(again.heard).toBeLessThan(period - dead < 1 ? 0.001 : 100 * (1 - dead / period) + 1);
});

test('after a loose plug is repaired, sound counts as heard again', () => {
  const { heard } = play(20, (i) => (i < 5 * rate ? dying(4, 5, 0)(i) : tone(i)), undefined, undefined, true);
  expect(heard).toBeGreaterThan(14.5);
});

test.each<[string, (i: number) => number]>([
  ['2 s of zeros in 5', dying(2, 5, 0)],
  ['a gate that closes between words', dying(0.9, 1.2, 0)],
  ['a 24-bit converter cut to 16 bits, where one bit flips now and then', (i) => (i % 11_003 === 0 ? -1 : i % 50_021 === 7 ? 1 : 0) / 32768],
  ['half a minute of a quiet night with 2 s of zeros in every 3 s', (i) => (i > 60 * rate && i < 90 * rate ? dying(2, 3, 0)(i) : quiet(i))],
])('%s is not a fault', (_name, sample) => {
  expect(play(200, sample).fault).toBeUndefined();
});

test('with a silence limit of 60 s, long zeros are not a fault', () => {
  const check = openSignalCheck(rate, 60);
  for (let i = 0; i < 300 * 8; i++)
    expect(check.push({ samples: new Float32Array(frame).fill(i % 400 === 0 ? 0.1 : 0, 0, 9) }, i * 125, 100, false).fault).toBeUndefined();
});

test('a rate off by 4 % is a fault only after 50 s; a rate off by 0.8 % is no fault', () => {
  for (const [off, fault] of [
    [0.04, 'slow'],
    [-0.04, 'fast'],
  ] as const)
    expect(play(70, tone, (dueMs) => dueMs * (1 + off))).toMatchObject({ fault, second: expect.toSatisfy((second) => second > 50) });
  for (const off of [0.008, -0.008]) expect(play(180, tone, (dueMs) => dueMs * (1 + off)).fault).toBeUndefined();
});

test('half the samples at full scale are reported as clipped within 10 s; a single bang is not', () => {
  const loud = (i: number) => Math.max(-1, Math.min(32767 / 32768, 3 * Math.sin(i / 5)));
  const { clippedAt } = play(20, (i) => (i < 5 * rate ? tone(i) : loud(i)));
  expect(clippedAt).toBeGreaterThan(5);
  expect(clippedAt).toBeLessThan(15);
  expect(play(20, (i) => (i % (10 * rate) < 0.3 * rate ? loud(i) : tone(i))).clippedAt).toBeUndefined();
});

test('6 % of full-scale samples count as clipped, 4 % do not; clipping ends below 1 %', () => {
  const each =
    (count: number, peak = 1) =>
    (i: number) =>
      i % count === 0 ? peak : tone(i);
  for (const peak of [1, -1]) {
    expect(play(30, each(16, peak)).clippedAt).toBeLessThan(12);
    expect(play(30, each(25, peak)).clippedAt).toBeUndefined();
  }
  expect(play(30, (i) => (i % rate < 0.15 * rate ? each(2)(i) : tone(i))).clippedAt, 'an average of 7.5 %, in bursts').toBeLessThan(12);
  const then = (rare: number) => (i: number) => each(i < 20 * rate ? 10 : rare)(i);
  expect([play(60, then(70)).clipped, play(60, then(150)).clipped]).toEqual([true, false]);
});

test.each([
  ['slow', 1.088, 10], // 44.1 kHz labelled as 48 kHz
  ['slow', 1.06, 10],
  ['slow', 1.015, 70],
  ['fast', 0.92, 10],
  ['fast', 0.985, 70],
])('a rate that is %s by a factor of %f is detected within %i s', (fault, factor, limit) => {
  const result = play(100, tone, (due) => due * factor);
  expect(result.fault).toBe(fault);
  expect(result.second).toBeLessThan(limit);
});

test('a correct rate is confirmed within 30 s, also with 100 ms of jitter; a rate off by 1 % never is', () => {
  const random = seededRandom(9);
  const late = (factor: number, byMs: number) => {
    let previous = 0;
    return (due: number) => {
      previous = Math.max(previous, due * factor + byMs * random());
      return previous;
    };
  };
  for (const byMs of [0, 20, 100]) {
    for (const factor of [1, 1.0005, 0.9995]) expect(play(60, tone, late(factor, byMs)).rightAt).toBeLessThan(30);
    for (const factor of [1.01, 0.99, 1.03]) for (let i = 0; i < 3; i++) expect(play(60, tone, late(factor, byMs)).rightAt).toBeUndefined();
  }
  // a late reader has no measure, and one step is not a steady rate
  expect(
    play(
      60,
      tone,
      (due) => due,
      () => 5,
    ).rightAt,
  ).toBeUndefined();
  expect(play(30, tone, (due) => (due > 15_000 ? due + 100 : due)).rightAt).toBeUndefined();
});

test.each([1.01, 1.02, 1.06, 1.08, 1.1, 1.12, 1.3])('a reader that was 1 s late and catches up at %f times real time is no fault', (speed) => {
  for (const seenAsWait of [2, 1000]) {
    // if the whole board stalled, the reader seems to have waited for the next frame
    const lateMs = (due: number) => Math.max(0, 1000 - (due - 60_000) * (1 - 1 / speed));
    const waited = (due: number) => (due === 60_125 ? seenAsWait : due > 60_000 && lateMs(due) > 0 ? 2 : 100);
    expect(play(200, tone, (due) => (due > 60_000 ? due + lateMs(due) : due), waited).fault).toBeUndefined();
  }
});

test('crystal tolerance, jitter, one loss and a late reader are no rate faults', () => {
  expect(play(300, tone, (due) => due * 1.0005).fault).toBeUndefined();
  let state = 1;
  const random = () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  };
  let previous = 0;
  const jitter = (due: number) => {
    previous = Math.max(previous, due + 400 * random());
    return previous;
  };
  expect(play(300, tone, jitter).fault).toBeUndefined();
  expect(play(120, tone, (due) => (due > 60_000 ? due + 3000 : due)).fault).toBeUndefined();
  expect(
    play(
      120,
      tone,
      (due) => due * 1.3,
      () => 5,
    ).fault,
  ).toBeUndefined();
});

test.each(['the listener stands still', 'arecord reports an overrun'])('sound that is lost every ten seconds, because %s, is no slow rate', (why) => {
  const isLate = why === 'the listener stands still';
  const isLoss = (due: number) => due > 10_000 && due % 10_000 === 125;
  const lost = (due: number) => 1400 * Math.floor(Math.max(0, due - 125) / 10_000);
  const after = (due: number) => isLoss(due) && !isLate;
  const waited = (due: number) => (isLoss(due) ? (isLate ? 2 : 1525) : 100);
  const { fault, heard } = play(200, tone, (due) => due + lost(due), waited, false, after);
  expect(fault).toBeUndefined();
  expect(heard).toBeGreaterThan(199);
});

test('a slow rate is found all the same where the listener stands still now and then, or the sound comes once a second', () => {
  const waited = (due: number) => (due % 20_000 === 125 ? 2 : 100);
  const lost = (due: number) => 1400 * Math.floor(due / 20_000);
  expect(play(100, tone, (due) => due * 1.088 + lost(due), waited).fault).toBe('slow');
  const inLumps = (due: number) => Math.ceil(due / 1000) * 1088;
  expect(play(20, tone, inLumps, (due) => (due % 1000 === 125 ? 1086 : 0)).fault).toBe('slow');
});
