import type { MicrophoneFault } from '../lib/faults.ts';
import type { AudioFrame } from './frame.ts';

/** What one frame tells about the microphone. */
export interface SignalVerdict {
  /** Capture is useless: close it and open it again. */
  fault?: Extract<MicrophoneFault, 'zeros' | 'flat' | 'slow' | 'fast'>;
  /** Too much of the last seconds is at full scale; heard, but badly. */
  clipped: boolean;
  /** Samples now known to have been heard. A run without variation counts once it has ended, if that is in time. */
  heardSamples: number;
  /** Seconds over which the rate has been measured; for a rate found wrong, the seconds that this took. */
  rateSeconds: number;
  /** The rate was right so long and so steadily that even the smallest deviation that is reported is excluded. */
  rateRight: boolean;
}

/** Flat: no more than one step of a 16-bit converter between lowest and highest sample. */
export const flatStep = 1.5 / 32768;
// A loose plug crackles between runs of zeros. A run of one value counts only from a second on: quiet places have noise
// in the last bits, and the noise gate of a headset closes between words for less than that.
const repetitionSeconds = 1;
const repetitionShare = 0.5;
const repetitionWindow = 12; // in multiples of the allowed silence: a minute
const fullScale = 32766.5 / 32768;
const clipBegins = 0.05; // share of samples at full scale, averaged over 3 s, for 3 s: a near bang is shorter
const clipEnds = 0.01;
const clipSeconds = 3;
// A rate is wrong if it is steadily off by `deviation` over five steps of `stride` seconds. Crystals are off by 0.01 %;
// 44.1 against 48 kHz is 8 %.
const rates = [
  { deviation: 0.05, stride: 1 },
  { deviation: 0.01, stride: 12 },
];
const steps = 5;
// A rate that is off by 1 % moves 50 ms in each part. Frames that come late at random never hide that in four parts if
// they are up to 100 ms late, and in 2 of 100 tries if up to 400 ms.
const rightParts = 4;
const rightPart = 5; // seconds
const rightSeconds = 0.03; // a crystal moves 2 ms
// Least wait within a second in which the reader caught up with the sound: reading what lies ready takes a few ms a
// frame.
const leastWaitMs = 200;

/**
 * Judges frames as they arrive, in one pass over the samples and the arrival times.
 *
 * Rate: the lag of the samples behind the clock is measured as the least lag of each second (the freshest arrival). The
 * rate is wrong if this lag moves the same way in each of five steps, and by at least `deviation` in all. A single loss
 * is one step and no rate fault. In each of these seconds the reader must have waited for the device, as it does even
 * for a fast one: else the reader was late, and it is the reader that falls behind or catches up.
 */
export function openSignalCheck(sampleRate: number, silenceSeconds: number) {
  const limit = silenceSeconds * sampleRate;
  let low = Infinity;
  let high = -Infinity;
  let still = 0; // samples of the present run without variation
  let repeated = 0; // samples of the present run of one value
  let repeatedValue = 0;
  let repetition = 0; // share of the elapsed time in such runs
  let varied = 0; // samples since the last of them
  let withheld = 0;
  let share = 0;
  let clippedSeconds = 0;
  let clipped = false;
  let received = 0;
  let beganMs = -1;
  let secondEndsMs = 0;
  let least = Infinity;
  let waitedMs = 0;
  let rateRight = false;
  const seconds: { lag: number; waitedMs: number }[] = [];

  const within = (seconds: number) => 1 - Math.exp(-seconds / (repetitionWindow * silenceSeconds));

  function rateFault(): { fault: 'slow' | 'fast'; rateSeconds: number } | undefined {
    for (const { deviation, stride } of rates) {
      const newest = seconds.length - 1;
      if (newest < steps * stride) continue;
      const lag = (back: number) => (seconds[newest - back * stride] as { lag: number }).lag;
      const growth = lag(0) - lag(steps);
      if (Math.abs(growth) < deviation * steps * stride) continue;
      const parts = Array.from({ length: steps }, (_, i) => lag(i) - lag(i + 1));
      if (!parts.every((part) => part / growth > 1 / (3 * steps))) continue;
      const waited = Array.from({ length: steps + 1 }, (_, i) => (seconds[newest - i * stride] as { waitedMs: number }).waitedMs);
      if (Math.min(...waited) < leastWaitMs) continue;
      return { fault: growth > 0 ? 'slow' : 'fast', rateSeconds: steps * stride };
    }
    return undefined;
  }

  function isRateRight(): boolean {
    const last = seconds.slice(-1 - rightParts * rightPart);
    if (last.length <= rightParts * rightPart || last.some(({ waitedMs: waited }) => waited < leastWaitMs)) return false;
    const lags = last.filter((_, i) => i % rightPart === 0).map(({ lag }) => lag);
    return lags.slice(1).every((lag, i) => Math.abs(lag - (lags[i] as number)) < rightSeconds);
  }

  return {
    /**
     * @param arrivedMs monotonic time of arrival
     * @param waited how long the reader waited for the frame, in ms
     * @param distrust a run without variation does not count as heard even if short, nor does less than a second of
     * sound between two such runs
     * @param atFullScale number of samples at full scale, if the samples themselves do not show it
     */
    push(samples: Float32Array, arrivedMs: number, waited: number, distrust: boolean, atFullScale?: number): SignalVerdict {
      let frameLow = Infinity;
      let frameHigh = -Infinity;
      for (let i = 0; i < samples.length; i++) {
        const sample = samples[i] as number;
        if (sample < frameLow) frameLow = sample;
        if (sample > frameHigh) frameHigh = sample;
      }
      const isFull = frameHigh > fullScale || frameLow < -fullScale;
      const full = atFullScale ?? (isFull ? countAtFullScale({ samples }) : 0);

      let heardSamples = 0;
      low = Math.min(low, frameLow);
      high = Math.max(high, frameHigh);
      if (high - low > flatStep) {
        heardSamples = distrust || still > limit ? 0 : still;
        still = 0;
        low = frameLow;
        high = frameHigh;
      }
      if (high - low <= flatStep) still += samples.length;
      else heardSamples += samples.length;

      const frameSeconds = samples.length / sampleRate;
      const before = frameLow === frameHigh && frameLow === repeatedValue ? repeated : 0;
      repeated = frameLow === frameHigh ? before + samples.length : 0;
      repeatedValue = frameLow;
      const long = repetitionSeconds * sampleRate;
      // adds the part of the run before it was known to be long
      if (repeated > long && before <= long) repetition += within(before / sampleRate);
      repetition += ((repeated > long ? 1 : 0) - repetition) * within(frameSeconds);

      // crackle of less than a second between two long runs disproves no fault
      if (repeated > long) varied = withheld = 0;
      varied += heardSamples;
      if (distrust && varied < sampleRate) {
        withheld += heardSamples;
        heardSamples = 0;
      } else {
        heardSamples += withheld;
        withheld = 0;
      }

      share += (full / samples.length - share) * (1 - Math.exp(-frameSeconds / clipSeconds));
      clippedSeconds = share > clipBegins ? clippedSeconds + frameSeconds : 0;
      clipped = clipped ? share > clipEnds : clippedSeconds > clipSeconds;

      received += samples.length;
      if (beganMs < 0) {
        beganMs = arrivedMs;
        secondEndsMs = arrivedMs + 2000; // sound that was buffered before the start is no measure
      }
      least = Math.min(least, (arrivedMs - beganMs) / 1000 - received / sampleRate);
      waitedMs += waited;
      let rate: ReturnType<typeof rateFault>;
      if (arrivedMs >= secondEndsMs) {
        seconds.push({ lag: least, waitedMs });
        if (seconds.length > steps * 12 + 1) seconds.shift();
        least = Infinity;
        waitedMs = 0;
        secondEndsMs = Math.max(secondEndsMs + 1000, arrivedMs);
        rate = rateFault();
        rateRight = isRateRight();
      }
      let fault: SignalVerdict['fault'] = rate?.fault;
      if (repeated > long && repetition > repetitionShare) fault = repeatedValue === 0 ? 'zeros' : 'flat';
      if (still > limit) fault = low === 0 && high === 0 ? 'zeros' : 'flat';
      return { ...(fault ? { fault } : {}), clipped, heardSamples, rateSeconds: rate?.rateSeconds ?? seconds.length - 1, rateRight };
    },
  };
}

/** How many samples of a frame were at full scale, in either channel where two were mixed to one. */
export function countAtFullScale({ samples, atFullScale }: Pick<AudioFrame, 'samples' | 'atFullScale'>): number {
  if (atFullScale !== undefined) return atFullScale;
  let count = 0;
  for (const sample of samples) if (Math.abs(sample) > fullScale) count++;
  return count;
}
