import { type Clock, stepMs } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import type { Outbox } from './outbox.ts';

const retryMs = 10_000;

/**
 * Notes in the outbox when this boot began, as soon as the clock is trusted and whenever that changes the result. Call
 * it often. An earlier note of this boot is first told to the clock, as soon as the outbox can be read. Nothing is
 * noted before that: after a jump of the clock, a process that has just started cannot know better than the one that
 * noted it. The note is read again while the clock is not trusted, since the other half may see evidence that this one
 * does not.
 */
export function openBootNote(outbox: Outbox, clock: Clock, logger: Logger): () => void {
  let noted: number | undefined;
  let notedIn: string | undefined; // one that was made anew has no note
  let recalled = false;
  let failing = false;
  let nextMs = 0;
  let nextRecallMs = 0;
  const recall = () => {
    nextRecallMs = clock.monotonicMs() + retryMs;
    try {
      noted = outbox.bootBegan(clock.bootId);
      notedIn = outbox.id;
      clock.recall(noted);
      recalled = true;
    } catch {
      // an outbox that cannot be read is reported elsewhere, and read when it can be
    }
  };
  recall();
  return () => {
    if (clock.monotonicMs() >= nextRecallMs && (!recalled || !clock.synchronised())) recall();
    const { wallMs, monotonicMs: now, synchronised } = clock.now();
    if (!recalled || now < nextMs || !synchronised) return;
    const beganMs = wallMs - now;
    if (noted !== undefined && notedIn === outbox.id && Math.abs(beganMs - noted) <= stepMs) return;
    nextMs = now + retryMs;
    try {
      outbox.noteBoot(clock.bootId, beganMs);
      if (noted === undefined) logger.debug({}, 'the clock is right');
      noted = beganMs;
      notedIn = outbox.id;
      failing = false;
    } catch (error) {
      if (!failing) logger.warn({ reason: messageOf(error) }, 'the time of this boot could not be stored; trying again');
      failing = true;
    }
  };
}
