import { type Clock, stepMs } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import type { Outbox } from './outbox.ts';

const retryMs = 10_000;

/** Notes in the outbox when this boot began, as soon as the clock is right and whenever that changes it. Call often. */
export function openBootNote(outbox: Outbox, clock: Clock, logger: Logger): () => void {
  let noted: number | undefined;
  let nextMs = 0;
  return () => {
    const now = clock.monotonicMs();
    if (now < nextMs || !clock.synchronised()) return;
    const beganMs = clock.wallMs() - now;
    if (noted !== undefined && Math.abs(beganMs - noted) <= stepMs) return;
    nextMs = now + retryMs;
    try {
      outbox.noteBoot(clock.bootId, beganMs);
      if (noted === undefined) logger.debug({}, 'the clock is right');
      noted = beganMs;
    } catch (error) {
      logger.warn({ reason: messageOf(error) }, 'the time of this boot could not be stored; trying again');
    }
  };
}
