import type { Hearing } from '../audio/hearing.ts';
import type { DetectionRule, Label } from '../classify/model-manifest.ts';
import type { Miss, Track } from '../events/event-detector.ts';
import type { LevelHistory } from '../events/level-history.ts';
import type { LastOutcome, MeterReading, Outcome } from './reading.ts';

/**
 * Port: takes from the listener what the meter shows. Numbers only; each call is cheap. Keeps only the latest values
 * and the outcomes of the last sounds.
 */
export interface Tap {
  /** Whether a client watches. While none does, scores need not be passed on, and only the last level is kept. */
  readonly watched: boolean;
  level(decibels: number): void;
  /** Takes a function that returns LAF in dB SPL; it is called only for a reading. */
  soundPressure(of: () => number): void;
  scores(tracks: readonly Track[]): void;
  fired(label: Label, peak: number, stored: boolean): void;
  missed(miss: Miss): void;
  hearing(hearing: Readonly<Hearing>): void;
}

interface TapParts {
  readonly labels: readonly Label[];
  readonly rules: Record<Label, DetectionRule>;
  /** Labels whose threshold comes from the site's configuration. */
  readonly own: readonly Label[];
  readonly levels: Pick<LevelHistory, 'noiseFloorDb' | 'suspicion'>;
  readonly monotonicMs: () => number;
}

const remembered = 6;
const rememberedMs = 3_600_000;
const freshMs = 600; // scores come in bursts of a hop, with the bundled model 0.16 s apart, levels an eighth apart

/** Opens a tap; `read` returns the reading of what the tap was given since the previous one. */
export function openTap(parts: TapParts): Tap & { watched: boolean; read(): MeterReading } {
  const { labels, rules, own, levels, monotonicMs } = parts;
  const last: { label: number; outcome: Outcome; peak: number; atMs: number }[] = [];
  let sequence = 0;
  let stirred = 0;
  let heard: Readonly<Hearing> | undefined;
  let spl: (() => number) | undefined;
  let level: { db: number; atMs: number; told: boolean } | undefined;
  let tracks: readonly Track[] = [];
  let peaks: number[] = [];
  let scoredMs = Number.NEGATIVE_INFINITY;

  const note = (label: Label, outcome: Outcome, peak: number) => {
    last.unshift({ label: labels.indexOf(label), outcome, peak, atMs: monotonicMs() });
    stirred++;
    last.length = Math.min(last.length, remembered);
  };

  function read(): MeterReading {
    const now = monotonicMs();
    const levelFresh = level !== undefined && now - level.atMs < freshMs;
    const scoreFresh = now - scoredMs < freshMs;
    const reading: MeterReading = {
      sequence: sequence++,
      state: heard?.state ?? 'starting',
      fault: heard?.fault ?? 'none',
      suspicion: levels.suspicion(),
      listenedSeconds: heard?.listenedSeconds ?? 0,
      elapsedSeconds: heard ? (now - heard.sinceMonotonicMs) / 1000 : 0,
      levelDb: levelFresh ? level?.db : undefined,
      splDb: levelFresh ? spl?.() : undefined,
      noiseFloorDb: levels.noiseFloorDb(),
      labels: labels.map((label, i) => ({
        score: scoreFresh ? (peaks[i] ?? 0) : 0,
        state: scoreFresh ? (tracks[i]?.state ?? 'idle') : 'idle',
        leftSeconds: scoreFresh ? (tracks[i]?.leftSeconds ?? 0) : 0,
        open: rules[label].open,
        own: own.includes(label),
      })),
      stirred,
      last: last.filter(({ atMs }) => now - atMs < rememberedMs).map(({ atMs, ...rest }): LastOutcome => ({ ...rest, secondsAgo: (now - atMs) / 1000 })),
    };
    if (level) level.told = true;
    peaks = tracks.map((track) => track.score);
    return reading;
  }

  const tap = {
    watched: false,
    level(db: number) {
      level = { db: tap.watched && level && !level.told ? Math.max(level.db, db) : db, atMs: monotonicMs(), told: false };
    },
    soundPressure(of: () => number) {
      spl = of;
    },
    scores(now: readonly Track[]) {
      // older peaks are from an earlier client or from before a fault
      const before = monotonicMs() - scoredMs < freshMs ? peaks : [];
      tracks = now;
      scoredMs = monotonicMs();
      peaks = now.map(({ score }, i) => Math.max(score, before[i] ?? 0));
    },
    fired: (label: Label, peak: number, stored: boolean) => note(label, stored ? 'fired' : 'refused', peak),
    missed: ({ label, reason, peak }: Miss) => note(label, reason, peak),
    hearing(of: Readonly<Hearing>) {
      heard = of;
    },
    read,
  };
  return tap;
}
