import { accessSync, constants, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { openRecording } from '../audio/audio-file.ts';
import type { ScoreFrame } from '../classify/classifier.ts';
import { type DetectionRule, type Label, labels, type ModelManifest } from '../classify/model-manifest.ts';
import { openOnnxClassifier } from '../classify/onnx-classifier.ts';
import { rulesOf, thresholdsOf } from '../classify/rules.ts';
import type { Config } from '../config/schema.ts';
import { openEventDetector } from '../events/event-detector.ts';
import { AudioError, exitCodes, isDenied, TocsinError } from '../lib/errors.ts';
import { ifPossible } from '../lib/if-possible.ts';
import { thousandth } from '../lib/rounding.ts';
import { stopIf } from '../lib/stop.ts';
import { openBar } from './bar.ts';
import { addCommand, namedFile } from './command.ts';
import { absentLabels, type Curve, evaluationPage } from './evaluation-page.ts';
import { openLowRates } from './low-rate.ts';
import { addModelOptions, type ModelOptions, modelSettings } from './model-options.ts';
import { checkPage, print, printJson, printWrapped, writePage } from './output.ts';
import { lengthTolerance, readScenes } from './scenes.ts';
import { type Found, type Labelled, type Scene, scoreEvents } from './scoring.ts';
import type { Translate } from './translate.ts';
import { fixed } from './typography.ts';

interface Options extends ModelOptions {
  json?: true;
  out: string;
}

/** evaluate: what the sensor is worth on a city's own recordings. */
export function addEvaluate(program: Command, signal: AbortSignal, t: Translate): void {
  const command = addCommand(program, 'evaluate', 'score the sensor on labelled scenes and write a page with plots', [
    'tocsin evaluate scenes/ --out evaluation.html',
    'tocsin evaluate scenes/ --config /etc/tocsin/tocsin.yaml',
    'tocsin evaluate scenes/ --operating-point strict --json',
  ])
    .argument(
      '<dir>',
      'folder with scenes.json ([{file, seconds, events: [{onset, offset, label?, kind?, snr?}]}]) and the audio files it names, or with recordings and a label track of Audacity for each (NAME.wav, NAME.txt)',
      namedFile,
    )
    .option('--json', 'the figures as one JSON object, and no page')
    .addOption(new Option('--out <file>', 'the page').default('evaluation.html').argParser(namedFile).conflicts('json'));
  addModelOptions(command).action((dir: string, options: Options) => evaluate(dir, options, signal, t));
}

async function evaluate(dir: string, options: Options, signal: AbortSignal, t: Translate): Promise<void> {
  const labelled = readScenes(dir);
  requireFiles(dir, labelled);
  if (!options.json) requirePage(options.out, dir, labelled);
  const settings = modelSettings(options);
  const classifier = await openOnnxClassifier(settings.path);
  const { manifest, frameSeconds } = classifier;
  const heard = new Map<string, ScoreFrame[]>();
  const lowRates = openLowRates(classifier.sampleRate, t);
  const scenes: Scene[] = [];
  const bar = openBar(labelled.length, t);
  try {
    for (const scene of labelled) {
      const source = await openScene(dir, scene, classifier.sampleRate, signal);
      scenes.push({ ...scene, seconds: scene.seconds ?? source.seconds });
      lowRates.add(scene.file, source.ownRate);
      const frames: ScoreFrame[] = [];
      for await (const { samples } of source.frames(signal)) frames.push(...(await classifier.push(samples)));
      stopIf(signal);
      classifier.reset();
      heard.set(scene.file, frames);
      bar?.increment();
    }
  } finally {
    bar?.stop();
  }
  await classifier.close();
  lowRates.tell();
  const scoreAt = openScorer(scenes, heard, { manifest, settings, frameSeconds });
  const score = scoreAt({});
  const rules = rulesOf(manifest, settings);
  const thresholds = thresholdsOf(rules);
  const evaluated = { model: `${manifest.name} ${manifest.version}`, operatingPoint: settings.operatingPoint, thresholds };
  if (options.json) return printJson({ ...evaluated, ...score });
  const each = t.list(labels.map((label) => `${t(`label.${label}`)} ${t.number(score.perLabel[label].f1, 2)}`));
  const { macroF1, falseAlarmsPerHour, falseAlarmsPerHourQuiet: quiet } = score;
  const figures = { f1: fixed(macroF1, 3), labels: each, alarms: fixed(quiet ?? falseAlarmsPerHour, 1) };
  const said = [t(quiet === undefined ? 'evaluate.score.busy' : 'evaluate.score', figures), ...absentLabels(score, t)];
  for (const line of [...said, ...othersIn(labelled, t)]) printWrapped(line);
  const curves = labels.map((label) => curve(label, (open) => scoreAt({ [label]: open })));
  writePage(options.out, evaluationPage({ ...evaluated, scenes: scenes.length }, score, curves));
  print(t('evaluate.written', { path: options.out }));
}

/** In a label track the name of a target is all that makes it one: what was taken for something else is told. */
function othersIn(labelled: readonly Labelled[], t: Translate): string[] {
  const kinds = labelled.flatMap(({ track, events }) => (track === undefined ? [] : events.flatMap(({ kind }) => kind ?? [])));
  const list = t.list([...Map.groupBy(kinds, (kind) => kind)].map(([kind, { length }]) => `${kind} ${length}`));
  return list === '' ? [] : [t('evaluate.others', { list })];
}

/**
 * Hours of scenes are not heard for nothing: what cannot be read is told before the first. Damage within a file shows
 * only once it is decoded, which is done once, at its turn.
 */
function requireFiles(dir: string, scenes: readonly Labelled[]): void {
  const refused = scenes.map(({ file }) => join(dir, file)).flatMap((path) => refusalOf(path) ?? []);
  const [first] = refused;
  if (first !== undefined)
    throw new AudioError(
      `Expected every recording of the scenes, got ${refused.length} of ${scenes.length} that cannot be read, first ${first.path}`,
      isDenied(first.cause) ? 'run it again with sudo' : 'check the path: ls shows what is there',
    );
}

function requirePage(out: string, dir: string, scenes: readonly Labelled[]): void {
  checkPage(out);
  const place = placeOf(out);
  if (
    place !== undefined &&
    ['scenes.json', ...scenes.flatMap(({ file, track }) => (track === undefined ? [file] : [file, track]))].some((file) => placeOf(join(dir, file)) === place)
  )
    throw new TocsinError(`Expected --out to name a file of its own, got ${out}, which belongs to the scenes`, 'name another file: --out', exitCodes.usage);
}

function placeOf(path: string): string | undefined {
  return ifPossible(() => realpathSync(path)); // it may not be there yet
}

function refusalOf(path: string): { path: string; cause: unknown } | undefined {
  try {
    accessSync(path, constants.R_OK);
    const found = statSync(path);
    return found.isFile() && found.size > 0 ? undefined : { path, cause: undefined };
  } catch (cause) {
    return { path, cause };
  }
}

/** False alarms are counted by the hour: the hours must be those that were heard. */
async function openScene(dir: string, { file, seconds, events, track }: Labelled, sampleRate: number, signal: AbortSignal) {
  const path = join(dir, file);
  const source = await openRecording(path, sampleRate, signal);
  const heard = Number(source.seconds.toFixed(2));
  if (seconds !== undefined && Math.abs(source.seconds - seconds) > lengthTolerance)
    throw new AudioError(
      `Expected ${seconds} s of sound in ${path}, as scenes.json says, got ${heard} s`,
      'is the file complete? if it is, correct its "seconds" in scenes.json',
    );
  const last = Math.max(0, ...events.map(({ offset }) => offset));
  if (last > source.seconds + lengthTolerance)
    throw new AudioError(`Expected labels within the ${heard} s of ${path}, got one at ${last} s in ${track}`, 'is it the label track of this recording?');
  if (source.isZeros) throw new AudioError(`Expected sound in ${path}, got nothing but exact zeros`, 'was its recorder mute? leave it out, or record it again');
  return source;
}

/**
 * The real detector over scores that were computed once. Its sums of frames miss the last digits: whole thousandths, as
 * `replay` prints them, keep an onset that is exactly at the edge of an annotation there.
 */
function detect(heard: ReadonlyMap<string, ScoreFrame[]>, rules: Record<Label, DetectionRule>, frameSeconds: number): Found[] {
  const found: Found[] = [];
  for (const [file, frames] of heard) {
    const detector = openEventDetector(labels, rules, frameSeconds);
    const told = new Map<object, number>();
    const add = (detections: ReturnType<typeof detector.finish>) => {
      for (const d of detections)
        found.push({
          file,
          label: d.label,
          onsetSeconds: thousandth(d.onsetSeconds),
          confidence: thousandth(d.confidence),
          toldSeconds: told.get(d) ?? 0,
        });
    };
    for (const frame of frames) {
      const step = detector.push(frame);
      for (const d of step.confirmed) told.set(d, frame.scoredSeconds);
      add(step.ended);
    }
    add(detector.finish());
  }
  return found;
}

interface Scored {
  readonly manifest: ModelManifest;
  readonly settings: Pick<Config['model'], 'operatingPoint' | 'open'>;
  readonly frameSeconds: number;
}

/** Scores what was heard, as the agent would have with these settings and the given thresholds in `model.open`. */
export function openScorer(scenes: readonly Scene[], heard: ReadonlyMap<string, ScoreFrame[]>, { manifest, settings, frameSeconds }: Scored) {
  return (open: Partial<Record<Label, number>>) =>
    scoreEvents(scenes, detect(heard, rulesOf(manifest, { ...settings, open: { ...settings.open, ...open } }), frameSeconds));
}

function curve(label: Label, scoreAt: (open: number) => ReturnType<typeof scoreEvents>): Curve {
  const points = Array.from({ length: 19 }, (_, i) => {
    const threshold = (i + 1) / 20;
    const { perLabel, hours } = scoreAt(threshold);
    const { recall, precision, f1, falseAlarm } = perLabel[label];
    return { threshold, recall, precision, f1, falseAlarmsPerHour: hours > 0 ? falseAlarm / hours : 0 };
  });
  return { label, points };
}
