import { type Command, Option } from 'commander';
import { judgeTone, readTone, type ToneReading } from '../audio/calibration-tone.ts';
import type { AudioSource } from '../audio/frame.ts';
import { microphoneOpener } from '../audio/microphone.ts';
import { openSoundLevelMeter, type SoundLevels } from '../audio/sound-level.ts';
import { loadConfig } from '../config/load-config.ts';
import type { Config } from '../config/schema.ts';
import { checkWritable, writeSetting } from '../config/write-setting.ts';
import { systemClock } from '../lib/clock.ts';
import { AudioError, exitCodes, TocsinError } from '../lib/errors.ts';
import { tenth } from '../lib/rounding.ts';
import { unlessStopped } from '../lib/stop.ts';
import { addCommand, configOption } from './command.ts';
import { wholeNumber } from './number-option.ts';
import { print, printJson, screenOf, wrap } from './output.ts';
import { addThresholds } from './thresholds.ts';
import type { MessageKey, Translate, Value } from './translate.ts';
import { fixed } from './typography.ts';

interface Options {
  config: string;
  level: '94' | '114';
  seconds: number;
  wait?: number;
  dryRun?: true;
  measure?: true;
  json?: true;
}

const stretchSeconds = 0.25;
const setting = ['microphone', 'splAtFullScaleDb'];
const placingSeconds = 25; // until the calibrator is in place and switched on

/** calibrate: from the tone of an acoustic calibrator to dB SPL; with --measure, the levels that come of it. */
export function addCalibrate(program: Command, signal: AbortSignal, t: Translate): void {
  const command = addCommand(program, 'calibrate', 'find the sensitivity of the microphone with a 94 or 114 dB, 1 kHz calibrator', [
    'sudo tocsin calibrate',
    'sudo tocsin calibrate --level 114',
    'tocsin calibrate --measure --seconds 60',
  ])
    .addOption(configOption())
    .addOption(new Option('--level <dB>', 'level of the calibrator').choices(['94', '114']).default('94'))
    .option('--seconds <count>', 'how long the tone must be steady, or how long to measure', wholeNumber(1, 3600), 5)
    .option('--wait <seconds>', 'how long to wait for the tone; by default 25 more than --seconds', wholeNumber(1, 3600))
    .option('--dry-run', 'store nothing')
    .addOption(new Option('--measure', 'instead of calibrating, measure LAeq, LAFmax and LASmax').conflicts(['level', 'wait', 'dryRun']))
    .option('--json', 'one JSON object: splAtFullScaleDb, before, frequencyHz, toneDbfs, spreadDb, stored; or the levels')
    .action((options: Options) => (options.measure ? measure(options, signal, t) : calibrate(options, signal, t)));
  addThresholds(command, t);
}

async function calibrate(options: Options, signal: AbortSignal, t: Translate): Promise<void> {
  const { seconds, wait = seconds + placingSeconds } = options;
  if (wait < seconds)
    throw new TocsinError(
      `Expected --wait of ${seconds} or more, as long as the tone must be steady, got ${wait}`,
      'wait longer with --wait, or ask for a shorter tone with --seconds',
      exitCodes.usage,
    );
  const config = loadConfig(options.config);
  if (!options.dryRun) checkWritable(options.config, setting, 100);
  const say = speaker(options);
  say.title(t('calibrate.title', { level: options.level }));
  say.line(t('calibrate.put', { seconds: wait }));
  const { verdict, toneDb, spreadDb, frequencyHz, loudest, heard, sounded } = await unlessStopped(signal, findTone(config, seconds, wait, signal));
  const spread = fixed(spreadDb, 2);
  const fail = (key: MessageKey, values: Record<string, Value>) => new AudioError(t.of({ key, values }), t.of({ key: `${key}.try` as MessageKey, values }));
  if (heard === 0) throw fail('calibrate.brief', { seconds: stretchSeconds });
  if (!sounded) throw fail('calibrate.silent', { seconds: heard });
  if (verdict === 'found' && heard < seconds) throw fail('calibrate.short', { heard, seconds });
  if (verdict !== 'found') throw fail(`calibrate.${verdict}`, { level: Math.round(loudest), hz: Math.round(frequencyHz), spread });
  const splAtFullScaleDb = tenth(Number(options.level) - toneDb);
  if (splAtFullScaleDb < 60 || splAtFullScaleDb > 160) throw fail('calibrate.range', { spl: splAtFullScaleDb });
  say.step(t('calibrate.tone'), t('calibrate.tone.found', { hz: fixed(frequencyHz, 1), level: fixed(toneDb, 1), spread, seconds }));
  say.step(t('calibrate.value'), t('calibrate.value.is', { spl: fixed(splAtFullScaleDb, 1) }));
  const { splAtFullScaleDb: before } = config.microphone;
  if (before !== undefined) {
    const change = tenth(splAtFullScaleDb - before);
    say.step('', t(Math.abs(change) > 1.5 ? 'calibrate.value.large' : 'calibrate.value.change', { before, change }));
  }
  if (!options.dryRun) {
    const day = new Date().toISOString().slice(0, 10);
    writeSetting(options.config, setting, splAtFullScaleDb, `tocsin calibrate, ${options.level} dB at 1 kHz, ${day}`);
  }
  say.step(t('calibrate.stored'), options.dryRun ? t('calibrate.stored.not') : t('calibrate.stored.in', { path: options.config }));
  if (!options.json) return;
  const round = (value: number) => Math.round(value * 100) / 100;
  const reading = { frequencyHz: round(frequencyHz), toneDbfs: round(toneDb), spreadDb: round(spreadDb), stored: !options.dryRun };
  printJson({ splAtFullScaleDb, before, ...reading });
}

/**
 * Listens until the tone has been steady long enough, or until the wait or the file ends; then judges the last stretch
 * of that length, or less.
 */
async function findTone(config: Config, seconds: number, wait: number, signal: AbortSignal) {
  const wanted = Math.round(seconds / stretchSeconds);
  const readings: ToneReading[] = [];
  let loudest = -100;
  let heard = 0;
  let sounded = false;
  for await (const stretch of stretches(await open(config, wait), wait, signal)) {
    const reading = readTone(stretch.samples, stretch.sampleRate);
    heard += stretchSeconds;
    sounded ||= stretch.samples.some((sample) => sample !== 0);
    readings.push({ ...reading, clipped: reading.clipped || stretch.clipped });
    if (readings.length > wanted) readings.shift();
    loudest = Math.max(loudest, reading.toneDb);
    if (readings.length === wanted && judgeTone(readings).verdict === 'found') break;
  }
  return { ...judgeTone(readings), loudest, heard, sounded };
}

async function measure(options: Options, signal: AbortSignal, t: Translate): Promise<void> {
  const config = loadConfig(options.config);
  const { splAtFullScaleDb } = config.microphone;
  const measured = await unlessStopped(signal, levelsOf(await open(config, options.seconds), options.seconds, signal));
  const { laeqDb, lafMaxDb, lasMaxDb, seconds: heard, sounded } = measured;
  if (heard === 0) throw new AudioError(t('calibrate.brief', { seconds: stretchSeconds }), t('calibrate.brief.try'));
  if (!sounded) throw new AudioError(t('calibrate.silent', { seconds: heard }), t('calibrate.silent.try'));
  const show = (db: number) => tenth(db + (splAtFullScaleDb ?? 0));
  const levels = { laeq: show(laeqDb), lafmax: show(lafMaxDb), lasmax: show(lasMaxDb), unit: splAtFullScaleDb === undefined ? 'dBFS' : 'dB SPL' };
  if (options.json) return printJson({ ...levels, seconds: heard });
  const say = speaker(options);
  say.line(
    t('calibrate.measured', {
      laeq: fixed(levels.laeq, 1),
      lafmax: fixed(levels.lafmax, 1),
      lasmax: fixed(levels.lasmax, 1),
      unit: levels.unit,
      seconds: heard,
    }),
  );
  if (splAtFullScaleDb === undefined) say.line(t('calibrate.uncalibrated'));
}

/**
 * The levels of all that was heard, which may be less than asked for, since a file ends. Exact zeros are a dead
 * microphone and have no level.
 */
async function levelsOf(source: AudioSource, seconds: number, signal: AbortSignal): Promise<SoundLevels & { sounded: boolean }> {
  const meter = openSoundLevelMeter(source.sampleRate);
  let sounded = false;
  for await (const { samples } of stretches(source, seconds, signal)) {
    sounded ||= samples.some((sample) => sample !== 0);
    meter.push(samples);
  }
  return { ...meter.levels(), sounded };
}

function open(config: Config, wait: number): Promise<AudioSource> {
  return microphoneOpener({ ...config.microphone, silenceTimeoutSeconds: wait + 5 }, systemClock())();
}

/**
 * The source in stretches of a quarter of a second, each overwritten after use. Ends after `seconds` of sound. Throws
 * an AudioError if these take more than twice as long, and ten seconds to open the microphone.
 */
async function* stretches(source: AudioSource, seconds: number, signal: AbortSignal) {
  const { sampleRate } = source;
  const over = new AbortController();
  const late = AbortSignal.timeout((2 * seconds + 10) * 1000);
  const samples = new Float32Array(Math.round(sampleRate * stretchSeconds));
  let filled = 0;
  let clipped = false;
  let left = Math.round(seconds / stretchSeconds);
  try {
    for await (const frame of source.frames(AbortSignal.any([signal, over.signal, late]))) {
      for (let taken = 0; taken < frame.samples.length && left > 0; ) {
        const piece = frame.samples.subarray(taken, taken + samples.length - filled);
        samples.set(piece, filled);
        filled += piece.length;
        taken += piece.length;
        clipped ||= (frame.atFullScale ?? 0) > 0; // one of two channels, which their mean does not show
        if (filled < samples.length) break;
        yield { samples, sampleRate, clipped };
        filled = 0;
        clipped = false;
        left--;
      }
      if (left === 0) over.abort();
    }
    if (late.aborted && left > 0)
      throw new AudioError(
        `Expected ${seconds} s of sound from the microphone, got less in ${2 * seconds + 10} s`,
        'tocsin doctor says what is wrong with it; check microphone.sampleRateHz, the USB hub and its power supply',
      );
  } finally {
    over.abort();
    samples.fill(0);
  }
}

function speaker({ json }: Options) {
  const { columns, colours } = screenOf(process.stdout);
  const out = (line: string) => !json && print(line);
  return {
    title: (line: string) => out(`${colours.bold(wrap(line, columns))}\n`),
    line: (line: string) => out(wrap(line, columns)),
    step: (name: string, line: string) => out(`${name ? colours.green('ok') : '  '}  ${name.padEnd(10)}${wrap(line, columns, 14)}`),
  };
}
