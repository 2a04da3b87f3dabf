import type { Summary } from '../events/summary.ts';
import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import type { Outbox, PendingSummary } from '../outbox/outbox.ts';
import type { Publisher, Report } from './publisher.ts';
import { stampOf } from './stamp.ts';

const pollMs = 1000;
const refusedRetryMs = 60_000;

/** Publishes summaries in order, each until its PUBACK; one at a time, so that they hold up no event. */
export function openSummaries(topic: string, parts: { outbox: Outbox; clock: Clock; logger: Logger }): Report {
  const { outbox, clock, logger } = parts;
  let nextMs = 0;
  let busy = false;
  let failing = false;
  return {
    tick(publisher: Publisher): void {
      if (busy || clock.monotonicMs() < nextMs) return;
      const [next] = outbox.summaries(1);
      nextMs = clock.monotonicMs() + pollMs;
      if (!next) return;
      busy = true;
      const { id } = outbox;
      publisher
        .publish(topic, JSON.stringify(toSummary(next, id, clock)), { retain: false })
        .then(() => {
          if (outbox.id === id) outbox.summaryReported(next.sequence); // a repair may have put another in its place
          nextMs = 0;
          failing = false;
        })
        .catch((error: unknown) => {
          nextMs = clock.monotonicMs() + refusedRetryMs;
          if (!failing) logger.warn({ reason: messageOf(error) }, 'the summary of an hour was not taken; it is kept and tried again');
          failing = true;
        })
        .finally(() => {
          busy = false;
        });
    },
  };
}

/** The published form of a stored hour. */
export function toSummary(stored: PendingSummary, outbox: string, clock: Clock): Summary {
  const { sequence, bootId, model, elapsedSeconds, listenedSeconds, recognised, levels, splAtFullScaleDb } = stored;
  const { beganWallMs: wallMs, beganMonotonicMs: monotonicMs, clockSynchronised: synchronised, bootBeganMs } = stored;
  const { ms, quality } = stampOf({ bootId, wallMs, monotonicMs, synchronised, bootBeganMs }, clock);
  const above = (decibels: number) => ({ laeq: round(levels?.laeq, decibels), la10: round(levels?.la10, decibels), la90: round(levels?.la90, decibels) });
  return {
    outbox,
    sequence,
    bootId,
    model,
    time: new Date(ms).toISOString(),
    clock: quality,
    elapsedSeconds: round(elapsedSeconds),
    listenedSeconds: round(listenedSeconds),
    recognised,
    ...(levels ? { levelsDbfs: above(0) } : {}),
    ...(levels && splAtFullScaleDb !== undefined ? { levelsDbSpl: above(splAtFullScaleDb) } : {}),
  };
}

function round(value = 0, plus = 0): number {
  return Math.round((value + plus) * 10) / 10;
}
