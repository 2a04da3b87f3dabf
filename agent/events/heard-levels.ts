import type { ScoreFrame } from '../classify/classifier.ts';
import type { Label } from '../classify/model-manifest.ts';
import type { MicrophoneFault } from '../lib/faults.ts';
import type { Health } from './health.ts';
import type { HourMeter } from './hour-meter.ts';
import type { LevelHistory } from './level-history.ts';
import type { ThresholdCounter } from './threshold-counts.ts';

/**
 * Hands levels, recognised sounds to be summed up, and scores to be counted, on only while the microphone is heard: what a broken one gives is no level of the street, and its
 * seconds without an event would speak for lower thresholds. The seconds before a fault was
 * named have gone through, so that the history forgets its last minutes and begins its quarter of an hour anew. What is clipped is a level, but
 * no usual one: taught that, a sensor whose gain is put right would be `covered` for months.
 */
export function openHeardLevels<Hour extends Pick<HourMeter, 'level' | 'recognised'>>(
  history: Pick<LevelHistory, 'push' | 'begin'>,
  hourMeter: Hour,
  counter: Pick<ThresholdCounter, 'push' | 'restart'>,
) {
  let [heard, clipped] = [false, false];
  return {
    /** Called at every change of state before the next level, and as often as one likes. */
    hearing(state: Health['hearing']['state'], fault?: MicrophoneFault): void {
      heard = state === 'listening';
      if (!heard) history.begin();
      clipped = fault === 'clipped';
    },
    level(decibels: number): void {
      if (heard) history.push(decibels, !clipped);
    },
    hour: {
      ...hourMeter,
      recognised(label: Label): void {
        if (heard) hourMeter.recognised(label);
      },
      level(fastDb: number, meanSquare: number): void {
        if (heard) hourMeter.level(fastDb, meanSquare);
      },
    },
    counter: {
      ...counter,
      push(frame: ScoreFrame): void {
        if (heard) counter.push(frame);
      },
    },
  };
}
