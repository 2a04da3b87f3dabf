import type { AudioFrame } from './frame.ts';

/**
 * How fast a sound card's crystal and the clock may drift apart. Crystals are off by a tenth of it; NTP slews by half
 * of it at most.
 */
export const driftMsPerSecond = 1;

/**
 * Places samples on the clock. The arrivals with the least delay determine when sample 0 came; later arrivals may move
 * it by the drift of the two clocks. A frame that comes late, and the burst that follows it, move it no further.
 */
export function openSampleClock(sampleRate: number) {
  let zeroMs: number | undefined;
  return {
    /** Takes a frame that arrived at `nowMs`; returns the time at which sample 0 came. */
    arrived({ firstSample, samples }: AudioFrame, nowMs: number): number {
      const seenMs = nowMs - ((firstSample + samples.length) / sampleRate) * 1000;
      zeroMs = Math.min(seenMs, (zeroMs ?? seenMs) + (samples.length / sampleRate) * driftMsPerSecond);
      return zeroMs;
    },
  };
}
