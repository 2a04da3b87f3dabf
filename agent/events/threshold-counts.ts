import type { ScoreFrame } from '../classify/classifier.ts';
import type { DetectionRule, Label } from '../classify/model-manifest.ts';
import type { Model } from './event.ts';
import { openEventDetector } from './event-detector.ts';

/**
 * The thresholds at which would-be events are counted: a quarter of a logit apart, as training chooses them; 0.018 to
 * 0.9991.
 */
export const countedThresholds: readonly number[] = Array.from({ length: 45 }, (_, i) => Math.round(10_000 / (1 + Math.exp(4 - i / 4))) / 10_000);

/** Would-be events of a label at one of `countedThresholds`. */
export interface ThresholdCount {
  readonly label: Label;
  readonly step: number;
  readonly events: number;
}

/** Sums over a stretch of listening; those that are 0 are left out. */
interface ThresholdCounts {
  readonly seconds: number;
  readonly counts: readonly ThresholdCount[];
}

/** What the listener stores of these sums: added to the current day of listening. */
export interface ThresholdRecord extends ThresholdCounts {
  readonly bootId: string;
  readonly model: Model;
  readonly operatingPoint: 'balanced' | 'strict';
  /** `recognitionOf` the model's manifest. */
  readonly recognition: number;
  /** Days since 1970, UTC; only while the clock is right. */
  readonly utcDay?: number;
}

/**
 * Counts the events that there would have been at each threshold, by running the detector itself at each of them,
 * including smoothing, minimum duration, merging and cool-down: a count is exactly what would have been published with
 * that threshold. (Peaks of scores cannot tell this: two bangs that a low threshold joins into one event are two at a
 * higher one, and a peak that does not last is none.) Only sums are kept, never when, how loud or how sure.
 *
 * @param rulesAt the rules in force if all labels had this threshold
 */
export function openThresholdCounts(labels: readonly Label[], rulesAt: (open: number) => Record<Label, DetectionRule>, frameSeconds: number) {
  const begin = () => countedThresholds.map((open) => openEventDetector(labels, rulesAt(open), frameSeconds));
  let detectors = begin();
  let sums = labels.map(() => new Uint32Array(countedThresholds.length));
  let frames = 0;
  return {
    push(frame: ScoreFrame): void {
      frames++;
      detectors.forEach((detector, step) => {
        for (const { label } of detector.push(frame).confirmed) {
          const sum = sums[labels.indexOf(label)] as Uint32Array;
          sum[step] = (sum[step] as number) + 1;
        }
      });
    },
    /** Called at a gap in the stream: sounds in progress are over. */
    restart(): void {
      detectors = begin();
    },
    sums(): ThresholdCounts {
      const counts = labels.flatMap((label, i) => Array.from(sums[i] as Uint32Array, (events, step) => ({ label, step, events })));
      return { seconds: frames * frameSeconds, counts: counts.filter(({ events }) => events > 0) };
    },
    /** Called once the sums are stored: begins again at 0. */
    clear(): void {
      sums = labels.map(() => new Uint32Array(countedThresholds.length));
      frames = 0;
    },
  };
}
export type ThresholdCounter = ReturnType<typeof openThresholdCounts>;
