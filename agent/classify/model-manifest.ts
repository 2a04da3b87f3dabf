import { hash } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { printable, printableLine, problemList, problemsOf } from '../config/problems.ts';
import { isDenied, isUnreadable, ModelError, messageOf, unreadableHint } from '../lib/errors.ts';
import { ifPossible } from '../lib/if-possible.ts';
import { parseJson } from '../lib/json.ts';
import { readRegularFile } from '../lib/regular-file.ts';
import { shellWord } from '../lib/shell-word.ts';

export const labels = ['glass_break', 'shout', 'bang'] as const;
export type Label = (typeof labels)[number];

const seconds = z.number().min(0).max(60);
const threshold = z.number().min(0.001).max(1); // no score is below 0: at 0 a sound would begin at once and never end
const rule = z.strictObject({
  open: threshold,
  close: threshold,
  minDurationSeconds: seconds,
  smoothingSeconds: seconds,
  mergeSeconds: seconds,
  cooldownSeconds: seconds,
});
export type DetectionRule = z.infer<typeof rule>;
const operatingPoint = z.strictObject({ falseAlarmsPerHour: z.number().min(0), labels: z.strictObject({ glass_break: rule, shout: rule, bang: rule }) });

const mapped = z.strictObject({ classes: z.array(z.string()).min(1), audioSet: z.array(z.string()).default([]), onvif: z.string().optional() });

/** The contract of a model folder; models/README.md explains each field to someone who brings another model. */
export const manifestSchema = z.strictObject({
  format: z.literal(1),
  name: z.string().regex(/^[a-z0-9-]{1,32}$/),
  version: z.string().regex(/^[0-9a-z.-]{1,32}$/),
  file: z.string().regex(/^[\w.-]+\.onnx$/),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  licence: z.string(),
  sampleRate: z.number().int().min(8000).max(48000),
  windowSamples: z.number().int().min(1),
  hopSamples: z.number().int().min(1),
  waveformInput: z.string(),
  waveformShape: z.array(z.number().int()).optional(),
  scoresOutput: z.string(),
  states: z.array(z.strictObject({ input: z.string(), output: z.string(), shape: z.array(z.number().int().positive()) })).default([]),
  framesPerHop: z.number().int().min(1),
  frameSeconds: z.number().positive(),
  latencySeconds: z.number().min(0).max(1).default(0),
  classes: z.array(z.string()).min(1),
  labels: z.strictObject({ glass_break: mapped, shout: mapped, bang: mapped }),
  operatingPoints: z.strictObject({ balanced: operatingPoint, strict: operatingPoint }),
  thresholdsChosenOn: z.string(),
  trainingData: z.array(z.looseObject({ source: z.string() })).default([]),
  parameters: z.number().int().optional(),
  multiplyAccumulatesPerSecond: z.number().optional(),
});
export type ModelManifest = z.infer<typeof manifestSchema>;

function read(folder: string, name: string): Buffer {
  try {
    return readRegularFile(join(folder, name));
  } catch (cause) {
    throw new ModelError(
      `Expected ${name} in ${folder}, got: ${messageOf(cause)}`,
      isDenied(cause)
        ? `run it again with sudo; if a service reports this: sudo chmod -R a+rX ${shellWord(folder)}`
        : isUnreadable(cause)
          ? unreadableHint
          : 'name a folder as models/README.md describes; in the configuration it is model.path',
      { cause },
    );
  }
}

/** Reads the manifest of a model folder. Throws a ModelError that says what is wrong with it. */
export function loadManifest(folder: string): ModelManifest {
  const bytes = read(folder, 'manifest.json');
  let value: unknown;
  try {
    value = parseJson(bytes);
  } catch (cause) {
    throw new ModelError(`Expected JSON in ${folder}/manifest.json, got: ${printable(messageOf(cause))}`, 'see models/README.md', { cause });
  }
  const result = manifestSchema.safeParse(value);
  if (!result.success) {
    const problems = result.error.issues.flatMap((issue) => problemsOf(issue, value));
    throw new ModelError(problemList(`${folder}/manifest.json`, problems), 'see models/README.md for each field');
  }
  const manifest = result.data;
  for (const label of labels)
    for (const name of manifest.labels[label].classes)
      if (!manifest.classes.includes(name))
        throw new ModelError(`labels.${label}: expected names from "classes", got "${printableLine(name)}"`, 'correct the spelling in manifest.json');
  checkShape(manifest);
  return manifest;
}

/**
 * Reads a model folder and checks the ONNX file against its digest. Throws a ModelError that says what differs.
 * `weigh` is called with its size and that of its states before it is read.
 */
export function loadModel(folder: string, weigh: (path: string, bytes: number) => void = () => undefined): { manifest: ModelManifest; graph: Buffer } {
  const manifest = loadManifest(folder);
  const path = join(folder, manifest.file);
  const stateValues = manifest.states.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0);
  const graphBytes = ifPossible(() => statSync(path).size) ?? 0; // who reads it tells why it cannot be
  weigh(path, graphBytes + stateValues * Float32Array.BYTES_PER_ELEMENT);
  const graph = read(folder, manifest.file);
  const digest = hash('sha256', graph);
  if (digest !== manifest.sha256)
    throw new ModelError(
      `Expected ${manifest.file} with sha256 ${manifest.sha256}, got ${digest}`,
      'install the model again; if you changed it on purpose, write the new digest into manifest.json',
    );
  return { manifest, graph };
}

/**
 * A 48-bit digest of everything that decides what is recognised. It differs if the graph, its output, its classes or
 * the rules differ, whatever the version says.
 */
export function recognitionOf(manifest: ModelManifest): number {
  const { sha256, scoresOutput, classes, labels: mapping, operatingPoints, windowSamples, hopSamples, framesPerHop, frameSeconds } = manifest;
  const decisive = JSON.stringify([sha256, scoresOutput, classes, mapping, operatingPoints, windowSamples, hopSamples, framesPerHop, frameSeconds]);
  return hash('sha256', decisive, 'buffer').readUIntBE(0, 6);
}

/**
 * Checks what the schema cannot: fields that must fit one another. Wrong ones would give every event a wrong time, or
 * no events at all.
 */
function checkShape({ windowSamples, hopSamples, states, waveformShape, framesPerHop, frameSeconds, sampleRate, classes }: ModelManifest): void {
  if (windowSamples > sampleRate)
    throw new ModelError(
      `windowSamples: expected at most the ${sampleRate} of a second, because sound is forgotten within two seconds, got ${windowSamples}`,
      'see models/README.md for each field',
    );
  if (hopSamples > windowSamples)
    throw new ModelError(`hopSamples: expected at most the ${windowSamples} of windowSamples, got ${hopSamples}`, 'see models/README.md for each field');
  if (states.length > 0 && hopSamples !== windowSamples)
    throw new ModelError(
      `hopSamples: expected the ${windowSamples} of windowSamples, because a model with states hears each sample once, got ${hopSamples}`,
      'see models/README.md for each field',
    );
  const shaped = waveformShape?.reduce((product, size) => product * size, 1) ?? windowSamples;
  if (shaped !== windowSamples || waveformShape?.some((size) => size < 1))
    throw new ModelError(
      `waveformShape: expected sizes whose product is the ${windowSamples} of windowSamples, got ${waveformShape?.join(' x ')}`,
      'see models/README.md for each field',
    );
  const hopSeconds = hopSamples / sampleRate;
  if (Math.abs(framesPerHop * frameSeconds - hopSeconds) > hopSeconds / 100)
    throw new ModelError(
      `frameSeconds: expected ${Number((hopSeconds / framesPerHop).toFixed(5))}, a hop of ${hopSamples} samples over ${framesPerHop} frames, got ${frameSeconds}`,
      'see models/README.md for each field',
    );
  const twice = classes.find((name, i) => classes.indexOf(name) < i);
  if (twice !== undefined) throw new ModelError(`classes: expected each name once, got "${printableLine(twice)}" again`, 'see models/README.md for each field');
}
