import { expect, test } from 'vitest';
import { openStallWatch } from '../../agent/audio/stall.ts';

const rate = 16000;
const readMs = 200; // as pcm-process.ts reads

/** Reads a device as pcm-process.ts does until it is stuck. What is told of lies on one clock, which starts at 0. */
function reader(silenceSeconds = 5) {
  const watch = openStallWatch(rate, silenceSeconds, 0);
  let nowMs = 0;
  let stuckMs: number | undefined;
  return {
    /** Seconds until it was stuck. */
    get stuck() {
      return stuckMs === undefined ? undefined : stuckMs / 1000;
    },
    get seconds() {
      return nowMs / 1000;
    },
    /** The device gives sound in frames of 125 ms. */
    hear(seconds: number) {
      for (let i = 0; i < seconds * 8; i++) {
        nowMs += 125;
        watch.arrived(rate / 8, nowMs);
      }
    },
    /** It gives none. */
    nothing(seconds: number) {
      for (let i = 0; i < (seconds * 1000) / readMs; i++) {
        nowMs += readMs;
        if (watch.waited(readMs, nowMs)) stuckMs ??= nowMs;
      }
    },
    /** What had piled up comes at once. */
    burst(seconds: number) {
      watch.arrived(seconds * rate, nowMs);
    },
    /** The reader itself, or the board, stands still. */
    still(seconds: number) {
      nowMs += seconds * 1000;
    },
  };
}

test('nothing for as long as is allowed is stuck, from the start and after hours of sound, and nothing shorter is', () => {
  for (const hours of [0, 3]) {
    const device = reader();
    device.hear(hours * 3600);
    const began = device.seconds;
    device.nothing(4.8);
    expect(device.stuck).toBeUndefined();
    device.nothing(1);
    expect((device.stuck as number) - began).toBeCloseTo(5, 1);
  }
  const patient = reader(10);
  patient.nothing(9.8);
  expect(patient.stuck).toBeUndefined();
});

test.each([
  [1, 4.6],
  [0.125, 3],
  [0.125, 0.4],
  [3, 4],
  [0.5, 0.8],
])('one that gives %f s and then none for %f s, again and again, is stuck within 12 s', (on, off) => {
  const device = reader();
  device.hear(60);
  while (device.seconds < 75) {
    device.nothing(off);
    device.hear(on);
  }
  expect((device.stuck as number) - 60).toBeLessThan(12);
});

test('one that took long to open is given as much time as any other', () => {
  const device = reader();
  device.nothing(4.8);
  device.hear(0.125);
  device.nothing(4.8);
  expect(device.stuck).toBeUndefined();
  device.nothing(0.4);
  expect(device.stuck).toBeDefined();
});

test.each([
  ['4.8 s of nothing once a minute', 4.8, 55],
  ['nothing for a third of the time', 1, 2],
  ['a wait before each frame', 0.2, 0.25],
])('%s is not', (_name, off, on) => {
  const device = reader();
  while (device.seconds < 300) {
    device.nothing(off);
    device.hear(on);
  }
  expect(device.stuck).toBeUndefined();
});

test('what comes late but whole is not missing: a device that gives a second each second, and a starved program that catches up', () => {
  const device = reader();
  while (device.seconds < 60) {
    device.nothing(1);
    device.burst(1);
  }
  while (device.seconds < 120) {
    device.nothing(4);
    device.burst(4);
  }
  expect(device.stuck).toBeUndefined();
});

test('while the reader stands still it does not wait: minutes of that, again and again, are no fault of the device', () => {
  const device = reader();
  for (let i = 0; i < 10; i++) {
    device.still(i === 5 ? 600 : 6);
    device.burst(0.5); // the rest is lost
    device.nothing(0.2);
    device.hear(0.5);
  }
  expect(device.stuck).toBeUndefined();
  device.nothing(5);
  expect(device.stuck).toBeDefined();
});

test('nor are they after an hour in which it waited for each frame', () => {
  const device = reader();
  while (device.seconds < 3600) {
    device.nothing(0.2);
    device.hear(0.25);
  }
  device.still(8);
  device.nothing(0.2);
  expect(device.stuck).toBeUndefined();
});
