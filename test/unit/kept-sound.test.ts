import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceSession, type Tensor } from 'onnxruntime-node';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { openAudioFile } from '../../agent/audio/audio-file.ts';
import { openResampler } from '../../agent/audio/resample.ts';
import { openSoundLevelMeter } from '../../agent/audio/sound-level.ts';
import type { Classifier } from '../../agent/classify/classifier.ts';
import { labels } from '../../agent/classify/model-manifest.ts';
import { openOnnxClassifier } from '../../agent/classify/onnx-classifier.ts';
import { AudioError } from '../../agent/lib/errors.ts';
import { hear } from '../../agent/pipeline.ts';

/** Returns the lengths of those arrays made from now on, slices and copies included, that hold anything but zeros. */
function arraysMade(): () => number[] {
  const made: (Float32Array | Float64Array | Int16Array)[] = [];
  for (const kind of ['Float32Array', 'Float64Array', 'Int16Array'] as const) {
    const Kind = globalThis[kind] as unknown as new (...of: unknown[]) => Float32Array;
    const Noted = class extends Kind {
      constructor(...of: unknown[]) {
        super(...of);
        made.push(this);
      }
    };
    vi.stubGlobal(kind, Noted);
  }
  onTestFinished(() => void vi.unstubAllGlobals());
  return () => made.filter((array) => array.some((number) => number !== 0)).map((array) => array.length);
}
const isZeros = (array: Float32Array) => array.every((number) => number === 0);
const sound = (length: number) => Float32Array.from({ length }, (_, i) => 0.5 * Math.cos(i * i));

describe.each([
  [48_000, 96],
  [44_100, 90],
])('resampled from %i Hz', (rate, history) => {
  test('the resampler keeps no more sound than its filter is long, and none after clear()', () => {
    const resampler = openResampler(rate, 16_000);
    const kept = arraysMade();
    for (const length of [4800, 4800, 777, 4410]) {
      const samples = sound(length);
      resampler.push(samples).fill(0);
      samples.fill(0);
      const [only = 0, ...others] = kept();
      expect(others).toEqual([]);
      expect(Math.abs(only - history)).toBeLessThanOrEqual(3);
    }
    resampler.clear();
    expect(kept()).toEqual([]);
  });
});

test('the sound level meter keeps no samples', () => {
  const meter = openSoundLevelMeter(48_000);
  const kept = arraysMade();
  for (const length of [4800, 4800, 4801, 100]) {
    const samples = sound(length);
    meter.push(samples);
    samples.fill(0);
    expect(kept()).toEqual([]);
  }
  expect(meter.levels().laeqDb).toBeGreaterThan(-20);
});

// a classifier that detects nothing and keeps nothing, so that only the other parts can keep sound
const deaf: Classifier = {
  sampleRate: 16_000,
  frameSeconds: 0.04,
  tailSeconds: 0.04,
  push: async () => [],
  reset: () => undefined,
  close: async () => undefined,
};

test.each([
  ['ends', undefined],
  ['fails', new AudioError('Expected sound, got the end', 'plug it in')],
  ['cannot be judged', new Error('the model fails')],
])('the pipeline keeps only resampler filters after long gaps, however close, and no sound once the stream %s', async (_, failure) => {
  const rule = { open: 0.5, close: 0.4, minDurationSeconds: 0.08, mergeSeconds: 0.2, cooldownSeconds: 0.2, smoothingSeconds: 0.04 };
  const rules = Object.fromEntries(labels.map((label) => [label, rule])) as Parameters<typeof hear>[2];
  const numbers: number[] = [];
  let kept = () => [] as number[];
  const filter = [96, 96]; // of each resampler opened after a gap
  async function* frames() {
    for (const firstSample of [0, 4800, 480_000, 484_800, 720_000]) {
      if (firstSample === 0) kept = arraysMade();
      const samples = sound(4800);
      yield { samples, firstSample };
      samples.fill(0);
      numbers.push(kept().length);
    }
    if (failure) throw failure;
  }
  const heard = hear({ sampleRate: 48_000, dropped: 0, frames }, deaf, rules, {}, new AbortController().signal);
  if (failure) await expect(heard).rejects.toBe(failure);
  else await heard;
  expect(numbers).toEqual([1, 1, 1 + filter.length, 1 + filter.length, 1 + 2 * filter.length]); // what the resampler must keep
  expect(kept()).toEqual([...filter, ...filter]);
});

test('the model window holds only samples since the last inference; window and states are zeros when the stream is over', async () => {
  const given: Float32Array[] = [];
  const states: Float32Array[] = [];
  const create = InferenceSession.create.bind(InferenceSession) as (graph: unknown, options: unknown) => Promise<InferenceSession>;
  const spy = vi.spyOn(InferenceSession, 'create').mockImplementation(async (...args: unknown[]) => {
    const session = await create(args[0], args[1]);
    const run = session.run.bind(session);
    session.run = async (feeds: InferenceSession.FeedsType) => {
      given.push(...Object.values(feeds).map((tensor) => (tensor as Tensor).data as Float32Array));
      const results = await run(feeds);
      states.push(results.state_out?.data as Float32Array);
      return results;
    };
    return session;
  });
  const classifier = await openOnnxClassifier('models/street');
  spy.mockRestore();
  const { windowSamples } = classifier.manifest;
  await classifier.push(sound(2 * windowSamples));
  const window = given[0] as Float32Array;
  expect(isZeros(window)).toBe(true);
  expect(given[3]).toBe(states[0]);
  expect(states.map(isZeros)).toEqual([true, false]);
  await classifier.push(sound(500));
  expect(window.findLastIndex((sample) => sample !== 0)).toBe(499);
  classifier.reset();
  expect([window, ...states].every(isZeros)).toBe(true);
  await classifier.push(sound(2 * windowSamples));
  await classifier.push(sound(500));
  await classifier.close();
  expect(states).toHaveLength(4);
  expect([...given, ...states].every(isZeros)).toBe(true);
});

test.each(['read to its end', 'that is no longer read'])('of a recording %s, no sound is left in memory', async (how) => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-kept-')), 'two-channels.wav');
  const bytes = readFileSync('deploy/selftest.wav');
  for (const [at, value] of [
    [22, 2],
    [32, 4],
  ] as const)
    bytes.writeUInt16LE(value, at); // half as long, in two channels
  writeFileSync(path, bytes);
  const kept = arraysMade();
  const recording = await openAudioFile(path, 48_000, 'fast');
  expect(Math.max(...kept())).toBeGreaterThan(48_000);
  const stop = new AbortController();
  for await (const { firstSample } of recording.frames(stop.signal)) if (firstSample === 4800 && how !== 'read to its end') stop.abort();
  expect(Math.max(...kept()), 'the longest of the filters').toBe(32);
});
