import { expect, test } from 'vitest';
import { openStallWatch } from '../../agent/audio/stall.ts';

const rate = 16000;
const readMs = 200; // as in pcm-process.ts

/** Reads a device as pcm-process.ts does until it is stuck, on a clock that starts at 0. */
function reader(silenceSeconds = 5) {
  const watch = openStallWatch(rate, silenceSeconds, 0);
  let nowMs = 0;
  let stuckMs: number | undefined;
  return {
    /** Seconds until the device was stuck. */
    get stuck() {
      return stuckMs === undefined ? undefined : stuckMs / 1000;
    },
    get seconds() {
      return nowMs / 1000;
    },
    /** The device delivers sound in frames of 125 ms. */
    hear(seconds: number) {
      for (let i = 0; i < seconds * 8; i++) {
        nowMs += 125;
        watch.arrived(rate / 8, nowMs);
      }
    },
    /** The device delivers nothing. */
    nothing(seconds: number) {
      for (let i = 0; i < (seconds * 1000) / readMs; i++) {
        nowMs += readMs;
        if (watch.waited(readMs, nowMs)) stuckMs ??= nowMs;
      }
    },
    /** Buffered sound arrives at once. */
    burst(seconds: number) {
      watch.arrived(seconds * rate, nowMs);
    },
    /** The reader itself, or the board, stalls. */
    still(seconds: number) {
      nowMs += seconds * 1000;
    },
  };
}

test('a device is stuck when it delivers nothing for the allowed time, at the start and after hours of sound', () => {
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
])('a device that repeatedly delivers %f s of sound and then nothing for %f s is stuck within 12 s', (on, off) => {
  const device = reader();
  device.hear(60);
  while (device.seconds < 75) {
    device.nothing(off);
    device.hear(on);
  }
  expect((device.stuck as number) - 60).toBeLessThan(12);
});

test('a device that took long to open gets the full silence timeout afterwards', () => {
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
])('a device with %s is not stuck', (_name, off, on) => {
  const device = reader();
  while (device.seconds < 300) {
    device.nothing(off);
    device.hear(on);
  }
  expect(device.stuck).toBeUndefined();
});

test('late but complete sound is not missing: a device that delivers once a second, and a reader that catches up', () => {
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

test('stalls of the reader, even repeated and of ten minutes, are no fault of the device', () => {
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

test('a stall of the reader after an hour of waiting for each frame is no fault of the device', () => {
  const device = reader();
  while (device.seconds < 3600) {
    device.nothing(0.2);
    device.hear(0.25);
  }
  device.still(8);
  device.nothing(0.2);
  expect(device.stuck).toBeUndefined();
});
