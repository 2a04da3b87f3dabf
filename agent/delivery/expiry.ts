import { setImmediate as turn } from 'node:timers/promises';
import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import type { Now, Outbox } from '../outbox/outbox.ts';

interface ExpiryParts {
  readonly outbox: Pick<Outbox, 'pendingCount' | 'expire'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * How many were removed; undefined while the first search finds some that it cannot remove: nothing is to be sent yet.
 */
export type ExpireOld = (signal: AbortSignal, progress: () => void, acknowledge?: () => void) => Promise<number | undefined>;

const everyMs = 60_000;
const eventsACall = 10_000; // that the outbox looks at
const steadyClockMs = 3_600_000;
const heldMs = 60_000; // a lock has ended by then; a disk that takes no writes must not hold up what is new
const heldRetryMs = 1000;

/**
 * Removes events that are too old from the outbox, with or without a broker. It may be called at every turn: it looks
 * once a minute, and goes on until it finds nothing more. The first time it searches the whole outbox, before anything
 * is sent; if that cannot be read yet, at the first turn at which it can; if what it finds cannot be removed, as while
 * the listener's write takes long, each second for a minute. A search that the signal ends goes on at the next turn.
 * Other failures are retried after a minute.
 */
export function openExpiry(maxAgeMs: number, parts: ExpiryParts): ExpireOld {
  const { outbox, clock, logger } = parts;
  let nextMs = Number.NEGATIVE_INFINITY;
  let whole = true;
  let failedMs: number | undefined; // when the first search first failed
  const isHeld = () => whole && failedMs !== undefined && clock.monotonicMs() - failedMs < heldMs;
  return async (signal, progress, acknowledge) => {
    if (clock.monotonicMs() < nextMs) return isHeld() ? undefined : 0;
    let expired = 0;
    let isReadable = false;
    try {
      const calls = whole ? 1 + Math.ceil(outbox.pendingCount() / eventsACall) : 1;
      isReadable = true;
      nextMs = clock.monotonicMs() + everyMs;
      for (let inVain = 0; inVain < calls && !signal.aborted; ) {
        acknowledge?.(); // what the platform has did not expire
        const removed = outbox.expire(nowOf(clock), maxAgeMs);
        expired += removed;
        inVain = removed > 0 ? 0 : inVain + 1;
        progress();
        await turn();
      }
      if (signal.aborted) nextMs = Number.NEGATIVE_INFINITY;
      else whole = false;
    } catch (error) {
      logger.debug({ reason: messageOf(error) }, 'events that are too old could not be looked for');
      if (isReadable) {
        failedMs ??= clock.monotonicMs();
        if (isHeld()) nextMs = clock.monotonicMs() + heldRetryMs;
      }
    }
    if (expired > 0) logger.error({ expired }, 'events were too old to deliver and have expired');
    return isHeld() ? undefined : expired;
  };
}

/**
 * The wall clock counts only if nobody has set it for an hour: neither a jump nor its correction may age stored events.
 */
function nowOf(clock: Clock): Now {
  const { wallMs, monotonicMs, synchronised } = clock.now();
  const reliable = synchronised && clock.steadyMs() >= steadyClockMs;
  return { bootId: clock.bootId, monotonicMs, ...(reliable ? { wallMs } : {}) };
}
