import { driftMsPerSecond } from './sample-clock.ts';

// A reader that had to wait has taken all the sound there was; one that did not may still find two seconds of it
// (frame.ts). A wait longer than the device's buffer proves nothing: the whole board may have stood still, which also
// looks like waiting.
const shortestWaitMs = 20;
const longestWaitMs = 500;
const aheadSeconds = 2;
const lossSeconds = 1; // more than this missing is a loss, not a delay
const sameLossMs = 1000;
// A sound server may keep much more than two seconds. Sound that takes less than this share of its length to read is
// such sound: a board that scores as fast catches up with two seconds at once.
const keptShare = 0.2;

/**
 * Counts lost samples: received and lost samples together make up the time that has passed.
 *
 * The arrivals with the least delay place sample 0 in time. Arrivals that were waited for may move it later by 1 ms a
 * second: the sound card's crystal and the clock drift apart, and a loss must still be visible after a month. The
 * overruns that arecord reports are part of the same loss, reported before or after the clock shows it; the larger of
 * the two counts.
 */
export function openLossCount(sampleRate: number) {
  let received = 0;
  let lost = 0;
  let zeroMs: number | undefined; // when sample 0 arrived
  let unwaited = 0; // samples since the reader last caught up with the sound
  let unwaitedMs = 0; // when the first of them arrived
  let told = 0; // samples of reported overruns that are not yet counted
  let counted = { samples: 0, atMs: Number.NEGATIVE_INFINITY };
  // the clock shows a loss of more than a second by itself: an overrun that claims more than it shows is mistaken
  const believed = () => Math.min(told, lossSeconds * sampleRate);
  return {
    get lost() {
      return lost;
    },
    /** Takes `count` samples that arrived at `nowMs`, after `waitedMs` of waiting; returns the index of the first. */
    arrived(count: number, nowMs: number, waitedMs: number): number {
      const caughtUp = waitedMs >= shortestWaitMs && waitedMs <= longestWaitMs;
      if (unwaited === 0) unwaitedMs = nowMs;
      unwaited += count;
      const wasKept = ((nowMs - unwaitedMs) / 1000) * sampleRate < unwaited * keptShare;
      const seenMs = nowMs - ((received + lost + count) / sampleRate) * 1000;
      const latestMs = (zeroMs ?? seenMs) + (caughtUp ? (unwaited / sampleRate) * driftMsPerSecond : 0);
      const behind = Math.round(((seenMs - latestMs) / 1000) * sampleRate);
      const mayWait = aheadSeconds * sampleRate;
      // sound that was buffered for a late reader is from before the loss, so the loss is counted after it
      const loss = caughtUp ? Math.max(behind, believed()) : unwaited > mayWait && !wasKept ? behind - mayWait : 0;
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
    /** Called when arecord reports that it dropped samples. */
    overrun(milliseconds: number, nowMs: number): void {
      const samples = Math.round((milliseconds / 1000) * sampleRate);
      const known = nowMs - counted.atMs < sameLossMs ? counted.samples : 0;
      told += Math.max(0, samples - known);
    },
    /** Called when no more sound comes. */
    ended(): void {
      lost += believed();
      told = 0;
    },
  };
}
