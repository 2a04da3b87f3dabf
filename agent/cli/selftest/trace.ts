import { type Label, labels } from '../../classify/model-manifest.ts';

/**
 * What a trial looked like: a level and three scores for each quarter of a second of the last ten. Four values a second
 * of one broadband level carry no word and no voice (docs/decisions/0061); nothing finer is kept.
 */
export interface Trace {
  readonly stepSeconds: number;
  /** Loudest 125 ms of each step, whole dB below a full-scale sine. */
  readonly levelDb: readonly number[];
  /** Highest score of each step, two decimals. */
  readonly scores: Readonly<Record<Label, readonly number[]>>;
  /** Seconds since the first step at which the sound began that was recognised. */
  readonly onsetSeconds?: number;
}

const stepSeconds = 0.25;
const keptSeconds = 10;
const silentDb = -100;

interface Step {
  level: number;
  scores: number[];
}

/** Collects a trace. `level` is told each 125 ms, `score` each frame of the classifier. */
export function openTrace(frameSeconds: number) {
  const steps = new Map<number, Step>();
  const at = (seconds: number): Step => {
    const index = Math.floor(Math.max(0, seconds - 1e-6) / stepSeconds);
    const step = steps.get(index) ?? { level: silentDb, scores: labels.map(() => 0) };
    steps.set(index, step);
    for (const old of steps.keys()) if (old <= index - keptSeconds / stepSeconds) steps.delete(old);
    return step;
  };
  let levels = 0;
  let frames = 0;
  return {
    level(decibels: number): void {
      const step = at(++levels * 0.125);
      step.level = Math.max(step.level, Math.round(decibels));
    },
    score(scores: readonly number[]): void {
      const end = ++frames * frameSeconds;
      // a frame of another model may last for several steps: those without a score of their own are not 0
      for (let ago = 0; ago < frameSeconds; ago += stepSeconds) {
        const step = at(end - ago);
        step.scores = step.scores.map((score, i) => Math.max(score, Math.round(100 * (scores[i] ?? 0)) / 100));
      }
    },
    read(onsetSeconds?: number): Trace {
      const first = Math.min(...steps.keys());
      const kept = [...steps].toSorted(([a], [b]) => a - b).map(([, step]) => step);
      return {
        stepSeconds,
        levelDb: kept.map(({ level }) => level),
        scores: Object.fromEntries(labels.map((label, i) => [label, kept.map(({ scores }) => scores[i] ?? 0)])) as Record<Label, number[]>,
        ...(onsetSeconds === undefined ? {} : { onsetSeconds: Math.round(100 * (onsetSeconds - first * stepSeconds)) / 100 }),
      };
    },
  };
}

export type TraceRecorder = ReturnType<typeof openTrace>;
