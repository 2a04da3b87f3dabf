import type { ThresholdCounter, ThresholdRecord } from '../events/threshold-counts.ts';
import { type Clock, trustedWallMs } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import type { Outbox } from './outbox.ts';

const dayMs = 86_400_000;
const worthSeconds = 60; // less is not worth a write

/**
 * Returns what stores the counts of would-be events, to be called once an hour, and at the end. What the disk does not
 * take is added to the next hour.
 */
export function openThresholdReport(
  parts: { outbox: Outbox; clock: Clock; logger: Logger },
  of: Pick<ThresholdRecord, 'model' | 'operatingPoint' | 'recognition'>,
  counter: ThresholdCounter,
) {
  const { outbox, clock, logger } = parts;
  return () => {
    const sums = counter.sums();
    if (sums.seconds < worthSeconds) return;
    try {
      const wallMs = trustedWallMs(clock);
      // of the last minute that they are of: at midnight that day is over
      const utcDay = wallMs === undefined ? undefined : Math.floor((wallMs - worthSeconds * 1000) / dayMs);
      outbox.addThresholdCounts({ ...sums, bootId: clock.bootId, ...of, ...(utcDay === undefined ? {} : { utcDay }) });
      counter.clear();
    } catch (error) {
      logger.warn({ reason: messageOf(error) }, 'the counts for thresholds could not be stored; trying again in an hour');
    }
  };
}
