import type { MicrophoneFault } from '../lib/faults.ts';
import type { Health } from './health.ts';
import type { HourMeter } from './hour-meter.ts';
import type { LevelHistory } from './level-history.ts';

/**
 * Hands levels on only while the microphone is heard: what a broken one gives is no level of the street. The seconds before a fault was
 * named have gone through, so that the history forgets its last minutes and begins its quarter of an hour anew. What is clipped is a level, but
 * no usual one: taught that, a sensor whose gain is put right would be `covered` for months.
 */
export function openHeardLevels<Hour extends Pick<HourMeter, 'level'>>(history: Pick<LevelHistory, 'push' | 'begin'>, hourMeter: Hour) {
  let [heard, clipped] = [false, false];
  return {
    /** Called at every change of state before the next level, and as often as one likes. */
    hearing(state: Health['hearing']['state'], fault?: MicrophoneFault): void {
      const now = state === 'listening';
      if (heard && !now) history.begin();
      heard = now;
      clipped = fault === 'clipped';
    },
    level(decibels: number): void {
      if (heard) history.push(decibels, !clipped);
    },
    hour: {
      ...hourMeter,
      level(fastDb: number, meanSquare: number): void {
        if (heard) hourMeter.level(fastDb, meanSquare);
      },
    },
  };
}
