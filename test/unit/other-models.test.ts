import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { InferenceSession } from 'onnxruntime-node';
import { expect, test, vi } from 'vitest';
import { openOnnxClassifier } from '../../agent/classify/onnx-classifier.ts';
import { translateError } from '../../agent/cli/translate.ts';
import { modelFolder } from '../support/model-folder.ts';

const state = (input: string, output: string) => ({ input, output, shape: [2, 1, 64] });
const anyClass = (name: string) => ({ labels: { glass_break: { classes: [name] }, shout: { classes: [name] }, bang: { classes: [name] } } });
const streaming = (fields: Record<string, unknown> = {}) =>
  modelFolder(readFileSync('test/fixtures/tagger/streaming.onnx'), {
    sampleRate: 16_000,
    windowSamples: 512,
    hopSamples: 512,
    frameSeconds: 0.032,
    waveformInput: 'input',
    scoresOutput: 'output',
    states: [state('h', 'hn'), state('c', 'cn')],
    classes: ['alarm'],
    ...anyClass('alarm'),
    ...fields,
  });

const tagger = {
  sampleRate: 16_000,
  windowSamples: 15_360,
  hopSamples: 7680,
  waveformInput: 'audio',
  waveformShape: [15_360],
  scoresOutput: 'tags',
  classes: Array.from({ length: 521 }, (_, i) => `class ${i}`),
};

test('two states of any shape are carried from hop to hop and forgotten at a reset, and free dimensions take the sizes of the manifest', async () => {
  const classifier = await openOnnxClassifier(streaming());
  const scores = async () => (await classifier.push(new Float32Array(3 * 512).fill(0.1))).map(({ scores: [score = 0] }) => score);
  const expected = [0.1, 0.2, 0.3].map((level) => expect.closeTo(Math.tanh(level), 5));
  expect(await scores()).toEqual(expected);
  classifier.reset();
  expect(await scores()).toEqual(expected);
  await classifier.close();
});

test('a model whose state grows is refused at its first hop: it would fill the memory', async () => {
  const classifier = await openOnnxClassifier(streaming({ states: [state('h', 'grown'), state('c', 'cn')] }));
  const refused = await classifier.push(new Float32Array(512)).catch((error: Error) => error);
  expect(refused).toMatchObject({
    message: 'Expected grown of 2 x 1 x 64 float32, as its state in manifest.json, got 3 x 1 x 64 float32',
    tryHint: 'export the model with states of one shape; models/README.md says which graphs can be used',
  });
  const french = 'Attendu grown de dimensions 2 x 1 x 64 en float32, comme son état dans manifest.json, obtenu 3 x 1 x 64 float32';
  expect(translateError((refused as Error).message, 'fr')).toBe(french);
  await classifier.close();
});

test('for an input of the graph that a manifest cannot name, the hint is to make it a constant', async () => {
  const refused = openOnnxClassifier(streaming({ states: [state('h', 'hn')] }));
  await expect(refused).rejects.toMatchObject({
    message: 'Expected the inputs input, h, got input, h, c',
    tryHint: expect.stringContaining('one that is neither waveform nor state must become a constant in the graph'),
  });
});

test('where the manifest names an output that holds no scores, the hint names that field too', async () => {
  const classifier = await openOnnxClassifier(streaming({ scoresOutput: 'grown' }));
  await expect(classifier.push(new Float32Array(512))).rejects.toMatchObject({
    message: 'Expected 1 x 1 float32 scores from model.onnx, got 3 x 1 x 64 float32',
    tryHint: 'scoresOutput, framesPerHop and classes in manifest.json must be those of the graph, and its scores float32',
  });
  await classifier.close();
});

test('for an attribute that an operator has not in the opset of the graph, the hint names the opset, and not weights outside of the file', async () => {
  const graph = readFileSync('test/fixtures/tagger/tagger.onnx', 'latin1').replace('axes', 'axis');
  const refused = await openOnnxClassifier(modelFolder(Buffer.from(graph, 'latin1'), { ...tagger, ...anyClass('class 0') })).catch((error: Error) => error);
  expect(refused).toMatchObject({
    message: expect.stringMatching(/^Expected an ONNX graph in model.onnx, got: .*Unrecognized attribute: axis for operator ReduceMean$/),
    tryHint: 'export the model again with the ops, opset and IR version that models/README.md names',
  });
  const french = 'Attendu un graphe ONNX dans model.onnx, obtenu\u00a0: l’opérateur ReduceMean avec l’attribut axis, que cet opset ne connaît pas';
  expect(translateError((refused as Error).message, 'fr')).toBe(french);
});

test('an operator that fails is reported once, without the runtime’s own log line, source paths or colours', () => {
  const states = [state('h', 'hn'), state('c', 'cn')].map((of) => ({ ...of, shape: [2, 2, 64] }));
  const folder = streaming({ states });
  const saidIn = (language: string) => spawnSync(process.execPath, ['agent/main.ts', 'model', folder, '--lang', language], { encoding: 'utf8' }).stderr;
  const english = saidIn('en');
  expect(english).toMatch(/^Error: Expected model.onnx to take 512 samples, got: Non-zero status code returned while running Reshape node\..*\nTry: /);
  expect(english).not.toMatch(/onnxruntime|was false/);
  expect(saidIn('fr')).toMatch(/^Erreur\u00a0: model.onnx ne prend pas 512 échantillons\u00a0: l’opérateur Reshape échoue\u00a0: .*\nEssayez\u00a0: /);
});

test('for a graph that gives no number for silence, the hint names the likely cause: a logarithm without a floor', async () => {
  const graph = readFileSync('test/fixtures/tagger/tagger.onnx');
  const classifier = await openOnnxClassifier(modelFolder(graph, { ...tagger, ...anyClass('class 0'), scoresOutput: 'logits' }));
  await expect(classifier.push(new Float32Array(15_360))).rejects.toMatchObject({
    message: 'Expected finite numbers as scores and states from model.onnx, got others',
    tryHint: expect.stringContaining('with a floor under its logarithms'),
  });
  await classifier.close();
});

test('a score that is no number is refused in a class that no label uses too', async () => {
  const graph = readFileSync('test/fixtures/tagger/tagger.onnx', 'latin1').replace('Tanh', 'Asin'); // of more than 1 there is none
  const classifier = await openOnnxClassifier(modelFolder(Buffer.from(graph, 'latin1'), { ...tagger, ...anyClass('class 520') }));
  await expect(classifier.push(new Float32Array(15_360).fill(3))).rejects.toThrow(/^Expected finite numbers/);
  await classifier.close();
});

test('a score outside 0 to 1 is refused in a class that no label uses too, since the others are then no scores either', async () => {
  const graph = readFileSync('test/fixtures/tagger/tagger.onnx', 'latin1').replace('Tanh', 'Cosh'); // from 1 upwards, by the class
  const classifier = await openOnnxClassifier(modelFolder(Buffer.from(graph, 'latin1'), { ...tagger, ...anyClass('class 520') }));
  await expect(classifier.push(new Float32Array(15_360).fill(0.5))).rejects.toThrow(/^Expected scores from 0 to 1 from model.onnx, got 1\.03/);
  await classifier.close();
});

// the words are those of the runtime when an allocation was refused; that it says others elsewhere is not shown
test('where the runtime gets no memory, to open a graph or to run it, the hint is not to export the model again', async () => {
  const hint = expect.stringContaining('free memory on this board');
  const refuse = (said: string) => async () => Promise.reject(new Error(said));
  const create = vi.spyOn(InferenceSession, 'create');
  for (const said of ['Exception during initialization: std::bad_alloc', 'Failed to allocate memory for requested buffer of size 1048576']) {
    create.mockImplementationOnce(refuse(said));
    await expect(openOnnxClassifier(streaming())).rejects.toMatchObject({ tryHint: hint });
  }
  create.mockImplementationOnce(async (...args) => {
    create.mockRestore();
    const session = await InferenceSession.create(...(args as unknown as [Buffer]));
    return Object.assign(session, { run: refuse('std::bad_alloc') });
  });
  const classifier = await openOnnxClassifier(streaming());
  await expect(classifier.push(new Float32Array(512))).rejects.toMatchObject({ tryHint: hint });
  await classifier.close();
});
