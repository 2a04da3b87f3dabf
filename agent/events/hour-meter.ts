import type { Clock } from '../lib/clock.ts';
import { exceededBin } from './exceeded.ts';
import type { HourSummary } from './summary.ts';

const hourMs = 3_600_000;
const setBackMs = 60_000; // setting the clock back by less than this ends no hour
const lowestDb = -130;
const binsPerDb = 10;
const bins = 150 * binsPerDb;

/**
 * Counts recognised sounds and measures levels, one hour at a time: full UTC hours while the clock is right, else an
 * hour since the last one ended. An hour in which the clock is set back is longer, by less than a minute. Keeps only
 * sums and a histogram of levels.
 */
export interface HourMeter {
  recognised(label: keyof HourSummary['recognised']): void;
  /**
   * A step of 125 ms that was heard: the level F at its end, in dB relative to a full-scale sine, and its mean square.
   */
  level(fastDb: number, meanSquare: number): void;
  /** Called often, with the seconds listened so far; hands over the hour once it is over. Returns whether it was. */
  tick(listenedSeconds: number): boolean;
  /** Hands over the hour so far. */
  close(): void;
}

export function openHourMeter(clock: Clock, of: Pick<HourSummary, 'model' | 'splAtFullScaleDb'>, complete: (summary: HourSummary) => void): HourMeter {
  let beganMs = clock.monotonicMs();
  let full = false; // it began with a UTC hour
  let listenedBefore = 0;
  let listened = 0;
  let recognised = { glass_break: 0, shout: 0, bang: 0 };
  let histogram = new Int32Array(bins);
  let [steps, power] = [0, 0];

  function end(): void {
    const { wallMs, monotonicMs: now, synchronised } = clock.now();
    if (now - beganMs >= 1000)
      complete({
        bootId: clock.bootId,
        model: { name: of.model.name, version: of.model.version },
        beganWallMs: wallMs - (now - beganMs),
        beganMonotonicMs: beganMs,
        clockSynchronised: synchronised,
        elapsedSeconds: (now - beganMs) / 1000,
        // a run without variation from before the hour may count as heard only now: hence the limits
        listenedSeconds: Math.min((now - beganMs) / 1000, Math.max(0, listened - listenedBefore)),
        recognised,
        ...(steps === 0 ? {} : { levels: { laeq: decibels(power / steps), la10: exceeded(0.1), la90: exceeded(0.9) } }),
        ...(of.splAtFullScaleDb === undefined ? {} : { splAtFullScaleDb: of.splAtFullScaleDb }),
      });
    beganMs = now;
    listenedBefore = listened;
    recognised = { glass_break: 0, shout: 0, bang: 0 };
    histogram = new Int32Array(bins);
    [steps, power] = [0, 0];
  }

  /** The level exceeded `share` of the time, to a tenth of a decibel. */
  const exceeded = (share: number) => lowestDb + exceededBin(histogram, share) / binsPerDb;

  return {
    recognised(label) {
      recognised[label] = Math.min(100_000, recognised[label] + 1);
    },
    level(fastDb, meanSquare) {
      if (meanSquare === 0) return; // exact zeros are not sound
      const bin = Math.max(0, Math.min(bins - 1, Math.round((fastDb - lowestDb) * binsPerDb)));
      histogram[bin] = (histogram[bin] as number) + 1;
      steps++;
      power += meanSquare;
    },
    tick(listenedSeconds) {
      listened = listenedSeconds;
      const { wallMs, monotonicMs: now, synchronised: utc } = clock.now();
      // the present clock also places the beginning of the hour: setting the clock moves both ends
      const hourOf = (monotonicMs: number) => Math.floor((wallMs - (now - monotonicMs)) / hourMs);
      // an hour that began with a UTC hour belongs to it, even if the clock has been set back since
      const over = utc && hourOf(now) > hourOf(beganMs + (full ? setBackMs : 0));
      if (!over && now - beganMs < hourMs + (utc ? setBackMs : 0)) return false;
      end();
      // else the clock has just been set, and this hour begins in the middle of a UTC hour
      full = over && wallMs % hourMs < setBackMs;
      return true;
    },
    close: end,
  };
}

/** A full-scale sine has a mean square of one half: 0 dB. */
function decibels(power: number): number {
  return Math.max(lowestDb, 10 * Math.log10(2 * power));
}
