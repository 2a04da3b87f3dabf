import type { Command } from 'commander';
import { openAudioFile } from '../audio/audio-file.ts';
import { openOnnxClassifier } from '../classify/onnx-classifier.ts';
import { rulesOf } from '../classify/rules.ts';
import { printableLine } from '../config/problems.ts';
import type { Detection } from '../events/event-detector.ts';
import { AudioError } from '../lib/errors.ts';
import { thousandth } from '../lib/rounding.ts';
import { unlessStopped } from '../lib/stop.ts';
import { hear } from '../pipeline.ts';
import { openBar } from './bar.ts';
import { addCommand } from './command.ts';
import { openLowRates } from './low-rate.ts';
import { addModelOptions, type ModelOptions, modelSettings } from './model-options.ts';
import { print, printWrapped, reportError, screenOf, wrap } from './output.ts';
import type { Translate } from './translate.ts';
import { fixed } from './typography.ts';

interface ReplayOptions extends ModelOptions {
  json?: true;
}

/** replay: the same pipeline over audio files, as fast as the machine can. Nothing is stored or published. */
export function addReplay(program: Command, signal: AbortSignal, t: Translate): void {
  const command = addCommand(program, 'replay', 'recognise sounds in audio files (wav, flac, ogg, mp3)', [
    'tocsin replay street.flac',
    'tocsin replay *.wav --json > events.ndjson',
    'tocsin replay street.flac --operating-point strict',
  ])
    .argument('<file...>', 'audio files')
    .option('--json', 'one JSON object a line: file, label, onsetSeconds, offsetSeconds, confidence');
  addModelOptions(command).action((files: string[], options: ReplayOptions) => replay(files, options, signal, t));
}

async function replay(files: string[], options: ReplayOptions, signal: AbortSignal, t: Translate): Promise<void> {
  const settings = modelSettings(options);
  const classifier = await openOnnxClassifier(settings.path);
  const rules = rulesOf(classifier.manifest, settings);
  const bar = openBar(files.length, t);
  const { columns } = screenOf(process.stdout);
  const fit = (line: string) => (process.stdout.isTTY ? wrap(line, columns, 6) : line);
  /**
   * The progress bar occupies the line to be written next. It ends at the cursor position that it saved, so that is
   * saved again below.
   */
  const tell = (say: () => void) => {
    if (bar) process.stderr.write('\r\x1b[K');
    say();
    if (bar) process.stderr.write('\x1b7');
    bar?.render();
  };
  const lowRates = openLowRates(classifier.sampleRate, t);
  let recognised = 0;
  let refused = 0;
  try {
    for (const file of files) {
      const found: Detection[] = [];
      let source: Awaited<ReturnType<typeof openAudioFile>>;
      try {
        source = await openAudioFile(file, classifier.sampleRate, 'fast', signal);
      } catch (error) {
        if (!(error instanceof AudioError) || files.length === 1) throw error;
        tell(() => reportError(error, t.language));
        refused++;
        bar?.increment();
        continue;
      }
      lowRates.add(file, source.ownRate);
      if (source.isZeros) tell(() => printWrapped(t('replay.zeros', { file: printableLine(file) }), process.stderr));
      await unlessStopped(signal, hear(source, classifier, rules, { ended: (detection) => found.push(detection) }, signal));
      recognised += found.length;
      found.sort((a, b) => a.onsetSeconds - b.onsetSeconds);
      for (const detection of found) {
        const line = options.json ? asJson(file, detection) : fit(asText(file, detection, t));
        tell(() => print(line));
      }
      bar?.increment();
    }
  } finally {
    bar?.stop();
    await classifier.close();
  }
  lowRates.tell();
  if (refused > 0)
    throw new AudioError(
      `Expected sound in ${files.length} files, got ${refused} that could not be read: each is named above`,
      'correct those files, then run the command on them again',
    );
  if (recognised === 0 && !options.json) printWrapped(t('replay.none', { point: settings.operatingPoint }), process.stderr);
}

function asJson(file: string, { label, onsetSeconds, offsetSeconds, confidence }: Detection): string {
  return JSON.stringify({ file, label, onsetSeconds: thousandth(onsetSeconds), offsetSeconds: thousandth(offsetSeconds), confidence: thousandth(confidence) });
}

function asText(file: string, { label, onsetSeconds, offsetSeconds, confidence }: Detection, t: Translate): string {
  return t('replay.line', {
    onset: t.number(onsetSeconds, 2).padStart(8),
    label: t(`label.${label}`).padEnd(14),
    confidence: fixed(confidence, 2),
    seconds: fixed(offsetSeconds - onsetSeconds, 2),
    file: printableLine(file),
  });
}
