import type { AudioFrame } from './frame.ts';

/** By how much a sound card's crystal and the clock may drift apart; crystals are off by a tenth of it, and NTP slews by half of it at most. */
export const driftMsPerSecond = 1;

/**
 * Places samples on the clock: sample 0 came as the freshest arrivals place it, and later ones may move it by the drift of the two clocks.
 * What comes late, and what comes together after that, moves it no further.
 */
export function openSampleClock(sampleRate: number) {
  let zeroMs: number | undefined;
  return {
    /** Takes a frame that has come at `nowMs`; returns when sample 0 came. */
    arrived({ firstSample, samples }: AudioFrame, nowMs: number): number {
      const seenMs = nowMs - ((firstSample + samples.length) / sampleRate) * 1000;
      zeroMs = Math.min(seenMs, (zeroMs ?? seenMs) + (samples.length / sampleRate) * driftMsPerSecond);
      return zeroMs;
    },
  };
}
