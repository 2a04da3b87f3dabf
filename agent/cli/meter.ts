import type { Command } from 'commander';
import { labels } from '../classify/model-manifest.ts';
import { loadConfig, meterSocketPath, serviceConfig, serviceMeterSocket } from '../config/load-config.ts';
import { AudioError, isDenied, type TocsinError } from '../lib/errors.ts';
import { shellWord } from '../lib/shell-word.ts';
import { sleep } from '../lib/sleep.ts';
import type { MeterReading } from '../meter/reading.ts';
import { addCommand, configOption } from './command.ts';
import { type MeterTrouble, readings } from './meter/connection.ts';
import { openScreen } from './meter/screen.ts';
import { meterRows, microphone, reason, type Shown, troubleRows } from './meter/view.ts';
import { wholeNumber } from './number-option.ts';
import { canDraw, print, printJson, screenOf, wrap } from './output.ts';
import { readService } from './service.ts';
import type { MessageKey, Translate } from './translate.ts';
import { fixed } from './typography.ts';

interface Options {
  config: string;
  seconds?: number;
  lines?: true;
  json?: true;
}

const peakSeconds = 2;
const sinkPerReading = 0.08; // of a bar: from full to nothing in a second and a quarter

/** meter: what the listener hears now and thinks of it, and why it fired or did not. */
export function addMeter(program: Command, signal: AbortSignal, t: Translate): void {
  addCommand(program, 'meter', 'what the sensor hears now, and why it reports an event or not', ['sudo tocsin meter', 'tocsin meter --json --seconds 10'])
    .addOption(configOption())
    .option('--seconds <count>', 'stop after this many seconds', wholeNumber(1, 86_400))
    .option('--lines', 'lines instead of a live view')
    .option('--json', 'one JSON object for each reading, ten a second')
    .action((options: Options) => meter(options, signal, t));
}

async function meter(options: Options, signal: AbortSignal, t: Translate): Promise<void> {
  const place = placeOf(options.config);
  const quit = new AbortController();
  const over = AbortSignal.any([signal, quit.signal, ...(options.seconds ? [AbortSignal.timeout(options.seconds * 1000)] : [])]);
  const live = canDraw(process.stdout) && !options.lines && !options.json;
  return live ? view(place, options.config, over, () => quit.abort(), t) : lines(place, options, over, t);
}

interface Place {
  readonly path: string;
  /** As the title has it; empty where it is not known. */
  readonly sensor: string;
}

/** Who is let into the socket of the service need not be let into the configuration. */
function placeOf(configPath: string): Place {
  try {
    const config = loadConfig(configPath);
    return { path: meterSocketPath(config), sensor: `${config.sensor} @ ${config.site}` };
  } catch (error) {
    if (!isDenied(error) || configPath !== serviceConfig) throw error;
    return { path: serviceMeterSocket, sensor: '' };
  }
}

/** The live view: it stays while the listener is away, says so, and goes on when it is back. */
async function view({ path, sensor }: Place, configPath: string, over: AbortSignal, quit: () => void, t: Translate): Promise<void> {
  const coloured = screenOf(process.stdout).colours.isColorSupported;
  let trouble = await tried(path, over); // what a wrong call says stays on the terminal
  if (trouble) throw await troubleError(trouble, path, configPath, t);
  let again = () => {};
  const screen = openScreen(process.stdout, process.stdin, quit, () => again());
  try {
    while (!over.aborted) {
      const remember = openMemory();
      const source = readings(path, over);
      for (let next = await source.next(); ; next = await source.next()) {
        if (next.done) {
          trouble = next.value;
          break;
        }
        const shown = remember(next.value);
        again = () => screen.draw(meterRows(sensor, shown, screen.columns(), t), coloured);
        again();
      }
      if (over.aborted || !trouble) break;
      const { message, tryHint } = await troubleError(trouble, path, configPath, t);
      again = () => screen.draw(troubleRows(sensor, message, tryHint, screen.columns(), t), coloured);
      again();
      await sleep(1000, over);
    }
  } finally {
    screen.close();
  }
}

async function tried(path: string, over: AbortSignal): Promise<MeterTrouble | undefined> {
  const source = readings(path, over);
  const first = await source.next();
  if (first.done) return first.value;
  await source.return(undefined);
  return undefined;
}

/** Peaks and bars from one reading to the next. */
function openMemory(): (reading: MeterReading) => Shown {
  const levels: (number | undefined)[] = [];
  let bars: number[] = [];
  return (reading) => {
    levels.push(reading.levelDb);
    if (levels.length > peakSeconds * 10) levels.shift();
    bars = reading.labels.map(({ score }, i) => Math.max(score, (bars[i] ?? 0) - sinkPerReading));
    const heard = levels.filter((db) => db !== undefined);
    return { reading, peakDb: heard.length > 0 ? Math.max(...heard) : undefined, bars };
  };
}

/**
 * For pipes: each reading as JSON, or a line a second and one for each sound. Ends with an error when the listener
 * goes.
 */
async function lines({ path }: Place, { json, config: configPath }: Options, over: AbortSignal, t: Translate): Promise<void> {
  const source = readings(path, over);
  let stirred: number | undefined;
  let shownMs = Number.NEGATIVE_INFINITY;
  let loudest: number | undefined;
  const { columns } = screenOf(process.stdout);
  const show = (line: string) => print(process.stdout.isTTY ? wrap(line, columns, 9) : line); // whoever reads a pipe gets one line each
  for (let next = await source.next(); ; next = await source.next()) {
    if (next.done) {
      if (next.value) throw await troubleError(next.value, path, configPath, t);
      return;
    }
    const reading = next.value;
    if (json) {
      printJson(asJson(reading));
      continue;
    }
    const fresh = reading.last.slice(0, Math.max(0, reading.stirred - (stirred ?? reading.stirred)));
    stirred = reading.stirred;
    for (const last of fresh.toReversed())
      show(
        t('meter.line.event', {
          time: clockTime(),
          label: t(`label.${labels[last.label] ?? 'bang'}`),
          peak: fixed(last.peak, 3),
          reason: reason(last, reading, t),
        }),
      );
    loudest = Math.max(loudest ?? -120, reading.levelDb ?? -120);
    if (performance.now() - shownMs < 995) continue;
    shownMs = performance.now();
    show(levelLine(reading, loudest === -120 ? undefined : loudest, t));
    loudest = undefined;
  }
}

function levelLine(reading: MeterReading, levelDb: number | undefined, t: Translate): string {
  const { splDb, noiseFloorDb } = reading;
  const said = microphone(reading, t);
  return t('meter.line', {
    time: clockTime(),
    level: levelDb ?? '--',
    spl: splDb === undefined ? '' : ` ${t.measure(splDb, 'dB')} SPL`,
    floor: noiseFloorDb ?? '--',
    scores: t.list(labels.map((label, i) => `${t(`label.${label}`)} ${t.number(reading.labels[i]?.score ?? 0, 2)}`)),
    state: reading.state === 'listening' && reading.fault === 'none' ? '' : typeof said === 'string' ? said : said[0],
  }).trimEnd();
}

function asJson(reading: MeterReading): object {
  const { labels: scores, last, levelDb, splDb, noiseFloorDb, ...rest } = reading;
  return {
    time: new Date().toISOString(),
    ...rest,
    levelDbfs: levelDb ?? null,
    soundPressureLevelDb: splDb ?? null,
    noiseFloorDbfs: noiseFloorDb ?? null,
    labels: Object.fromEntries(labels.map((label, i) => [label, scores[i]])),
    last: last.map((outcome) => ({ ...outcome, label: labels[outcome.label] })),
  };
}

async function troubleError(trouble: MeterTrouble, path: string, config: string, t: Translate): Promise<TocsinError> {
  const runs = trouble === 'absent' && (await readService('tocsin-listener')).state === 'active';
  const key = `meter.trouble.${runs ? 'noSocket' : trouble}` as MessageKey;
  return new AudioError(t.of({ key, values: { path } }), t.of({ key: `${key}.try` as MessageKey, values: { config: shellWord(config) } }));
}

function clockTime(): string {
  return new Date().toISOString().slice(11, 19);
}
