import { expect, test } from 'vitest';
import type { AudioFrame, AudioSource } from '../../agent/audio/frame.ts';
import type { Classifier } from '../../agent/classify/classifier.ts';
import { labels } from '../../agent/classify/model-manifest.ts';
import { hear } from '../../agent/pipeline.ts';

// A classifier of the test's own, on windows of 40 ms: glass is whatever is loud. It shows where sounds are placed, not what is heard.
function loudness(): Classifier {
  let held: number[] = [];
  let windows = 0;
  return {
    labels,
    sampleRate: 16000,
    frameSeconds: 0.04,
    async push(samples) {
      held.push(...samples);
      const frames = [];
      for (; held.length >= 640; held = held.slice(640)) {
        const score = Math.max(...held.slice(0, 640)) > 0.5 ? 1 : 0;
        frames.push({ scores: labels.map((label) => (label === 'glass_break' ? score : 0)), endSeconds: ++windows * 0.04 });
      }
      return frames;
    },
    reset() {
      held = [];
      windows = 0;
    },
    close: async () => undefined,
  };
}
const rule = { open: 0.5, close: 0.4, minDurationSeconds: 0.08, mergeSeconds: 0.2, cooldownSeconds: 0.2, smoothingSeconds: 0.04 };
const rules = Object.fromEntries(labels.map((label) => [label, rule])) as Parameters<typeof hear>[2];

function source(frames: { first: number; value: number }[]): AudioSource {
  async function* all(): AsyncGenerator<AudioFrame> {
    for (const { first, value } of frames) yield { samples: new Float32Array(1600).fill(value), firstSample: first };
  }
  return { sampleRate: 16000, dropped: 0, frames: all };
}

test('after samples were lost, sounds are placed where they were, and one across the gap is not joined', async () => {
  const quiet = (from: number) => Array.from({ length: 10 }, (_, i) => ({ first: from + i * 1600, value: 0 }));
  const loud = (from: number) => [0, 1600].map((i) => ({ first: from + i, value: 0.9 }));
  const onsets: number[] = [];
  const ended: number[] = [];
  const gap = 80_000; // five seconds
  const frames = [...quiet(0), ...loud(16_000), ...loud(19_200 + gap), ...quiet(22_400 + gap)];
  const on = {
    confirmed: (h: { detection: { onsetSeconds: number } }) => onsets.push(h.detection.onsetSeconds),
    ended: (d: { offsetSeconds: number }) => ended.push(d.offsetSeconds),
  };
  const { secondsHeard } = await hear(source(frames), loudness(), rules, on, new AbortController().signal);
  expect(onsets).toHaveLength(2);
  expect(onsets[0]).toBeCloseTo(1, 1);
  expect(onsets[1]).toBeCloseTo(6.2, 1);
  expect(ended).toHaveLength(2);
  expect(secondsHeard).toBeCloseTo((38_400 + gap) / 16000, 5);
});

test('whatever ends it, nothing of the sound is kept: what was resampled is zeros, and the last thing that the model heard is silence', async () => {
  const handed: Float32Array[] = [];
  const heard: boolean[] = [];
  const failing = loudness();
  const classifier: Classifier = {
    ...failing,
    push(samples) {
      handed.push(samples);
      heard.push(samples.some((sample) => sample !== 0));
      return handed.length === 3 ? Promise.reject(new Error('the model fails')) : failing.push(samples);
    },
  };
  const loud = [0, 1, 2, 3].map((i) => ({ first: i * 1600, value: 0.9 }));
  await expect(hear(source(loud), classifier, rules, {}, new AbortController().signal)).rejects.toThrow('the model fails');
  expect(heard).toEqual([true, true, true, false]);
  expect(handed.every((samples) => samples.every((sample) => sample === 0))).toBe(true);
  expect(handed.at(-1)?.length).toBe(16_000); // more than a window
});
