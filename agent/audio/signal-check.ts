import type { MicrophoneFault } from '../lib/faults.ts';
import type { AudioFrame } from './frame.ts';
import { openRateCheck, type RateVerdict } from './rate-check.ts';

/** What one frame tells about the microphone. */
export interface SignalVerdict extends Omit<RateVerdict, 'fault'> {
  /** Capture is useless: close it and open it again. */
  fault?: Extract<MicrophoneFault, 'zeros' | 'flat'> | RateVerdict['fault'];
  /** Too much of the last seconds is at full scale; heard, but badly. */
  clipped: boolean;
  /** Samples now known to have been heard. A run without variation counts once it has ended, if that is in time. */
  heardSamples: number;
}

type CheckedFrame = Pick<AudioFrame, 'samples' | 'atFullScale' | 'afterOverrun'>;

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
/** Judges frames as they arrive, in one pass over the samples. */
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
  const rate = openRateCheck(sampleRate);

  const within = (seconds: number) => 1 - Math.exp(-seconds / (repetitionWindow * silenceSeconds));

  return {
    /**
     * @param arrivedMs monotonic time of arrival
     * @param waited how long the reader waited for the frame, in ms
     * @param distrust a run without variation does not count as heard even if short, nor does less than a second of
     * sound between two such runs
     */
    push({ samples, atFullScale, afterOverrun }: CheckedFrame, arrivedMs: number, waited: number, distrust: boolean): SignalVerdict {
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

      const { fault: wrongRate, rateSeconds, rateRight } = rate.push(samples.length, arrivedMs, waited, afterOverrun);
      let fault: SignalVerdict['fault'] = wrongRate;
      if (repeated > long && repetition > repetitionShare) fault = repeatedValue === 0 ? 'zeros' : 'flat';
      if (still > limit) fault = low === 0 && high === 0 ? 'zeros' : 'flat';
      return { ...(fault ? { fault } : {}), clipped, heardSamples, rateSeconds, rateRight };
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
