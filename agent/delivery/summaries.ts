import type { Summary } from '../events/summary.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/logger.ts';
import { tenth } from '../lib/rounding.ts';
import type { Outbox, PendingSummary } from '../outbox/outbox.ts';
import type { Allowance } from './allowance.ts';
import type { Publisher, Report } from './publisher.ts';
import { SideMessage } from './side-message.ts';
import { stampOf, timeOf } from './stamp.ts';

const pollMs = 1000;
const failedRetryMs = 60_000;
const refusedRetryMs = 600_000; // an access control that was mended is noticed within so long

interface SummaryParts {
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly allowance?: Pick<Allowance, 'left'>;
}

/**
 * Publishes summaries in order, one at a time, each until its PUBACK, so that they hold up no event. A refused one is
 * passed over. Those refused are tried again one after another, one every ten minutes, until one is taken.
 */
export function openSummaries(topic: string, parts: SummaryParts): Report {
  const { outbox, clock, logger, allowance } = parts;
  const message = new SideMessage('the broker did not take the summary of an hour; it is kept and tried again', logger);
  let nextMs = 0;
  let of = ''; // the outbox in which the numbers below count
  let refused = 0; // the highest number that was refused: what is behind it has not been tried
  let tried = 0; // of those refused, the last that was tried again
  let againMs = Number.POSITIVE_INFINITY;

  /** The next that was not refused yet; otherwise, when it is time, the next of those that were. */
  function choose(): PendingSummary | undefined {
    const [untried] = outbox.summaries(1, refused);
    if (untried || clock.monotonicMs() < againMs) return untried;
    return outbox.summaries(1, tried)[0] ?? outbox.summaries(1)[0];
  }

  return {
    tick(publisher: Publisher): void {
      if (message.isUnderWay || clock.monotonicMs() < nextMs) return;
      nextMs = clock.monotonicMs() + pollMs;
      if (allowance && allowance.left < 1) return;
      if (outbox.id !== of) [of, refused] = [outbox.id, 0];
      const next = choose();
      if (!next) return;
      const { id } = outbox; // of what was read: a file that was replaced may have been noticed by reading
      const { sequence } = next;
      message.publish(
        publisher,
        { topic, payload: JSON.stringify(toSummary(next, id, clock)), retain: false },
        {
          taken: () => {
            if (outbox.id === id) outbox.summaryReported(sequence); // a repair may have put another in its place
            nextMs = 0;
          },
          failed: (isRefused) => {
            nextMs = clock.monotonicMs() + failedRetryMs;
            if (!isRefused) return;
            if (sequence <= refused) tried = sequence;
            refused = Math.max(refused, sequence);
            againMs = clock.monotonicMs() + refusedRetryMs;
          },
        },
      );
    },
  };
}

/** The published form of a stored hour. */
export function toSummary(stored: PendingSummary, outbox: string, clock: Clock): Summary {
  const { sequence, bootId, model, elapsedSeconds, listenedSeconds, recognised, levels, splAtFullScaleDb } = stored;
  const { beganWallMs: wallMs, beganMonotonicMs: monotonicMs, clockSynchronised: synchronised, bootBeganMs } = stored;
  const { ms, quality } = stampOf({ bootId, wallMs, monotonicMs, synchronised, bootBeganMs }, clock);
  return {
    outbox,
    sequence,
    bootId,
    model,
    time: timeOf(ms),
    clock: quality,
    elapsedSeconds: tenth(elapsedSeconds),
    listenedSeconds: tenth(listenedSeconds),
    recognised,
    ...(levels ? { levelsDbfs: raised(levels, 0) } : {}),
    ...(levels && splAtFullScaleDb !== undefined ? { levelsDbSpl: raised(levels, splAtFullScaleDb) } : {}),
  };
}

function raised({ laeq, la10, la90 }: NonNullable<PendingSummary['levels']>, decibels: number) {
  return { laeq: tenth(laeq + decibels), la10: tenth(la10 + decibels), la90: tenth(la90 + decibels) };
}
