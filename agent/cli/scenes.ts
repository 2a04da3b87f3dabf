import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { labels } from '../classify/model-manifest.ts';
import { printable, problemsOf, show } from '../config/problems.ts';
import { AudioError, messageOf } from '../lib/errors.ts';
import { nearestName } from './nearest-name.ts';
import type { Scene } from './scoring.ts';

const none = (value: unknown) => (value === '' || value === null ? undefined : value);
const seconds = z.number().min(0);
const noted = z.unknown().optional(); // where a sound came from, for people and for the scripts of models/training
const event = z
  .strictObject({
    onset: seconds,
    offset: seconds,
    label: z.preprocess(none, z.enum(labels).optional()),
    kind: z.preprocess(none, z.string().optional()),
    snr: z.preprocess(none, z.number().optional()),
    source: noted,
    clip: noted,
  })
  .refine(({ onset, offset }) => offset >= onset, { path: ['offset'], error: 'expected no less than the onset' });
const scene = z
  .strictObject({
    file: z.string().min(1),
    seconds: z.number().refine((length) => length > 0, { error: 'expected more than 0' }),
    bed: noted,
    events: z.array(event),
  })
  .superRefine(({ seconds: length, events }, context) => {
    events.forEach(({ onset }, i) => {
      if (onset > length) context.addIssue({ code: 'custom', path: ['events', i, 'onset'], message: 'expected no more than the seconds of its scene' });
    });
  });
const schema = z.array(scene).superRefine((scenes, context) => {
  const names = scenes.map(({ file }) => file);
  names.forEach((name, i) => {
    if (names.indexOf(name) < i) context.addIssue({ code: 'custom', path: [i, 'file'], message: 'expected each file once' });
  });
});

const shownProblems = 20;

/** Reads scenes.json of a folder. Throws one AudioError that lists what is wrong: a figure of half-understood labels would look like any other. */
export function readScenes(dir: string): Scene[] {
  const path = join(dir, 'scenes.json');
  const value = parse(dir, path);
  const result = schema.safeParse(value, { reportInput: true });
  if (!result.success) {
    const problems = result.error.issues.flatMap((issue) => (issue.code === 'unrecognized_keys' ? unknownKeys(issue, value) : problemsOf(issue, value)));
    const shown = problems.slice(0, shownProblems).map((problem) => `  ${printable(problem)}`);
    throw new AudioError(`${path} has ${problems.length} problem${problems.length === 1 ? '' : 's'}:\n${shown.join('\n')}`, help);
  }
  if (result.data.length === 0) throw new AudioError(`Expected a scene in ${path}, got an empty list`, help);
  return result.data as Scene[];
}

/** A key that is not understood is refused: `lable` would make a confuser of a target. */
function unknownKeys({ path, keys }: z.core.$ZodIssueUnrecognizedKeys, scenes: unknown): string[] {
  const [index, , place] = path as [number, 'events'?, number?];
  const owner = (scenes as Record<string, unknown>[])[index] as Record<string, unknown>;
  const given = place === undefined ? owner : ((owner.events as unknown[])[place] as Record<string, unknown>);
  const known = Object.keys((place === undefined ? scene : event).shape);
  return keys.map((key) => {
    const missing = known.filter((one) => !Object.hasOwn(given, one));
    const nearest = nearestName(key, missing);
    const meant = nearest === undefined ? '' : `, perhaps ${show(nearest)}`;
    return `${[...path, key].join('.')}: expected in ${show(owner.file)} only the keys ${known.join(', ')}${meant}, got ${show(given[key])}`;
  });
}

const help = 'tocsin evaluate --help shows the form';

function parse(dir: string, path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new AudioError(`Expected scenes.json in ${dir}: a list of {file, seconds, events}, got: ${printable(messageOf(cause))}`, help, { cause });
  }
}
