import { expect, test } from 'vitest';
import type { AudioSource } from '../../agent/audio/frame.ts';
import { openOnnxClassifier } from '../../agent/classify/onnx-classifier.ts';
import { rulesOf } from '../../agent/classify/rules.ts';
import { hear } from '../../agent/pipeline.ts';
import { sampleRate, sceneSounds, synthesiseScene } from '../demo/synthesise-scene.ts';

const frame = sampleRate / 10;
const lost = sampleRate / 200; // 5 ms, as in a short overrun

/** The scene at a fifth of its level, with a loss this many seconds before each of its sounds. */
function scene(before?: number): AudioSource {
  const samples = Float32Array.from(synthesiseScene(), (sample) => sample / 163_840);
  const losses = (before === undefined ? [] : sceneSounds).map(({ onset }) => Math.round((onset - (before ?? 0)) * sampleRate)).sort((a, b) => a - b);
  return {
    sampleRate,
    dropped: 0,
    async *frames() {
      for (let at = 0; at < samples.length; ) {
        if (at === losses[0]) {
          losses.shift();
          at += lost;
        }
        const end = Math.min(samples.length, at + frame, losses[0] ?? Infinity);
        yield { samples: samples.slice(at, end), firstSample: at };
        at = end;
      }
    },
  };
}

test.each([0.3, 0.1, 0.05, -0.05])('the recognised events of a scene are the same with 5 ms lost %d s before each sound', async (before) => {
  const classifier = await openOnnxClassifier('models/street');
  const rules = rulesOf(classifier.manifest, { operatingPoint: 'balanced', open: {} });
  const heard = async (source: AudioSource) => {
    const found: string[] = [];
    const on = {
      confirmed: ({ detection }: { detection: { label: string; onsetSeconds: number } }) =>
        found.push(`${detection.label} ${Math.round(detection.onsetSeconds)}`),
    };
    await hear(source, classifier, rules, on, new AbortController().signal);
    return found;
  };
  const all = await heard(scene());
  expect(all.length).toBeGreaterThanOrEqual(4);
  expect(await heard(scene(before))).toEqual(all);
  await classifier.close();
});
