// The only file that imports onnxruntime-node; the library is loaded only when a model is opened.
import type { Tensor } from 'onnxruntime-node';
import { printableLine } from '../config/problems.ts';
import { ModelError, messageOf } from '../lib/errors.ts';
import { freeMemory } from '../lib/memory.ts';
import type { Classifier, ScoreFrame } from './classifier.ts';
import { labels, loadModel, type ModelManifest } from './model-manifest.ts';

type Runtime = typeof import('onnxruntime-node');

/**
 * Opens a model folder; inference runs on one thread, without spinning.
 *
 * INVARIANT: within this code, only `window` and the state tensors hold sound or what is derived from it. `reset` and
 * `close` overwrite both with zeros; every shift overwrites the sound that leaves the window. onnxruntime's working
 * memory holds its results for the last window until the next one.
 */
export async function openOnnxClassifier(folder: string): Promise<Classifier & { readonly manifest: ModelManifest }> {
  const { manifest, graph } = loadModel(folder, requireMemory);
  const runtime = await import('onnxruntime-node');
  const { Tensor } = runtime;
  const { session, outputs } = await openSession(graph, manifest, runtime);
  const { windowSamples, hopSamples, framesPerHop, frameSeconds, sampleRate, latencySeconds } = manifest;
  const columns = labels.map((label) => manifest.labels[label].classes.map((name) => manifest.classes.indexOf(name)));
  const window = new Float32Array(windowSamples);
  let filled = windowSamples - hopSamples; // the first window begins with silence
  let hops = 0;
  let states = zeroStates(manifest, runtime);

  async function score(): Promise<ScoreFrame[]> {
    const feeds: Record<string, Tensor> = { [manifest.waveformInput]: new Tensor('float32', window, manifest.waveformShape ?? [1, windowSamples]) };
    manifest.states.forEach((state, i) => {
      feeds[state.input] = states[i] as Tensor;
    });
    const results = await session.run(feeds, outputs).catch((cause: unknown) => {
      const said = saidOf(cause);
      const hint = lacksMemory(said)
        ? moreMemory
        : 'windowSamples, waveformShape and states in manifest.json must be those of the graph, and its waveform and states float32; models/README.md says which graphs can be used';
      throw new ModelError(`Expected ${manifest.file} to take ${windowSamples} samples, got: ${said}`, hint, { cause });
    });
    const { data: values, dims, type } = results[manifest.scoresOutput] as Tensor;
    const classes = manifest.classes.length;
    // frames by classes, not classes by frames
    const isShaped = values.length === framesPerHop * classes && (framesPerHop === 1 || dims.at(-1) === classes);
    if (!(values instanceof Float32Array) || !isShaped)
      throw new ModelError(
        `Expected ${framesPerHop} x ${classes} float32 scores from ${manifest.file}, got ${dims.join(' x ')} ${type}`,
        'scoresOutput, framesPerHop and classes in manifest.json must be those of the graph, and its scores float32',
      );
    for (const { output, shape } of manifest.states) requireState(results[output] as Tensor, shape, output);
    for (const state of states) (state.data as Float32Array).fill(0);
    states = manifest.states.map((state) => results[state.output] as Tensor);
    hops++;
    const frames = Array.from({ length: framesPerHop }, (_, frame) => ({
      scores: columns.map((picks) => Math.max(...picks.map((pick) => values[frame * classes + pick] as number))),
      endSeconds: (hops * hopSamples) / sampleRate - (framesPerHop - 1 - frame) * frameSeconds - latencySeconds,
      scoredSeconds: (hops * hopSamples) / sampleRate,
    }));
    // a score that is not finite opens no event, and such a value in a state stays for good: deaf without an error
    if (!areFinite(values) || !states.every((state) => areFinite(state.data as Float32Array))) {
      reset();
      throw new ModelError(
        `Expected finite numbers as scores and states from ${manifest.file}, got others`,
        'if it happens again, export the model anew, with a floor under its logarithms; `tocsin selftest` tests it',
      );
    }
    const wild = values.find((score) => score < -rounding || score > 1 + rounding);
    if (wild === undefined) return frames;
    reset();
    throw new ModelError(`Expected scores from 0 to 1 from ${manifest.file}, got ${wild}`, 'export the model with a sigmoid or softmax behind its last layer');
  }

  function reset(): void {
    window.fill(0);
    filled = windowSamples - hopSamples;
    hops = 0;
    for (const state of states) (state.data as Float32Array).fill(0);
  }

  return {
    manifest,
    sampleRate,
    frameSeconds,
    tailSeconds: (windowSamples + hopSamples) / sampleRate + latencySeconds,
    async push(samples) {
      const frames: ScoreFrame[] = [];
      for (let taken = 0; taken < samples.length; ) {
        const piece = samples.subarray(taken, taken + windowSamples - filled);
        window.set(piece, filled);
        filled += piece.length;
        taken += piece.length;
        if (filled < windowSamples) break;
        frames.push(...(await score()));
        window.copyWithin(0, hopSamples);
        window.fill(0, windowSamples - hopSamples);
        filled = windowSamples - hopSamples;
      }
      return frames;
    },
    reset,
    async close() {
      reset();
      await session.release();
    },
  };
}

/** `outputs` are those to be asked for. Throws a ModelError where the graph is not what the manifest says. */
async function openSession(graph: Buffer, manifest: ModelManifest, { InferenceSession }: Runtime) {
  const session = await InferenceSession.create(graph, {
    executionProviders: ['cpu'],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    logSeverityLevel: 4, // what fails is thrown; at 3 it would also be printed, in colour
    // else weights in other files, which no digest covers, would be read from the working directory
    extra: { session: { intra_op: { allow_spinning: '0' }, model_external_initializers_file_folder_path: '/dev/null' } },
  }).catch((cause: unknown) => {
    const said = saidOf(cause);
    throw new ModelError(`Expected an ONNX graph in ${manifest.file}, got: ${said}`, unopenedHint(said), { cause });
  });
  const inputs = [manifest.waveformInput, ...manifest.states.map((s) => s.input)];
  const outputs = [manifest.scoresOutput, ...manifest.states.map((s) => s.output)];
  if (inputs.length !== session.inputNames.length || lacks(session.inputNames, inputs))
    throw new ModelError(
      `Expected the inputs ${listed(inputs)}, got ${listed(session.inputNames)}`,
      'name the inputs of the graph in manifest.json; one that is neither waveform nor state must become a constant in the graph',
    );
  // a tagger may have more outputs, such as embeddings, which are not requested
  if (lacks(session.outputNames, outputs))
    throw new ModelError(`Expected the outputs ${listed(outputs)}, got ${listed(session.outputNames)}`, 'name the outputs of the graph in manifest.json');
  return { session, outputs };
}

function unopenedHint(said: string): string {
  if (lacksMemory(said)) return moreMemory;
  return /opset|IR version|implementation|registered|attribute/i.test(said)
    ? 'export the model again with the ops, opset and IR version that models/README.md names'
    : 'export the model again, with its weights inside the file';
}

const lacksMemory = (said: string) => /bad_alloc|allocate memory/i.test(said);
const moreMemory = 'free memory on this board, or take a smaller model; models/README.md says how large it may be for the service';

/** What the runtime says, without the line, function and condition of its own source. */
function saidOf(cause: unknown): string {
  return messageOf(cause)
    .replace(/\/\S+:\d+ (?:.*? was false\. |.*?\) (?=[A-Z]))/s, '')
    .trim();
}

// The graph as it is read, as it is parsed and as it is kept: one of 196 MB took 600 MB at most.
const copies = 3;

/**
 * Throws a ModelError if a graph of so many bytes needs more memory than is free. In a unit with MemoryMax the kernel
 * would kill the listener at each start instead, and nothing would say why.
 */
function requireMemory(path: string, bytes: number): void {
  const free = freeMemory();
  const [most, got] = [free, copies * bytes].map((count) => Math.round(count / 1e6));
  if (copies * bytes > free)
    throw new ModelError(
      `Expected a graph at ${path} that takes at most the ${most} MB of memory that are free here, got one that takes ${got} MB to load`,
      moreMemory,
    );
}

/**
 * Whether all values are finite: a sum is finite only if each term is, and in double precision no sum of floats
 * overflows. Four sums run in parallel, because each addition waits for the one before.
 */
export function areFinite(values: ArrayLike<number>): boolean {
  let [a, b, c, d] = [0, 0, 0, 0];
  const whole = values.length - (values.length % 4);
  for (let i = 0; i < whole; i += 4) {
    a += values[i] as number;
    b += values[i + 1] as number;
    c += values[i + 2] as number;
    d += values[i + 3] as number;
  }
  for (let i = whole; i < values.length; i++) a += values[i] as number;
  return Number.isFinite(a + b + c + d);
}

/** A state that grows from hop to hop, such as the cache of a transformer, would fill the memory. */
function requireState({ dims, type }: Tensor, shape: readonly number[], name: string): void {
  if (type !== 'float32' || dims.join() !== shape.join())
    throw new ModelError(
      `Expected ${name} of ${shape.join(' x ')} float32, as its state in manifest.json, got ${dims.join(' x ')} ${type}`,
      'export the model with states of one shape; models/README.md says which graphs can be used',
    );
}

function zeroStates(manifest: ModelManifest, { Tensor }: Runtime): Tensor[] {
  return manifest.states.map(({ shape }) => new Tensor('float32', new Float32Array(shape.reduce((a, b) => a * b, 1)), shape));
}

const rounding = 1e-3; // tolerance for the rounding of a quantised graph

function lacks(there: readonly string[], wanted: readonly string[]): boolean {
  return wanted.some((name) => !there.includes(name));
}

function listed(names: readonly string[]): string {
  return printableLine(names.join(', '));
}
