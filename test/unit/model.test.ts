import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceSession } from 'onnxruntime-node';
import { expect, test, vi } from 'vitest';
import { areFinite, openOnnxClassifier } from '../../agent/classify/onnx-classifier.ts';
import { rulesOf } from '../../agent/classify/rules.ts';
import { translateError } from '../../agent/cli/translate.ts';
import { ModelError } from '../../agent/lib/errors.ts';
import { hear } from '../../agent/pipeline.ts';
import { synthesiseScene } from '../demo/synthesise-scene.ts';
import { graphWithWeightsIn } from '../support/outside-weights.ts';

const bundled = 'models/street';

function copyOf(change: (manifest: Record<string, unknown>) => void): string {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-model-'));
  cpSync(bundled, folder, { recursive: true });
  const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
  change(manifest);
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
  return folder;
}

async function scoresOf(chunk: number): Promise<number[][]> {
  const classifier = await openOnnxClassifier(bundled);
  const sound = Float32Array.from(synthesiseScene().subarray(10 * 16000, 14 * 16000), (x) => x / 32768);
  const frames: number[][] = [];
  for (let i = 0; i < sound.length; i += chunk)
    for (const frame of await classifier.push(sound.slice(i, i + chunk))) frames.push([frame.endSeconds, ...frame.scores]);
  await classifier.close();
  return frames;
}

test('the bundled model detects glass in the synthesised scene, with the same scores for any chunk size', async () => {
  const frames = await scoresOf(1600);
  expect(Math.max(...frames.map(([, glass]) => glass as number))).toBeGreaterThan(0.5);
  expect(await scoresOf(777)).toEqual(frames);
});

test('a frame states how much sound had arrived when it was scored, including the look-back and the hop', async () => {
  const classifier = await openOnnxClassifier(bundled);
  const { hopSamples, sampleRate, framesPerHop, latencySeconds } = classifier.manifest;
  for (let hops = 1; hops <= 3; hops++) {
    expect(await classifier.push(new Float32Array(hopSamples - 1))).toEqual([]);
    const frames = await classifier.push(new Float32Array(1));
    expect(frames.map(({ scoredSeconds }) => scoredSeconds)).toEqual(Array(framesPerHop).fill((hops * hopSamples) / sampleRate));
    expect(frames.at(-1)?.endSeconds).toBeCloseTo((hops * hopSamples) / sampleRate - latencySeconds);
  }
  await classifier.close();
});

test('after reset() the model gives the same scores as a new one', async () => {
  const classifier = await openOnnxClassifier(bundled);
  const noise = Float32Array.from({ length: 16000 }, (_, i) => Math.sin(i * i) * 0.1);
  const first = await classifier.push(noise.slice());
  const dirty = await classifier.push(noise.slice());
  classifier.reset();
  expect(await classifier.push(noise.slice())).toEqual(first);
  expect(dirty).not.toEqual(first);
  await classifier.close();
});

test.each([
  ['scores', Number.NaN],
  ['scores', Number.NEGATIVE_INFINITY],
  ['scores', 1.01],
  ['scores', -0.01],
  ['state_out', Number.NaN],
])('a value in %s that is %s throws once and resets the stream', async (output, value) => {
  let planted: typeof value | undefined;
  const create = InferenceSession.create.bind(InferenceSession) as (graph: unknown, options: unknown) => Promise<InferenceSession>;
  const spy = vi.spyOn(InferenceSession, 'create').mockImplementation(async (...args: unknown[]) => {
    const session = await create(args[0], args[1]);
    const run = session.run.bind(session);
    session.run = async (feeds: InferenceSession.FeedsType) => {
      const results = await run(feeds);
      if (planted !== undefined) (results[output]?.data as Float32Array)[7] = planted;
      return results;
    };
    return session;
  });
  const classifier = await openOnnxClassifier(bundled);
  spy.mockRestore();
  const noise = Float32Array.from({ length: 2560 }, (_, i) => Math.sin(i * i) * 0.1);
  const first = await classifier.push(noise.slice());
  planted = value;
  await expect(classifier.push(noise.slice())).rejects.toThrow(ModelError);
  planted = undefined;
  expect(await classifier.push(noise.slice())).toEqual(first);
  await classifier.close();
});

test('a sample that is not a number throws once and resets the stream', async () => {
  const classifier = await openOnnxClassifier(bundled);
  const noise = Float32Array.from({ length: 2560 }, (_, i) => Math.sin(i * i) * 0.1);
  const first = await classifier.push(noise.slice());
  await expect(classifier.push(noise.slice().fill(Number.NaN, 1000, 1001))).rejects.toThrow(/Expected finite numbers as scores and states from model.onnx/);
  expect(await classifier.push(noise.slice())).toEqual(first);
  await classifier.close();
});

test('a model that does not match its manifest is refused', async () => {
  const refused = (change: (manifest: Record<string, unknown>) => void) => expect(openOnnxClassifier(copyOf(change))).rejects;
  await refused((m) => Object.assign(m, { sha256: '0'.repeat(64) })).toThrow(/Expected model.onnx with sha256 0000/);
  await refused((m) => Object.assign(m, { waveformInput: 'sound' })).toThrow(/Expected the inputs sound, state, got waveform, state/);
  await refused((m) => Object.assign(m, { states: [] })).toThrow(/Expected the inputs waveform, got waveform, state/);
  const endless = { states: [{ input: 'state', output: 'state_out', shape: [2 ** 31, 2 ** 31] }] };
  await refused((m) => Object.assign(m, endless)).toThrow(/Expected a graph at .* that takes at most the \d+ MB of memory that are free here/);
  await refused((m) => Object.assign(m, { colour: 'red' })).toThrow(/has 1 problem/);
  await refused((m) => Object.assign(m, { classes: ['a', 'b', 'c'] })).toThrow(/expected names from "classes", got "glass_break"/);
  const wrong = await openOnnxClassifier(copyOf((m) => Object.assign(m, { framesPerHop: 9, frameSeconds: 0.0178 })));
  await expect(wrong.push(new Float32Array(16000))).rejects.toThrow(/Expected 9 x 3 float32 scores from model.onnx, got 1 x 4 x 3 float32/);
  await wrong.close();
  // the same number of scores in another layout
  const across = { classes: ['glass_break', 'shout', 'bang', 'a', 'b', 'c'], framesPerHop: 2, frameSeconds: 0.08 };
  const turned = await openOnnxClassifier(copyOf((m) => Object.assign(m, across)));
  await expect(turned.push(new Float32Array(16000))).rejects.toThrow(/Expected 2 x 6 float32 scores from model.onnx, got 1 x 4 x 3 float32/);
  await turned.close();
  const long = await openOnnxClassifier(copyOf((m) => Object.assign(m, { states: [{ input: 'state', output: 'state_out', shape: [1, 17_571] }] })));
  const misfit = {
    message: expect.stringContaining('Expected model.onnx to take 2560 samples, got: '),
    tryHint: expect.stringMatching(/states .* float32; models\/README.md says/),
  };
  await expect(long.push(new Float32Array(2560))).rejects.toThrow(expect.objectContaining(misfit));
  await long.close();
  await expect(openOnnxClassifier('/nowhere')).rejects.toThrow(/Expected manifest.json in \/nowhere/);
});

function pointsAt(open: number, close: number) {
  const rule = { open, close, minDurationSeconds: 0, smoothingSeconds: 0, mergeSeconds: 1, cooldownSeconds: 0 };
  const point = { falseAlarmsPerHour: 1, labels: { glass_break: rule, shout: rule, bang: rule } };
  return { balanced: point, strict: point };
}
test.each<[Record<string, unknown>, RegExp]>([
  [{ windowSamples: 1e12 }, /windowSamples: expected at most the 16000 of a second, because sound is forgotten within two seconds, got 1000000000000/],
  [{ latencySeconds: 240 }, /latencySeconds: /], // in milliseconds
  [{ operatingPoints: pointsAt(0.5, 0) }, /has 6 problems:\n {2}operatingPoints.balanced.labels.glass_break.close: /],
  [{ operatingPoints: pointsAt(0, 0) }, /has 12 problems:/],
  [{ hopSamples: 20_000 }, /hopSamples: expected at most the 2560 of windowSamples, got 20000/],
  [{ hopSamples: 1920, frameSeconds: 0.02 }, /hopSamples: expected the 2560 of windowSamples, because a model with states hears each sample once, got 1920/],
  [{ hopSamples: 1920, states: [] }, /frameSeconds: expected 0.03, a hop of 1920 samples over 4 frames, got 0.04/],
  [{ frameSeconds: 0.24 }, /frameSeconds: expected 0.04, a hop of 2560 samples over 4 frames, got 0.24/],
  [{ sampleRate: 32_000 }, /frameSeconds: expected 0.02, /],
  [{ waveformShape: [1, 16_000] }, /waveformShape: expected sizes whose product is the 2560 of windowSamples, got 1 x 16000/],
  [{ waveformShape: [-1, -2560] }, /waveformShape: expected sizes .* got -1 x -2560/],
  [{ classes: ['glass_break', 'shout', 'bang', 'bang'] }, /classes: expected each name once, got "bang" again/],
])('a manifest with inconsistent fields is refused before any sound is heard: %j', async (change, message) => {
  const refused = openOnnxClassifier(copyOf((m) => Object.assign(m, change)));
  await expect(refused).rejects.toThrow(ModelError);
  await expect(refused).rejects.toThrow(message);
});

function taggerFolder(change: Record<string, unknown> = {}, graph = readFileSync('test/fixtures/tagger/tagger.onnx')): string {
  const folder = copyOf((m) => {
    Object.assign(m, {
      name: 'tagger',
      file: 'tagger.onnx',
      sha256: createHash('sha256').update(graph).digest('hex'),
      states: [],
      latencySeconds: 0,
      windowSamples: 15360,
      hopSamples: 7680,
      waveformInput: 'audio',
      waveformShape: [15360],
      scoresOutput: 'tags',
      framesPerHop: 1,
      frameSeconds: 0.48,
      classes: Array.from({ length: 521 }, (_, i) => `class ${i}`),
      labels: { glass_break: { classes: ['class 500', 'class 0'] }, shout: { classes: ['class 1'] }, bang: { classes: ['class 520'] } },
      operatingPoints: pointsAt(0.2, 0.1),
      ...change,
    });
  });
  writeFileSync(join(folder, 'tagger.onnx'), graph);
  return folder;
}

test('a graph with weights in another file, which the digest does not cover, is refused', async () => {
  const graph = graphWithWeightsIn('test/fixtures/tagger/tagger.onnx'); // any file of at least 64 bytes
  await (await InferenceSession.create(graph)).release(); // onnxruntime on its own would read them
  await expect(openOnnxClassifier(taggerFolder({}, graph))).rejects.toThrow(
    expect.objectContaining({
      message: expect.stringMatching(/^Expected an ONNX graph in tagger.onnx, got: External data path/),
      tryHint: expect.stringContaining('inside the file'),
    }),
  );
});

test.each<[string, (graph: Buffer) => unknown, string, string]>([
  [
    'a later IR version',
    (graph) => graph.writeUInt8(99, 1),
    'Unsupported model IR version: 99, max supported IR version: 13',
    'la version IR 99, au plus 13 est admise',
  ],
  ['a later opset', (graph) => graph.writeUInt8(99, graph.length - 1), 'ONNX Runtime only *guarantees* support', 'l’opset 99, au plus 26 est admis'],
  ['an unknown operator', (graph) => graph.write('Tahn', graph.indexOf('Tanh')), 'This is an invalid model.', 'l’opérateur Tahn, inconnu de l’opset 13'],
])('a graph with %s is refused, with the supported version in the hint and no runtime paths, in French too', async (_, change, said, french) => {
  const graph = readFileSync('test/fixtures/tagger/tagger.onnx');
  change(graph);
  const error: ModelError = await openOnnxClassifier(taggerFolder({}, graph)).then(
    () => expect.unreachable(),
    (refused) => refused,
  );
  expect(error.message).toContain(`Expected an ONNX graph in tagger.onnx, got: ${said}`);
  expect(error.tryHint).toContain('opset and IR version that models/README.md names');
  expect(translateError(error.message, 'fr')).toBe(`Attendu un graphe ONNX dans tagger.onnx, obtenu\u00a0: ${french}`);
});

test('a graph that does not fit into free memory is refused before it is read', async () => {
  const limit = vi.spyOn(process, 'constrainedMemory').mockReturnValue(process.memoryUsage.rss() + 2e6);
  const refused = openOnnxClassifier(bundled);
  limit.mockRestore();
  await expect(refused).rejects.toThrow(
    /^Expected a graph at .*model.onnx that takes at most the -?\d+ MB of memory that are free here, got one that takes 8 MB to load$/,
  );
});

test('a model that returns logits instead of scores from 0 to 1 is refused', async () => {
  const classifier = await openOnnxClassifier(taggerFolder({ scoresOutput: 'logits' }));
  await expect(classifier.push(new Float32Array(15360).fill(0.1))).rejects.toThrow(/Expected scores from 0 to 1 from tagger.onnx, got -/);
  await classifier.close();
});

test('`tocsin model` also tries noise, since the scores for silence may be valid by chance', async () => {
  // 1 for silence, more for any sound
  const graph = readFileSync('test/fixtures/tagger/tagger.onnx', 'latin1').replace('Tanh', 'Cosh');
  const folder = taggerFolder({}, Buffer.from(graph, 'latin1'));
  const silent = await openOnnxClassifier(folder);
  expect((await silent.push(new Float32Array(15360)))[0]?.scores).toEqual([1, 1, 1]);
  await silent.close();
  const { status, stderr } = spawnSync(process.execPath, ['agent/main.ts', 'model', folder], { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 5, stderr: expect.stringContaining('Error: Expected scores from 0 to 1 from tagger.onnx, got 1.002') });
});

test('a model with overlapping windows, 521 classes and extra outputs works, with several classes mapped to one label', async () => {
  const classifier = await openOnnxClassifier(taggerFolder());
  const sound = new Float32Array(16000 * 6).fill(0.5, 16000 * 3, 16000 * 4);
  const frames = await classifier.push(sound.slice());
  expect(frames).toHaveLength(12);
  expect(frames[6]?.endSeconds).toBeCloseTo(3.36);
  expect(frames[6]?.scoredSeconds).toBeCloseTo(3.36);
  expect(frames[6]?.scores[0]).toBeCloseTo(Math.tanh((0.5 * 0.36) / 0.96), 4);
  expect(frames[6]?.scores[1]).toBeCloseTo(Math.tanh((0.5 * 0.36) / 0.96 / 2), 4);
  classifier.reset();
  const heard: string[] = [];
  async function* once() {
    yield { samples: sound.slice(), firstSample: 0 };
  }
  const rules = rulesOf(classifier.manifest, { operatingPoint: 'balanced', open: {} });
  await hear(
    { sampleRate: 16000, dropped: 0, frames: once },
    classifier,
    rules,
    { ended: ({ label, onsetSeconds }) => heard.push(`${label} ${onsetSeconds.toFixed(2)}`) },
    new AbortController().signal,
  );
  expect(heard).toEqual(['glass_break 3.36', 'shout 3.36']);
  await classifier.close();
});

test.each([
  ['the bundled model', () => bundled],
  ['a model with a latency of 1 s', () => copyOf((m) => Object.assign(m, { latencySeconds: 1 }))],
  ['a model with overlapping windows', () => taggerFolder()],
])('the silence of tailSeconds is long enough to score the last sound: %s', async (_name, folder) => {
  const classifier = await openOnnxClassifier(folder());
  const { sampleRate, windowSamples, hopSamples } = classifier.manifest;
  for (const samples of [3 * windowSamples, 3 * windowSamples + 1, 4 * windowSamples - 1]) {
    classifier.reset();
    await classifier.push(new Float32Array(samples));
    const last = (await classifier.push(new Float32Array(Math.ceil(classifier.tailSeconds * sampleRate)))).at(-1);
    expect(last?.endSeconds).toBeGreaterThanOrEqual(samples / sampleRate);
    const nextWindow = Math.round((last?.scoredSeconds ?? 0) * sampleRate) + hopSamples - windowSamples;
    expect(nextWindow).toBeGreaterThanOrEqual(samples);
  }
  await classifier.close();
});

test('the impact assessments state the false alarm rate of the model card', () => {
  const [, card] = /without a target `balanced` (\d+) /.exec(readFileSync('models/street/MODEL_CARD.md', 'utf8')) ?? [];
  const [, english] = /today \*\*(\d+) an hour/.exec(readFileSync('docs/dpia.en.md', 'utf8')) ?? [];
  const [, french] = /aujourd’hui \*\*(\d+) par heure/.exec(readFileSync('docs/dpia.fr.md', 'utf8')) ?? [];
  expect(card).toMatch(/^\d+$/);
  expect([english, french]).toEqual([card, card]);
});

test('areFinite finds NaN and infinities at every position', () => {
  for (const length of [1, 3, 4, 7, 18])
    for (let at = 0; at < length; at++)
      for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
        expect(areFinite(new Float32Array(length).fill(value, at, at + 1))).toBe(false);
  expect(areFinite(new Float32Array(18).fill(3e38))).toBe(true);
});
