import { openAWeighting } from './weighting.ts';

/**
 * A sound level meter after IEC 61672-1: A-weighting, then the mean (LAeq) and the exponential averages F (125 ms) and
 * S (1 s) of the squared sound, with their maxima. In dB relative to a full-scale sine; a calibrated sensor adds its
 * sensitivity. Keeps only levels; the weighted sound is overwritten with zeros.
 */
export interface SoundLevelMeter {
  push(samples: Float32Array): void;
  /** Since the meter opened. */
  levels(): SoundLevels;
  /** The highest F level of the last seconds, at most a minute. */
  fastMaximum(seconds: number): number;
}

export interface SoundLevels {
  readonly seconds: number;
  readonly laeqDb: number;
  readonly lafDb: number;
  readonly lafMaxDb: number;
  readonly lasDb: number;
  readonly lasMaxDb: number;
}

const fastSeconds = 0.125;
const slowSeconds = 1;
const remembered = 480; // steps of 125 ms: one minute
const floor = 1e-13; // -130 dB, under the noise of 16 bits

/**
 * @param onStep called every 125 ms with the level F at the end, in dB relative to a full-scale sine, and the weighted
 * mean square of that time
 */
export function openSoundLevelMeter(sampleRate: number, onStep?: (fastDb: number, meanSquare: number) => void): SoundLevelMeter {
  const weighting = openAWeighting(sampleRate);
  const fastShare = 1 - Math.exp(-1 / (sampleRate * fastSeconds));
  const slowShare = 1 - Math.exp(-1 / (sampleRate * slowSeconds));
  const stepLength = Math.round(sampleRate * fastSeconds);
  const steps: number[] = [];
  let [count, fast, slow, fastMax, slowMax, stepMax, inStep] = [0, 0, 0, 0, 0, 0, 0];
  // a step has its own sum: added to the sum of months sample by sample, it would be lost to rounding
  let [earlier, sum] = [0, 0];
  let weighted = new Float64Array(0);
  return {
    push(samples) {
      if (weighted.length !== samples.length) weighted = new Float64Array(samples.length);
      weighted.set(samples);
      weighting.apply(weighted);
      for (let i = 0; i < weighted.length; ) {
        const stop = Math.min(weighted.length, i + stepLength - inStep);
        inStep += stop - i;
        i = pushWithinStep(i, stop);
        if (inStep === stepLength) closeStep();
      }
      weighted.fill(0);
      count += samples.length;
    },
    levels: () => ({
      seconds: count / sampleRate,
      laeqDb: decibels(count > 0 ? (earlier + sum) / count : 0),
      lafDb: decibels(fast),
      lafMaxDb: decibels(Math.max(fastMax, stepMax)),
      lasDb: decibels(slow),
      lasMaxDb: decibels(slowMax),
    }),
    fastMaximum: (seconds) => decibels(Math.max(stepMax, ...steps.slice(-Math.max(1, Math.ceil(seconds / fastSeconds))))),
  };

  /** Local variables in the loop that runs for every sample. */
  function pushWithinStep(from: number, to: number): number {
    let [total, quick, lazy, quickMax, lazyMax] = [sum, fast, slow, stepMax, slowMax];
    for (let i = from; i < to; i++) {
      const power = (weighted[i] as number) ** 2;
      total += power;
      quick += (power - quick) * fastShare;
      lazy += (power - lazy) * slowShare;
      if (quick > quickMax) quickMax = quick;
      if (lazy > lazyMax) lazyMax = lazy;
    }
    [sum, fast, slow, stepMax, slowMax] = [total, quick, lazy, quickMax, lazyMax];
    return to;
  }

  function closeStep(): void {
    steps.push(stepMax);
    if (steps.length > remembered) steps.shift();
    fastMax = Math.max(fastMax, stepMax);
    onStep?.(decibels(fast), sum / stepLength);
    earlier += sum;
    sum = 0;
    stepMax = 0;
    inStep = 0;
  }
}

/** A full-scale sine has a mean square of one half: 0 dB. */
function decibels(power: number): number {
  return 10 * Math.log10(2 * power + floor);
}
