// Label tracks of Audacity: beside NAME.wav a NAME.txt, each line of which is an onset, an offset and a label.
import { readdirSync } from 'node:fs';
import { join, parse } from 'node:path';
import { type Label, labels } from '../classify/model-manifest.ts';
import { problemList, show } from '../config/problems.ts';
import { AudioError, isDenied, messageOf } from '../lib/errors.ts';
import { ifPossible } from '../lib/if-possible.ts';
import { readRegularFile } from '../lib/regular-file.ts';
import { isSlipOf } from '../lib/slip.ts';
import { textOf } from '../lib/utf16.ts';
import type { Labelled } from './scoring.ts';

export const help = 'tocsin evaluate --help shows the form';

/**
 * The recordings of a folder with what their label tracks say; none if no recording has one. Throws one AudioError for
 * all problems of the tracks, or if some recordings have none: what should be reported there would count as false.
 */
export function readLabelTracks(dir: string): Labelled[] {
  const names = ifPossible(() => readdirSync(dir).sort()) ?? [];
  const recordings = names.filter((name) => /^[^.].*\.(wav|flac|ogg|mp3)$/i.test(name));
  const trackOf = (file: string) => {
    const track = `${parse(file).name}.txt`;
    const alike = names.filter((name) => plain(name) === plain(track));
    return alike.includes(track) ? track : alike[0];
  };
  const tracks = new Set(recordings.map(trackOf));
  const labelled = names.filter((name) => /^[^.].*\.txt$/i.test(name) && !tracks.has(name) && isTrack(join(dir, name)));
  if (labelled.length > 0)
    throw new AudioError(
      `Expected a wav, flac, ogg or mp3 file beside every label track in ${dir}, got none for ${labelled.length} of them, first ${labelled[0]}`,
      'convert the recording to flac: ffmpeg -i FILE NEW-FILE.flac; or move the track elsewhere',
    );
  const without = recordings.filter((file) => trackOf(file) === undefined);
  if (without.length === recordings.length) return [];
  if (without.length > 0)
    throw new AudioError(
      `Expected a label track beside every recording in ${dir}, got none for ${without.length} of ${recordings.length}, first ${without[0]}`,
      'export an empty one where nothing is to be reported',
    );
  for (const [track = '', [first, second]] of Map.groupBy(recordings, trackOf))
    if (second !== undefined)
      throw new AudioError(
        `Expected a label track for each recording in ${dir}, got ${track} for both ${first} and ${second}`,
        'one recording in two forms counts twice: leave one out; two recordings: give one of them another name, with a track of its own',
      );
  const problems: string[] = [];
  const scenes = recordings.map((file) => {
    const track = trackOf(file) as string;
    const seen = new Set<string>();
    const events = linesOf(join(dir, track)).flatMap((line, i) => eventOf(line, seen, (problem) => problems.push(`${track}.${i + 1}: ${problem}`)));
    return { file, track, events };
  });
  if (problems.length > 0) throw new AudioError(problemList(dir, problems), help);
  return scenes;
}

/** Whether a text holds labels and nothing else, unlike notes. */
function isTrack(path: string): boolean {
  const lines = (ifPossible(() => linesOf(path)) ?? []).filter((line) => !isBlank(line));
  return lines.length > 0 && lines.every((line) => labelLine.test(line));
}

/** Names that a person takes for the same: a Mac spells an accent as a character of its own, other systems do not. */
const plain = (name: string) => name.normalize('NFC').toLowerCase();

function linesOf(path: string): string[] {
  try {
    return textOf(readRegularFile(path)).split(/\r?\n/);
  } catch (cause) {
    throw new AudioError(`Expected a label track in ${path}, got: ${messageOf(cause)}`, isDenied(cause) ? 'run it again with sudo' : help, { cause });
  }
}

const labelLine = /^(\d+(?:\.\d+)?)\t(\d+(?:\.\d+)?)\t *(.*?) *$/;

/** Audacity tells the frequencies of a label in a line of its own, behind a backslash. */
const isBlank = (line: string) => line.trim() === '' || line.startsWith('\\');

/**
 * The event of a line; none if it is empty, tells the frequencies of the line before, or is a problem. `seen`: what the
 * lines before said; 1.0 and 1.00 are the same time.
 */
function eventOf(line: string, seen: Set<string>, refuse: (problem: string) => void): Labelled['events'] {
  if (isBlank(line)) return [];
  const [, onset, offset, text = ''] = labelLine.exec(line) ?? [];
  const label = labels.find((name) => isSlipOf(text.toLowerCase().replace(/[ -]+/g, '_'), name));
  const event = `${Number(onset)} ${Number(offset)} ${text}`;
  const isAgain = onset !== undefined && seen.has(event);
  seen.add(event);
  const problem = isAgain ? 'expected each event once' : onset === undefined ? formProblemOf(line) : problemOf(Number(onset), Number(offset), text, label);
  if (problem === undefined) return [{ onset: Number(onset), offset: Number(offset), ...(label ? { label } : { kind: text }) }];
  refuse(`${problem}, got ${show(line)}`);
  return [];
}

/** What is wrong with the form of a line; a spreadsheet in French writes times with a comma. */
function formProblemOf(line: string): string {
  const hasComma = /^[\d.]*,\d+\t|^[\d.]+\t[\d.]*,\d+\t/.test(line);
  return hasComma ? 'expected times with a decimal point, not a comma' : 'expected onset, offset and label, with a tab between them';
}

function problemOf(onset: number, offset: number, text: string, label: Label | undefined): string | undefined {
  if (offset < onset) return 'expected no less than the onset';
  if (text === '') return `expected one of ${labels.map((name) => JSON.stringify(name)).join(', ')}, or what else is heard`;
  return label !== undefined && label !== text ? `expected its name to be ${label}` : undefined;
}
