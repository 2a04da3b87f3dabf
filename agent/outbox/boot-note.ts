import { type Clock, stepMs } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import type { Outbox } from './outbox.ts';

const retryMs = 10_000;

/**
 * Notes in the outbox when this boot began, as soon as the clock is right and whenever that changes it. Call often. What was noted
 * earlier in this boot is told to the clock first, at once where the outbox can be read: until then nothing is noted, for after a
 * jump a process that has only started cannot know better than the one that noted it. It is read again while the clock is not
 * believed: the other half may see evidence that this one does not.
 */
export function openBootNote(outbox: Outbox, clock: Clock, logger: Logger): () => void {
  let noted: number | undefined;
  let recalled = false;
  let failing = false;
  let nextMs = 0;
  let nextRecallMs = 0;
  const recall = () => {
    nextRecallMs = clock.monotonicMs() + retryMs;
    try {
      noted = outbox.bootBegan(clock.bootId);
      clock.recall(noted);
      recalled = true;
    } catch {
      // an outbox that cannot be read is told of elsewhere, and read when it can be
    }
  };
  recall();
  return () => {
    if (clock.monotonicMs() >= nextRecallMs && (!recalled || !clock.synchronised())) recall();
    if (!recalled || clock.monotonicMs() < nextMs || !clock.synchronised()) return;
    const now = clock.monotonicMs();
    const beganMs = clock.wallMs() - now;
    if (noted !== undefined && Math.abs(beganMs - noted) <= stepMs) return;
    nextMs = now + retryMs;
    try {
      outbox.noteBoot(clock.bootId, beganMs);
      if (noted === undefined) logger.debug({}, 'the clock is right');
      noted = beganMs;
      failing = false;
    } catch (error) {
      if (!failing) logger.warn({ reason: messageOf(error) }, 'the time of this boot could not be stored; trying again');
      failing = true;
    }
  };
}
