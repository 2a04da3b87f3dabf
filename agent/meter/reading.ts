// The only form in which the listener reports what it hears: numbers with bounds, always of the same length.
import type { Miss, TrackState } from '../events/event-detector.ts';
import type { HearingRecord } from '../events/health.ts';
import { microphoneFaults } from '../lib/faults.ts';

const labelCount = 3;
const lastCount = 6;
export const readingsPerSecond = 10;

/** What became of a sound that raised the score of a label; `refused`: more events than outbox.maxEventsPerMinute. */
const outcomes = ['fired', 'refused', 'under', 'short', 'merged', 'cooldown'] as const satisfies readonly (Miss['reason'] | 'fired' | 'refused')[];
export type Outcome = (typeof outcomes)[number];

const hearingStates = ['starting', 'listening', 'deaf', 'stopped'] as const satisfies readonly HearingRecord['state'][];
const faults = ['none', ...microphoneFaults] as const satisfies readonly HearingRecord['fault'][];
const suspicions = ['none', 'covered', 'noisy'] as const satisfies readonly HearingRecord['suspicion'][];
const trackStates = ['idle', 'open', 'confirmed', 'tail', 'cooldown'] as const satisfies readonly TrackState[];

export interface LabelReading {
  /** Highest smoothed score since the previous reading, 0 to 1. */
  readonly score: number;
  readonly state: TrackState;
  /** Time left in the state; see Track.leftSeconds. */
  readonly leftSeconds: number;
  readonly open: number;
  /** Whether `open` comes from the site's configuration, not from the model. */
  readonly own: boolean;
}

export interface LastOutcome {
  /** Index of the label. */
  readonly label: number;
  readonly outcome: Outcome;
  readonly peak: number;
  readonly secondsAgo: number;
}

export interface MeterReading {
  readonly sequence: number;
  readonly state: HearingRecord['state'];
  readonly fault: HearingRecord['fault'];
  readonly suspicion: HearingRecord['suspicion'];
  readonly listenedSeconds: number;
  readonly elapsedSeconds: number;
  /**
   * Loudest 125 ms since the previous reading, unweighted, in whole dB relative to a full-scale sine; undefined while
   * deaf.
   */
  readonly levelDb: number | undefined;
  /** LAF in whole dB SPL, on a calibrated sensor. */
  readonly splDb: number | undefined;
  /** As in `health`. */
  readonly noiseFloorDb: number | undefined;
  /** In the order of the labels. */
  readonly labels: readonly LabelReading[];
  /** Number of such outcomes since the listener started. */
  readonly stirred: number;
  /** The last outcomes, newest first; none is older than an hour. */
  readonly last: readonly LastOutcome[];
}

const version = 1;

/**
 * Name, bytes, lowest and highest value. Sent as an unsigned integer, counted from the lowest value. For a `maybe` it
 * is one more, and 0 stands for no value.
 */
type Field = readonly [name: string, bytes: 1 | 2 | 4, min: number, max: number, kind?: 'maybe'];

const labelFields = (i: number): Field[] => [
  [`score${i}`, 2, 0, 10_000],
  [`track${i}`, 1, 0, trackStates.length - 1],
  [`left${i}`, 2, 0, 60_000], // ms
  [`open${i}`, 2, 0, 10_000],
  [`own${i}`, 1, 0, 1],
];
const lastFields = (i: number): Field[] => [
  [`label${i}`, 1, 0, labelCount], // 0: none, else index plus one
  [`outcome${i}`, 1, 0, outcomes.length - 1],
  [`peak${i}`, 2, 0, 10_000],
  [`ago${i}`, 2, 0, 36_000], // tenths of a second
];

/** Everything that can be sent over the socket, in the order of sending. */
export const readingFields: readonly Field[] = [
  ['version', 1, version, version],
  ['sequence', 4, 0, 2 ** 31 - 1],
  ['state', 1, 0, hearingStates.length - 1],
  ['fault', 1, 0, faults.length - 1],
  ['suspicion', 1, 0, suspicions.length - 1],
  ['listened', 4, 0, 2 ** 31 - 1],
  ['elapsed', 4, 0, 2 ** 31 - 1],
  ['level', 1, -120, 20, 'maybe'],
  ['spl', 1, 0, 200, 'maybe'],
  ['floor', 1, -120, 20, 'maybe'],
  ['stirred', 4, 0, 2 ** 31 - 1],
  ...Array.from({ length: labelCount }, (_, i) => labelFields(i)).flat(),
  ...Array.from({ length: lastCount }, (_, i) => lastFields(i)).flat(),
];

/** Bytes of a reading: 0.83 kB a second to each client. */
export const readingBytes = readingFields.reduce((sum, [, bytes]) => sum + bytes, 0);

/** Encodes a reading. Values out of bounds are sent as the bound, so that nothing outside the schema can be sent. */
export function encodeReading(reading: MeterReading): Buffer {
  const values = flatten(reading);
  const bytes = Buffer.alloc(readingBytes);
  let at = 0;
  for (const [name, size, min, max, kind] of readingFields) {
    const value = values[name];
    const number = Number(value);
    const bounded = Math.round(Math.min(max, Math.max(min, Number.isNaN(number) ? min : number))) - min;
    at = bytes.writeUIntBE(kind !== 'maybe' ? bounded : value === undefined ? 0 : bounded + 1, at, size);
  }
  return bytes;
}

/** Decodes a message; undefined if it is anything but a reading. */
export function decodeReading(bytes: Buffer): MeterReading | undefined {
  if (bytes.length !== readingBytes) return undefined;
  const values: Record<string, number | undefined> = {};
  let at = 0;
  for (const [name, size, min, max, kind] of readingFields) {
    const sent = bytes.readUIntBE(at, size);
    at += size;
    const value = kind === 'maybe' ? sent - 1 + min : sent + min;
    if (value > max) return undefined;
    values[name] = kind === 'maybe' && sent === 0 ? undefined : value;
  }
  const reading = unflatten(values);
  return encodeReading(reading).equals(bytes) ? reading : undefined; // only the exact encoding: no room for hidden data
}

type Flat = Record<string, number | undefined>;

function flatten(reading: MeterReading): Flat {
  const flat: Flat = {
    version,
    sequence: reading.sequence % 2 ** 31,
    state: hearingStates.indexOf(reading.state),
    fault: faults.indexOf(reading.fault),
    suspicion: suspicions.indexOf(reading.suspicion),
    listened: reading.listenedSeconds,
    elapsed: reading.elapsedSeconds,
    level: reading.levelDb,
    spl: reading.splDb,
    floor: reading.noiseFloorDb,
    stirred: reading.stirred,
  };
  reading.labels.forEach(({ score, state, leftSeconds, open, own }, i) => {
    flat[`score${i}`] = score * 10_000;
    flat[`track${i}`] = trackStates.indexOf(state);
    flat[`left${i}`] = leftSeconds * 1000;
    flat[`open${i}`] = open * 10_000;
    flat[`own${i}`] = Number(own);
  });
  reading.last.forEach(({ label, outcome, peak, secondsAgo }, i) => {
    flat[`label${i}`] = label + 1;
    flat[`outcome${i}`] = outcomes.indexOf(outcome);
    flat[`peak${i}`] = peak * 10_000;
    flat[`ago${i}`] = secondsAgo * 10;
  });
  return flat;
}

function unflatten(flat: Flat): MeterReading {
  const int = (name: string) => flat[name] ?? 0;
  return {
    sequence: int('sequence'),
    state: hearingStates[int('state')] ?? 'stopped',
    fault: faults[int('fault')] ?? 'none',
    suspicion: suspicions[int('suspicion')] ?? 'none',
    listenedSeconds: int('listened'),
    elapsedSeconds: int('elapsed'),
    levelDb: flat.level,
    splDb: flat.spl,
    noiseFloorDb: flat.floor,
    stirred: int('stirred'),
    labels: Array.from({ length: labelCount }, (_, i) => ({
      score: int(`score${i}`) / 10_000,
      state: trackStates[int(`track${i}`)] ?? 'idle',
      leftSeconds: int(`left${i}`) / 1000,
      open: int(`open${i}`) / 10_000,
      own: int(`own${i}`) === 1,
    })),
    last: Array.from({ length: lastCount }, (_, i) => ({
      label: int(`label${i}`) - 1,
      outcome: outcomes[int(`outcome${i}`)] ?? 'under',
      peak: int(`peak${i}`) / 10_000,
      secondsAgo: int(`ago${i}`) / 10,
    })).filter(({ label }) => label >= 0),
  };
}
