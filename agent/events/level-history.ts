import { exceededBin } from './exceeded.ts';
import type { Health, UsualLevel } from './health.ts';

const stepsAMinute = 480; // of 125 ms
const lowestDb = -110;
const bins = 121; // of 1 dB
const enoughQuarters = 12; // three days, for one hour of the day
const memoryQuarters = 56; // two weeks: older ones fade
const coveredDb = 10;
const noisyDb = 15;
const steadyDb = 3;
const told = 4; // quarters in succession: on Sunday mornings, single ones are as quiet as under a cover

const exceeded = (histogram: Int32Array, share: number) => lowestDb + exceededBin(histogram, share);

/** Without enough that is known of the hour, or while the hour itself is unknown, nothing is unusual. */
function judge(floorDb: number, loudDb: number, usual: UsualLevel | undefined): Health['hearing']['suspicion'] {
  if (!usual || usual.quarters < enoughQuarters) return 'none';
  if (floorDb < usual.floorDb - coveredDb && loudDb < usual.loudDb - coveredDb) return 'covered';
  return floorDb > usual.floorDb + noisyDb && loudDb - floorDb < steadyDb ? 'noisy' : 'none';
}

/**
 * Keeps the levels of the last minutes and judges whether they are unusual for this place at this hour.
 *
 * Each quarter of an hour is compared with what was usual in that hour of the day. `covered`: its floor and its loud
 * moments are both quieter by 10 dB. `noisy`: its floor is louder by 15 dB, with hardly any variation. The fourth
 * such quarter in succession is told. Each changes the usual level only an eighth as much: a street that has really
 * changed is accepted, in a week if it is 12 dB quieter, in twelve if it is 25 dB. Only counts of levels are kept.
 *
 * @param hour the hour of the day in UTC, undefined while the clock is wrong
 */
export function openLevelHistory(hour: () => number | undefined, learnt: (level: UsualLevel) => void) {
  const known = new Map<number, UsualLevel>();
  const minutes: Int32Array[] = [new Int32Array(bins)];
  let steps = 0;
  let quarter = new Int32Array(bins);
  let quarterSteps = 0;
  let unusual: Health['hearing']['suspicion'] = 'none'; // the last quarter
  let alike = 0; // quarters in succession that were unusual in the same way

  function beginQuarter(): void {
    quarter = new Int32Array(bins);
    quarterSteps = 0;
  }

  function endQuarter(): void {
    const floorDb = exceeded(quarter, 0.9);
    const loudDb = exceeded(quarter, 0.1);
    beginQuarter();
    const now = hour();
    const before = now === undefined ? undefined : known.get(now);
    const judged = judge(floorDb, loudDb, before);
    alike = judged === unusual ? alike + 1 : 1;
    unusual = judged;
    if (now === undefined) return;
    const quarters = (before?.quarters ?? 0) + 1;
    const weight = (unusual === 'none' ? 1 : 1 / 8) / Math.min(quarters, memoryQuarters);
    const towards = (from: number | undefined, to: number) => (from === undefined ? to : from + weight * (to - from));
    const level = { hour: now, quarters: Math.min(quarters, 1_000_000), floorDb: towards(before?.floorDb, floorDb), loudDb: towards(before?.loudDb, loudDb) };
    known.set(now, level);
    learnt(level);
  }

  return {
    /**
     * Takes what was known of each hour, once that can be read; it replaces what was learnt of that hour meanwhile.
     */
    recall(earlier: readonly UsualLevel[]): void {
      for (const level of earlier) known.set(level.hour, level);
    },
    /**
     * Forgets the last minutes and the quarter so far. Also ends the suspicion: there is none while nothing is heard.
     */
    begin(): void {
      unusual = 'none';
      minutes.splice(0, minutes.length, new Int32Array(bins));
      steps = 0;
      beginQuarter();
    },
    /**
     * Takes the level of 125 ms, in dB relative to a full-scale sine. A level that is not `typical` begins the quarter
     * again: what came before in it is neither learnt from nor judged.
     */
    push(decibels: number, typical = true): void {
      const bin = Math.max(0, Math.min(bins - 1, Math.round(decibels) - lowestDb));
      const minute = minutes.at(-1) as Int32Array;
      minute[bin] = (minute[bin] as number) + 1;
      if (++steps % stepsAMinute === 0) {
        minutes.push(new Int32Array(bins));
        if (minutes.length > 5) minutes.shift();
      }
      quarter[bin] = (quarter[bin] as number) + 1;
      if (!typical) {
        unusual = 'none'; // no quarter ends while this lasts, and nothing else clears it
        beginQuarter();
      } else if (++quarterSteps === 15 * stepsAMinute) endQuarter();
    },
    /** The level exceeded 90 % of the last four to five minutes; undefined before the first ten seconds. */
    noiseFloorDb(): number | undefined {
      if (steps < 80) return undefined;
      const sum = new Int32Array(bins);
      for (const minute of minutes) for (let bin = 0; bin < bins; bin++) sum[bin] = (sum[bin] as number) + (minute[bin] as number);
      return exceeded(sum, 0.9);
    },
    suspicion: () => (alike >= told ? unusual : 'none'),
  };
}
export type LevelHistory = ReturnType<typeof openLevelHistory>;
