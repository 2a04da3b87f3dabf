import { describe, expect, test } from 'vitest';
import { openLossCount } from '../../agent/audio/loss-count.ts';
import { seededRandom } from '../support/random.ts';

const rate = 16000;
const frame = rate / 8;

/** A loss count over frames of 125 ms from a device whose crystal takes `factor` times the nominal time. */
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
    /** Elapsed seconds that are neither received nor lost. */
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

test.each([0.995, 0.9995, 0.9999, 1, 1.0001, 1.0005])(
  'with a crystal at %f of the nominal time nothing is lost in a day, and a loss of 4 s afterwards is counted at once',
  (factor) => {
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
  },
);

test('with a crystal 0.5 % slow, received plus lost time equals the elapsed time', () => {
  const microphone = device(1.005);
  for (let hour = 0; hour < 3; hour++) {
    microphone.hear(3600);
    expect(Math.abs(microphone.missing)).toBeLessThan(1.3 + microphone.nowMs / 1e6); // plus the allowed drift
  }
});

describe('a late reader', () => {
  test.each([1, 1.3, 1.6])('loses nothing when it is %f s late and all of that time was buffered', (late) => {
    const microphone = device();
    microphone.hear(20);
    microphone.pass(late);
    for (let left = late; left > 0; left -= 0.5) microphone.take(Math.min(left, 0.5) * rate, 1);
    microphone.hear(20);
    expect(microphone.lost).toBe(0);
    expect(microphone.missing).toBeCloseTo(0, 1);
  });

  test('loses nothing when the whole board stalled and the sound was buffered', () => {
    const microphone = device();
    microphone.hear(20);
    microphone.pass(1.5);
    microphone.take(frame, 1600);
    microphone.take(1.375 * rate, 1);
    microphone.hear(20);
    expect(microphone.lost).toBe(0);
  });

  test.each(['before', 'after', 'never'])('that is 4 s late loses once what was not buffered (overrun reported %s)', (when) => {
    const microphone = device();
    microphone.hear(20);
    const before = microphone.first;
    microphone.pass(4);
    microphone.take(0.5 * rate, 1);
    microphone.take(0.6 * rate, 1);
    expect(microphone.first - before).toBeCloseTo(0.625, 2); // the buffered sound comes from before the loss
    if (when === 'before') microphone.loss.overrun(2400, microphone.nowMs);
    microphone.hear(0.125);
    if (when === 'after') microphone.loss.overrun(2400, microphone.nowMs + 5);
    microphone.hear(20);
    microphone.loss.ended();
    expect(microphone.lost).toBeCloseTo(2.9, 2);
    expect(microphone.missing).toBeCloseTo(0, 2);
    // this is another loss
    microphone.loss.overrun(300, microphone.nowMs);
    microphone.pass(0.5);
    microphone.hear(20);
    expect(microphone.lost).toBeCloseTo(3.4, 2);
    expect(microphone.missing).toBeCloseTo(0, 2);
  });

  test.each([14, 60])('that is %i s late loses only what a sound server did not keep, and the kept sound comes from before the loss', (late) => {
    const microphone = device();
    microphone.hear(20);
    microphone.pass(late);
    for (let kept = 0; kept < 14; kept += 0.5) {
      microphone.pass(0.05); // the model takes a tenth of the time
      microphone.take(0.5 * rate, 1);
      expect(microphone.first).toBe(20 + kept);
    }
    microphone.hear(20);
    expect(microphone.lost).toBeCloseTo(late === 14 ? 1.4 : 47.4, 1); // nothing came while the kept sound was read
  });

  test('that never catches up loses what the clock shows, except what may still be buffered', () => {
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

test('frames delayed at random by up to 0.9 s, with none missing, count as no loss', () => {
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

test('an overrun of less than a second counts as reported, even if the clock does not show it or no sound follows', () => {
  const microphone = device();
  microphone.hear(20);
  microphone.loss.overrun(300, microphone.nowMs);
  microphone.hear(20);
  expect(microphone.lost).toBe(0.3);
  microphone.loss.overrun(200, microphone.nowMs);
  microphone.loss.ended();
  expect(microphone.lost).toBe(0.5);
});

test('each of two overruns within a second counts', () => {
  const microphone = device();
  microphone.hear(20);
  for (let i = 0; i < 2; i++) {
    microphone.loss.overrun(300, microphone.nowMs);
    microphone.hear(0.5);
  }
  expect(microphone.lost).toBe(0.6);
});

test('an overrun longer than the elapsed time counts as one second at most', () => {
  const microphone = device();
  microphone.hear(20);
  microphone.loss.overrun(1_389_283, microphone.nowMs);
  microphone.hear(20);
  expect(microphone.lost).toBe(1);
});
