import { describe, expect, test } from 'vitest';
import { openLossCount } from '../../agent/audio/loss-count.ts';
import { seededRandom } from '../support/random.ts';

const rate = 16000;
const frame = rate / 8;

/** A count over frames of 125 ms of a device whose crystal takes `factor` of the time that it should. */
function device(factor = 1) {
  const loss = openLossCount(rate);
  let nowMs = 5000;
  let received = 0;
  let first = 0;
  return {
    loss,
    get lost() {
      return loss.lost / rate;
    },
    /** Seconds that went by and are neither received nor lost. */
    get missing() {
      return (nowMs - 5000 - (received + loss.lost) / (rate / 1000)) / 1000;
    },
    get nowMs() {
      return nowMs;
    },
    /** Index of the first sample of the last frame, in seconds. */
    get first() {
      return first / rate;
    },
    pass(seconds: number) {
      nowMs += seconds * 1000;
    },
    take(samples: number, waitedMs: number) {
      first = loss.arrived(samples, nowMs, waitedMs);
      received += samples;
    },
    hear(seconds: number, waitedMs = 100) {
      for (let i = 0; i < seconds * 8; i++) {
        nowMs += 125 * factor;
        this.take(frame, waitedMs);
      }
    },
  };
}

test.each([0.995, 0.9995, 0.9999, 1, 1.0001, 1.0005])('a day at %f of the time: nothing lost, and a loss of 4 s afterwards is seen at once', (factor) => {
  const microphone = device(factor);
  microphone.hear(86_400);
  expect(microphone.lost).toBe(0);
  const before = microphone.first;
  microphone.pass(4);
  microphone.hear(0.125, 4100);
  microphone.hear(0.125);
  expect(microphone.lost).toBeCloseTo(4, 1);
  expect(microphone.first - before).toBeCloseTo(4.25, 1);
  microphone.hear(3600);
  expect(microphone.lost).toBeCloseTo(4, 1);
});

test('a crystal that is slow by more than any should be: received and lost are the time that went by', () => {
  const microphone = device(1.005);
  for (let hour = 0; hour < 3; hour++) {
    microphone.hear(3600);
    expect(Math.abs(microphone.missing)).toBeLessThan(1.3 + microphone.nowMs / 1e6); // and the drift that is allowed
  }
});

describe('a reader that is late', () => {
  test.each([1, 1.3, 1.6])('by %f s, all of which was kept for it, has lost nothing', (late) => {
    const microphone = device();
    microphone.hear(20);
    microphone.pass(late);
    for (let left = late; left > 0; left -= 0.5) microphone.take(Math.min(left, 0.5) * rate, 1);
    microphone.hear(20);
    expect(microphone.lost).toBe(0);
    expect(microphone.missing).toBeCloseTo(0, 1);
  });

  test('because the whole board stood still, has not waited', () => {
    const microphone = device();
    microphone.hear(20);
    microphone.pass(1.5);
    microphone.take(frame, 1600);
    microphone.take(1.375 * rate, 1);
    microphone.hear(20);
    expect(microphone.lost).toBe(0);
  });

  test.each(['before', 'after', 'never'])('by 4 s has lost what was not kept for it, once: overrun told %s', (when) => {
    const microphone = device();
    microphone.hear(20);
    const before = microphone.first;
    microphone.pass(4);
    microphone.take(0.5 * rate, 1);
    microphone.take(0.6 * rate, 1);
    expect(microphone.first - before).toBeCloseTo(0.625, 2); // what was kept for it comes from before the loss
    if (when === 'before') microphone.loss.overrun(2400, microphone.nowMs);
    microphone.hear(0.125);
    if (when === 'after') microphone.loss.overrun(2400, microphone.nowMs + 5);
    microphone.hear(20);
    microphone.loss.ended();
    expect(microphone.lost).toBeCloseTo(2.9, 2);
    expect(microphone.missing).toBeCloseTo(0, 2);
    // it is another loss
    microphone.loss.overrun(300, microphone.nowMs);
    microphone.pass(0.5);
    microphone.hear(20);
    expect(microphone.lost).toBeCloseTo(3.4, 2);
    expect(microphone.missing).toBeCloseTo(0, 2);
  });

  test('and never catches up loses what the clock shows, but for what may still wait for it', () => {
    const microphone = device(1.3);
    for (let minute = 0; minute < 10; minute++) {
      for (let i = 0; i < 10; i++) {
        microphone.hear(6, 2);
        microphone.loss.overrun(600, microphone.nowMs);
      }
      expect(microphone.missing).toBeGreaterThan(0);
      expect(microphone.missing).toBeLessThan(3.1);
    }
  });
});

test('frames up to 0.9 s late at random, of which none is missing: nothing lost', () => {
  const microphone = device();
  const random = seededRandom(1);
  let lateSeconds = 0;
  for (let i = 0; i < 10_000; i++) {
    const before = lateSeconds;
    lateSeconds = random() ** 4 * 0.9; // most are hardly late
    microphone.pass(0.125 + lateSeconds - before);
    microphone.take(frame, 30);
  }
  expect(microphone.lost).toBe(0);
});

test('an overrun of less than a second counts as told, also where the clock does not show it, or no more sound comes', () => {
  const microphone = device();
  microphone.hear(20);
  microphone.loss.overrun(300, microphone.nowMs);
  microphone.hear(20);
  expect(microphone.lost).toBe(0.3);
  microphone.loss.overrun(200, microphone.nowMs);
  microphone.loss.ended();
  expect(microphone.lost).toBe(0.5);
});

test('an overrun that claims more than went by counts for a second at most', () => {
  const microphone = device();
  microphone.hear(20);
  microphone.loss.overrun(1_389_283, microphone.nowMs);
  microphone.hear(20);
  expect(microphone.lost).toBe(1);
});
