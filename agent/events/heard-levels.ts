import type { ScoreFrame } from '../classify/classifier.ts';
import type { Label } from '../classify/model-manifest.ts';
import type { MicrophoneFault } from '../lib/faults.ts';
import type { Health } from './health.ts';
import type { HourMeter } from './hour-meter.ts';
import type { LevelHistory } from './level-history.ts';
import type { ThresholdCounter } from './threshold-counts.ts';

/**
 * Passes on levels, recognised sounds and scores only while the microphone is heard. What a broken microphone gives is
 * not the level of the street, and its seconds without an event would argue for lower thresholds. The seconds before a
 * fault was named have already been passed on, so the history forgets its last minutes and begins its quarter of an
 * hour again. Clipped sound has a level, but not a usual one: a sensor that learnt it would be `covered` for months
 * once its gain is corrected.
 */
export function openHeardLevels(
  history: Pick<LevelHistory, 'push' | 'begin'>,
  hourMeter: Pick<HourMeter, 'level' | 'recognised'>,
  counter: Pick<ThresholdCounter, 'push' | 'restart'>,
) {
  let [heard, clipped] = [false, false];
  return {
    /** Must be called at every change of state, before the next level; may be called more often. */
    hearing(state: Health['hearing']['state'], fault?: MicrophoneFault): void {
      heard = state === 'listening';
      if (!heard) history.begin();
      clipped = fault === 'clipped';
    },
    level(decibels: number): void {
      if (heard) history.push(decibels, !clipped);
    },
    hour: {
      recognised(label: Label): void {
        if (heard) hourMeter.recognised(label);
      },
      level(fastDb: number, meanSquare: number): void {
        if (heard) hourMeter.level(fastDb, meanSquare);
      },
    },
    counter: {
      restart: counter.restart,
      push(frame: ScoreFrame): void {
        if (heard) counter.push(frame);
      },
    },
  };
}
