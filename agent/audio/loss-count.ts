import { driftMsPerSecond } from './sample-clock.ts';

// A reader that waited has come to the end of the sound; one that did not may still find two seconds of it (frame.ts). After longer
// than the sound of a device's buffer the whole board may have stood still: that too looks like waiting.
const shortestWaitMs = 20;
const longestWaitMs = 500;
const aheadSeconds = 2;
const lossSeconds = 1; // more than this missing is a loss, not a delay
const sameLossMs = 1000;

/**
 * Counts samples that were lost: received and lost together are the time that went by.
 *
 * Sample 0 is placed by the freshest arrivals, and those that were waited for may move it later by 1 ms a second: the sound card's
 * crystal and the clock drift apart, and a loss must be seen as well after a month. What arecord says of overruns is part of the same loss, told
 * before or after the clock shows it: the larger of the two counts.
 */
export function openLossCount(sampleRate: number) {
  let received = 0;
  let lost = 0;
  let zeroMs: number | undefined; // when sample 0 came
  let unwaited = 0; // samples since the reader last came to the end of the sound
  let told = 0; // samples of overruns that are not yet counted
  let counted = { samples: 0, atMs: Number.NEGATIVE_INFINITY };
  // the clock shows a loss to the second: an overrun that claims more than it shows is mistaken
  const believed = () => Math.min(told, lossSeconds * sampleRate);
  return {
    get lost() {
      return lost;
    },
    /** Takes `count` samples that came at `nowMs`, after `waitedMs` of waiting; returns the index of the first of them. */
    arrived(count: number, nowMs: number, waitedMs: number): number {
      const caughtUp = waitedMs >= shortestWaitMs && waitedMs <= longestWaitMs;
      unwaited += count;
      const seenMs = nowMs - ((received + lost + count) / sampleRate) * 1000;
      const latestMs = (zeroMs ?? seenMs) + (caughtUp ? (unwaited / sampleRate) * driftMsPerSecond : 0);
      const behind = Math.round(((seenMs - latestMs) / 1000) * sampleRate);
      const mayWait = aheadSeconds * sampleRate;
      // what was kept for a late reader comes from before the loss, which is counted behind it
      const loss = caughtUp ? Math.max(behind, believed()) : unwaited > mayWait ? behind - mayWait : 0;
      if (caughtUp) unwaited = 0;
      if (loss > (caughtUp && told > 0 ? 0 : lossSeconds * sampleRate)) {
        lost += loss;
        counted = { samples: Math.max(0, loss - told), atMs: nowMs };
        told = caughtUp ? 0 : Math.max(0, told - loss);
      }
      zeroMs = Math.min(seenMs, latestMs);
      received += count;
      return received + lost - count;
    },
    /** arecord says that it had to drop samples. */
    overrun(milliseconds: number, nowMs: number): void {
      const samples = Math.round((milliseconds / 1000) * sampleRate);
      const known = nowMs - counted.atMs < sameLossMs ? counted.samples : 0;
      told += Math.max(0, samples - known);
    },
    /** No more sound comes. */
    ended(): void {
      lost += believed();
      told = 0;
    },
  };
}
