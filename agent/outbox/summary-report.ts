import type { HourSummary } from '../events/summary.ts';
import { messageOf, UnstorableError } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import type { Outbox } from './outbox.ts';

const most = 48; // two days of hours in memory while the disk takes none
const retryMs = 60_000;
const turnMs = 1000; // on a slow card to store all that are held takes longer than the watchdog waits

/**
 * Stores summaries in order. What the disk does not take in time is held, and tried again at `retry`, which may be
 * called often.
 */
export function openSummaryReport(outbox: Outbox, logger: Logger, monotonicMs: () => number) {
  const held: HourSummary[] = [];
  let lost = 0; // just before the first that is held
  let nextMs = 0;
  let failing = false;
  function store(): void {
    try {
      const beganMs = monotonicMs();
      for (let next = held[0]; next && monotonicMs() - beganMs < turnMs; next = held[0]) {
        outbox.writeSummary(next, lost);
        held.shift();
        lost = 0;
      }
      failing = false;
    } catch (error) {
      const isRefused = error instanceof UnstorableError; // it would be for ever, and those behind it with it
      if (isRefused) {
        held.shift();
        lost++;
      }
      if (isRefused || !failing)
        logger.error({ reason: messageOf(error), held: held.length }, `the summary of an hour could not be stored${isRefused ? '' : '; trying again'}`);
      failing = !isRefused;
      nextMs = monotonicMs() + retryMs;
    }
  }
  return {
    add(summary: HourSummary): void {
      held.push(summary);
      if (held.length > most) {
        held.shift();
        if (lost === 0) logger.error({}, 'too many hourly summaries held in memory: the oldest are dropped, and their numbers left out');
        lost++;
      }
      store();
    },
    retry(): void {
      if (held.length > 0 && monotonicMs() >= nextMs) store();
    },
  };
}
