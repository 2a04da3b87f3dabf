import { expect, test } from 'vitest';
import type { Classifier } from '../../agent/classify/classifier.ts';
import { type Heard, hear } from '../../agent/pipeline.ts';

const sampleRate = 16_000;
const hop = 640;
const frameSeconds = hop / sampleRate;

/**
 * Takes every loud sound for glass and reports it a second late. It shows how long the pipeline waits, not what it
 * recognises.
 */
function lateBySecond(): Classifier {
  const late = Math.round(1 / frameSeconds);
  let held: number[] = [];
  let scores: number[] = [];
  return {
    sampleRate,
    frameSeconds,
    tailSeconds: 1 + frameSeconds,
    async push(samples) {
      held.push(...samples);
      const before = scores.length;
      for (; held.length >= hop; held = held.slice(hop)) scores.push(Math.max(...held.slice(0, hop)));
      const told = scores.map((_, i) => ({
        scores: [scores[i - late] ?? 0, 0, 0],
        endSeconds: (i + 1 - late) * frameSeconds,
        scoredSeconds: (i + 1) * frameSeconds,
      }));
      return told.slice(before);
    },
    reset() {
      held = [];
      scores = [];
    },
    close: async () => undefined,
  };
}

test('a sound cut off by the end of the stream is confirmed and ended, even if scores are delayed by more than a second', async () => {
  const short = { open: 0.5, close: 0.2, minDurationSeconds: 0, smoothingSeconds: 0, mergeSeconds: 1, cooldownSeconds: 1 };
  const glass_break = { ...short, minDurationSeconds: 0.8, smoothingSeconds: 1, mergeSeconds: 60 };
  const told: string[] = [];
  async function* frames() {
    yield { samples: new Float32Array(3 * sampleRate).fill(1, 2.4 * sampleRate), firstSample: 0 };
  }
  const on = { confirmed: () => told.push('confirmed'), ended: () => told.push('ended') };
  await hear({ sampleRate, dropped: 0, frames }, lateBySecond(), { glass_break, shout: short, bang: short }, on, new AbortController().signal);
  expect(told).toEqual(['confirmed', 'ended']);
});

test('a sound cut off by a gap of a second is confirmed, unless another such gap was less than 10 s before', async () => {
  const rule = { open: 0.5, close: 0.2, minDurationSeconds: 0, smoothingSeconds: 0, mergeSeconds: 1, cooldownSeconds: 1 };
  const told: number[] = [];
  let began = 0;
  async function* frames() {
    const second = (at: number, loud = false) => ({ samples: new Float32Array(sampleRate).fill(loud ? 1 : 0, 0.4 * sampleRate), firstSample: at * sampleRate });
    let at = 0;
    for (const seconds of [3, 11, 5, 11, 1]) {
      // loud at the end of each stretch but the last; then a second is lost
      for (let i = 1; i <= seconds; i++) yield second(at++, i === seconds && seconds > 1);
      at++;
    }
  }
  const on = { confirmed: ({ detection }: Heard) => told.push(Math.round(detection.onsetSeconds)), began: () => began++ };
  await hear({ sampleRate, dropped: 0, frames }, lateBySecond(), { glass_break: rule, shout: rule, bang: rule }, on, new AbortController().signal);
  expect(told).toEqual([2, 14, 32]); // not the one at 20 s
  expect(began).toBe(5);
});

test('a source that counts its samples anew, or from later on, is heard from there', async () => {
  const rule = { open: 0.5, close: 0.2, minDurationSeconds: 0, smoothingSeconds: 0, mergeSeconds: 1, cooldownSeconds: 1 };
  const told: number[] = [];
  const rate = 2 * sampleRate; // of the source, not of the model
  async function* frames() {
    for (const at of [100, 101, 5]) yield { samples: new Float32Array(rate).fill(1, 0.4 * rate, 0.6 * rate), firstSample: at * rate };
  }
  const lengths: number[] = [];
  const on = {
    confirmed: ({ detection }: Heard) => told.push(Math.floor(detection.onsetSeconds)),
    ended: ({ onsetSeconds, offsetSeconds }: Heard['detection']) => lengths.push(offsetSeconds - onsetSeconds),
  };
  await hear({ sampleRate: rate, dropped: 0, frames }, lateBySecond(), { glass_break: rule, shout: rule, bang: rule }, on, new AbortController().signal);
  expect(told).toEqual([100, 5]); // not what lies just before a gap that follows another soon
  // the end is placed like the beginning: the outbox refuses an event that ends before it begins
  expect(lengths.map((seconds) => seconds.toFixed(1))).toEqual(['0.2', '0.2']);
});
