import { expect, test } from 'vitest';
import type { AudioSource } from '../../agent/audio/frame.ts';
import { openOnnxClassifier } from '../../agent/classify/onnx-classifier.ts';
import { recognise } from '../../agent/cli/selftest/chain.ts';
import { openTrace } from '../../agent/cli/selftest/trace.ts';
import { checkConfig } from '../../agent/config/load-config.ts';
import { fixedClock } from '../support/samples.ts';

test('a trial without a recognised sound shows the trace to the end of the sound, without silence after it', async () => {
  const tone = Float32Array.from({ length: 1600 }, (_, i) => 0.1 * Math.sin((2 * Math.PI * i) / 16));
  const source: AudioSource = {
    sampleRate: 16_000,
    dropped: 0,
    async *frames() {
      for (let i = 0; i < 30; i++) yield { samples: tone.slice(), firstSample: i * 1600 };
    },
  };
  const classifier = await openOnnxClassifier('models/street');
  const trace = openTrace(classifier.frameSeconds);
  const config = checkConfig({ site: 'a', sensor: 'b', mqtt: { url: 'mqtt://127.0.0.1' } }, 'test');
  const trial = recognise(source, classifier, config, fixedClock({}), new AbortController().signal, trace);
  await expect(trial).rejects.toThrow();
  await classifier.close();
  expect(trace.read().levelDb).toEqual(Array.from({ length: 12 }, () => -20)); // three seconds
});

test('the trace of a long trial keeps the last ten seconds, with four values a second', () => {
  const trace = openTrace(0.04);
  for (let i = 0; i < 60 * 8; i++) trace.level(-i / 8); // every 125 ms for a minute
  for (let i = 0; i < 60 * 25; i++) trace.score([i / 1500, 0, 0]);
  const { levelDb, scores, onsetSeconds } = trace.read(55);
  expect([levelDb.length, scores.glass_break.length, onsetSeconds]).toEqual([40, 40, 5]);
  expect([levelDb[0], levelDb.at(-1), scores.glass_break[0]]).toEqual([-50, -60, 0.84]);
});

test('frames longer than a step leave no step without a score: between two windows of a tagger the scores do not fall to 0', () => {
  for (const frameSeconds of [0.26, 0.48, 0.96, 1]) {
    const trace = openTrace(frameSeconds);
    for (let i = 0; i < 80; i++) trace.level(-40);
    for (let seconds = 0; seconds + frameSeconds <= 10; seconds += frameSeconds) trace.score([0.9, 0.2, 0]);
    const { levelDb, scores } = trace.read();
    expect(levelDb).toHaveLength(40);
    expect(scores.glass_break.slice(0, 36), `frames of ${frameSeconds} s`).toEqual(Array(36).fill(0.9));
  }
});
