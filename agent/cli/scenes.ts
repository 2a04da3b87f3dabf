import { existsSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { z } from 'zod';
import { labels } from '../classify/model-manifest.ts';
import { printable, problemList, problemsOf } from '../config/problems.ts';
import { AudioError, isDenied, messageOf } from '../lib/errors.ts';
import { parseJson } from '../lib/json.ts';
import { readRegularFile } from '../lib/regular-file.ts';
import { isSlipOf } from '../lib/slip.ts';
import { help, readLabelTracks } from './label-tracks.ts';
import type { Labelled } from './scoring.ts';

/** Seconds by which a file may be longer or shorter than is said of it: an mp3 is padded at both ends. */
export const lengthTolerance = 0.5;

/** The places of texts that stand further up as well. */
function repeated(texts: readonly string[]): Set<number> {
  const seen = new Set<string>();
  return new Set(texts.flatMap((text, i) => (seen.size === seen.add(text).size ? [i] : [])));
}

const none = (value: unknown) => (value === '' || value === null ? undefined : value);
const seconds = z.number().min(0);
const event = z
  .looseObject({
    onset: seconds,
    offset: seconds,
    label: z.preprocess(none, z.enum(labels).optional()),
    kind: z.preprocess(none, z.string().optional()),
    snr: z.preprocess(none, z.number().optional()),
  })
  .superRefine((given, context) => {
    // other keys are let be, but a slip of the pen in `label` would make a confuser of a target
    const missing = ['label', 'kind', 'snr'].filter((name) => !(name in given));
    for (const key of Object.keys(given)) {
      const meant = missing.find((name) => isSlipOf(key.toLowerCase(), name));
      if (meant) context.addIssue({ code: 'custom', path: [key], message: `expected its name to be ${meant}` });
    }
  })
  .refine(({ onset, offset }) => offset >= onset, { path: ['offset'], error: 'expected no less than the onset' });
const scene = z
  .looseObject({ file: z.string().min(1), seconds: z.number().refine((length) => length > 0, { error: 'expected more than 0' }), events: z.array(event) })
  .superRefine(({ seconds: length, events }, context) => {
    const message = 'expected no more than the seconds of its scene';
    const again = repeated(events.map(({ onset, offset, label, kind }) => JSON.stringify([onset, offset, label, kind])));
    events.forEach(({ onset, offset }, i) => {
      if (onset > length) context.addIssue({ code: 'custom', path: ['events', i, 'onset'], message });
      else if (offset > length + lengthTolerance) context.addIssue({ code: 'custom', path: ['events', i, 'offset'], message });
      if (again.has(i)) context.addIssue({ code: 'custom', path: ['events', i], message: 'expected each event once' });
    });
  });
const schema = z.array(scene).superRefine((scenes, context) => {
  for (const i of repeated(scenes.map(({ file }) => normalize(file))))
    context.addIssue({ code: 'custom', path: [i, 'file'], message: 'expected each file once' });
});

/**
 * Reads the scenes of a folder: scenes.json, or where there is none, the label tracks beside its recordings. Throws one
 * AudioError for all problems: a score of half-understood labels would look like any other.
 */
export function readScenes(dir: string): Labelled[] {
  const path = join(dir, 'scenes.json');
  const tracks = existsSync(path) ? [] : readLabelTracks(dir);
  if (tracks.length > 0) return tracks;
  const value = parse(dir, path);
  const result = schema.safeParse(value);
  if (!result.success) {
    const problems = result.error.issues.flatMap((issue) => problemsOf(issue, value));
    throw new AudioError(problemList(path, problems), help);
  }
  if (result.data.length === 0) throw new AudioError(`Expected a scene in ${path}, got an empty list`, help);
  return result.data as Labelled[];
}

function parse(dir: string, path: string): unknown {
  try {
    return parseJson(readRegularFile(path));
  } catch (cause) {
    const hint = isDenied(cause) ? 'run it again with sudo' : help;
    throw new AudioError(`Expected scenes.json in ${dir}: a list of {file, seconds, events}, got: ${printable(messageOf(cause))}`, hint, { cause });
  }
}
