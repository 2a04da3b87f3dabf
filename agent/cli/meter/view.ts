import { type Label, labels } from '../../classify/model-manifest.ts';
import type { LabelReading, LastOutcome, MeterReading } from '../../meter/reading.ts';
import { wrap } from '../output.ts';
import { spanOf } from '../span.ts';
import type { Translate } from '../translate.ts';
import { fixed } from '../typography.ts';
import type { Row, Segment, Style } from './screen.ts';

/** A reading as it is shown, with what the view itself remembers of those before it. */
export interface Shown {
  readonly reading: MeterReading;
  /** Loudest level of the last two seconds. */
  readonly peakDb: number | undefined;
  /** Scores as bars: they rise at once and sink slowly, so that the eye can follow. */
  readonly bars: readonly number[];
}

const nameColumns = 15;
const agoColumns = 8;
const quietestDb = -90;
const stirredScore = 0.1; // less is nothing to speak of

/** The whole view for `columns`, made to be read at 60. Colour repeats what the words say. */
export function meterRows(sensor: string, { reading, peakDb, bars }: Shown, columns: number, t: Translate): Row[] {
  const own = reading.labels.some((label) => label.own);
  return [
    titleRow(sensor, columns, t),
    [],
    [microphone(reading, t)],
    ...(reading.suspicion === 'none' ? [] : [[[t('meter.suspicion', { suspicion: reading.suspicion }), 'yellow'] as Segment]]),
    ...levelRows(reading, peakDb, columns, t),
    [],
    ...labels.flatMap((label, i) => labelRows(label, reading.labels[i] as LabelReading, bars[i] ?? 0, columns, t)),
    ...(own ? [[[t('meter.own'), 'dim'] as Segment]] : []),
    [],
    [[t('meter.last'), 'bold']],
    ...(reading.last.length === 0 ? [[[t('meter.last.none'), 'dim'] as Segment]] : reading.last.map((last) => lastRow(last, reading, t))),
  ];
}

/** Instead of the view, while there is no listener. */
export function troubleRows(sensor: string, message: string, hint: string, columns: number, t: Translate): Row[] {
  const broken = (text: string, style: Style): Row[] =>
    wrap(text, columns)
      .split('\n')
      .map((line) => [[line, style]]);
  return [titleRow(sensor, columns, t), [], ...broken(message, 'yellow'), ...broken(`${t('try')} ${hint}`, 'plain'), [], [[t('meter.again'), 'dim']]];
}

function titleRow(sensor: string, columns: number, t: Translate): Row {
  const quit = t('meter.quit');
  const title = `${t('meter.title')}  ${sensor}`.slice(0, columns - quit.length - 2);
  return [[title, 'bold'], ' '.repeat(columns - quit.length - title.length), [quit, 'dim']];
}

export function microphone({ state, fault, listenedSeconds, elapsedSeconds }: MeterReading, t: Translate): Segment {
  if (state === 'deaf') return [t('meter.microphone.deaf', { fault }), 'red'];
  if (state !== 'listening') return [t(`meter.microphone.${state}`), 'yellow'];
  if (fault !== 'none') return [t('meter.microphone.clipped', { fault }), 'yellow'];
  const share = Math.min(100, (100 * listenedSeconds) / Math.max(0.1, elapsedSeconds));
  return [t('meter.microphone.listening', { share: fixed(share, 1), span: spanOf(elapsedSeconds * 1000, t) }), 'green'];
}

function levelRows({ levelDb, splDb, noiseFloorDb }: MeterReading, peakDb: number | undefined, columns: number, t: Translate): Row[] {
  const width = columns - nameColumns - 12;
  const share = (db: number | undefined) => (db === undefined ? 0 : (db - quietestDb) / -quietestDb);
  const chars = bar(width, share(levelDb));
  if (noiseFloorDb !== undefined) mark(chars, share(noiseFloorDb), ':');
  if (peakDb !== undefined) mark(chars, share(peakDb), '|');
  const loud: Style = levelDb !== undefined && levelDb > -3 ? 'red' : levelDb !== undefined && levelDb > -12 ? 'yellow' : 'green';
  const spl = splDb === undefined ? t('meter.uncalibrated') : t('meter.spl', { spl: splDb });
  return [
    [t('meter.level').padEnd(nameColumns), [`[${chars.join('')}]`, loud], `${show(levelDb, t)} dBFS`],
    [' '.repeat(nameColumns), [`${spl}${t('meter.levels', { floor: show(noiseFloorDb, t).trim(), peak: show(peakDb, t).trim() })}`, 'dim']],
  ];
}

function labelRows(label: Label, { score, state, leftSeconds, open, own }: LabelReading, shown: number, columns: number, t: Translate): Row[] {
  const width = columns - nameColumns - 12;
  const chars = bar(width, shown);
  mark(chars, open, '|');
  const left = fixed(leftSeconds, 1);
  const told: Record<LabelReading['state'], Segment> = {
    idle: score < stirredScore ? [t('meter.quiet'), 'dim'] : [t('meter.below'), 'dim'],
    open: [t('meter.open', { left: fixed(leftSeconds, 2) }), 'yellow'],
    confirmed: [t('meter.confirmed'), 'red'],
    tail: [t('meter.tail', { left }), 'yellow'],
    cooldown: [t('meter.cooldown', { left }), 'yellow'],
  };
  const style: Style = state === 'confirmed' ? 'red' : state === 'idle' ? 'plain' : 'yellow';
  return [
    [t(`label.${label}`).padEnd(nameColumns), [`[${chars.join('')}]`, style], ` ${t.number(score, 3)}`],
    [' '.repeat(nameColumns), [t('meter.opens', { open: `${t.number(open, 3)}${own ? '*' : ''}` }), 'dim'], told[state]],
  ];
}

function lastRow(last: LastOutcome, reading: MeterReading, t: Translate): Row {
  const label = labels[last.label] as Label;
  const ago = spanOf(last.secondsAgo * 1000, t).padEnd(agoColumns);
  const style: Style = last.outcome === 'fired' ? 'red' : last.outcome === 'refused' ? 'yellow' : 'plain';
  return [ago, t(`label.${label}`).padEnd(nameColumns), ` ${t.number(last.peak, 3)}  `, [reason(last, reading, t), style]];
}

/** Why a sound was, or was not, an event. */
export function reason({ outcome, label }: LastOutcome, { labels: readings }: MeterReading, t: Translate): string {
  if (outcome === 'under') return t('meter.outcome.under', { open: fixed(readings[label]?.open ?? 1, 3) });
  return t(`meter.outcome.${outcome}`);
}

function bar(width: number, share: number): string[] {
  const filled = Math.round(Math.max(0, Math.min(1, share)) * width);
  return Array.from({ length: width }, (_, i) => (i < filled ? '#' : '.'));
}

function mark(chars: string[], share: number, with_: string): void {
  chars[Math.max(0, Math.min(chars.length - 1, Math.floor(share * chars.length)))] = with_;
}

function show(db: number | undefined, t: Translate): string {
  return (db === undefined ? '--' : t.number(db)).padStart(5);
}
