import type { Hearing } from '../audio/hearing.ts';
import type { HearingRecord, UsualLevel } from '../events/health.ts';
import type { LevelHistory } from '../events/level-history.ts';
import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import type { Outbox } from './outbox.ts';

// Changes that come fast are written together, and of many in a row one a minute: a flickering fault neither wears the
// disk nor floods the platform.
const closestMs = 2000;
const changesAtOnce = 10;
const changeEveryMs = 60_000;
// after a report that the disk refused: at most this, and at most a quarter of the interval, because the courier holds
// a listener for silent whose report is later than 1.25 intervals and 5 s
const retryMs = 10_000;

/**
 * Resets `stopped`, as an earlier listener of this boot left it, to `starting` when another listener is launched, even
 * one that never gets to listen: the courier then sees a listener that began and is gone. Errors of the outbox are
 * ignored here; they are reported elsewhere.
 */
export function takeBackStop({ outbox, clock }: { outbox: Outbox; clock: Clock }): void {
  try {
    const row = outbox.readHearing();
    if (row?.bootId === clock.bootId && row.state === 'stopped') outbox.writeHearing({ ...row, state: 'starting', writtenMonotonicMs: clock.monotonicMs() });
  } catch {
    // no reason not to listen
  }
}

/**
 * Writes the supervisor's figures into the outbox: at once when they change in kind, otherwise every `intervalMs`.
 * Counts continue from the row of an earlier listener of the same boot; the time between counts as not heard. A failed
 * write is retried, and listening goes on without it. `learnt` usual levels, by hour of the day, are written along and
 * removed from the map, since a write of their own would cost as much. What an earlier listener left is read before the
 * first write, however late the disk allows that. Once an hour, with `along`, it is written whenever it was
 * written last: others have just been written, and what writes leave in the shared memory of the outbox reaches the
 * disk together.
 */
export function openHearingReport(
  parts: {
    outbox: Outbox;
    clock: Clock;
    logger: Logger;
    levels: LevelHistory;
    learnt?: Map<number, UsualLevel>;
    /** Called with true while it is deaf and the disk does not take that. */
    deafUntold?: ((untold: boolean) => void) | undefined;
  },
  model: HearingRecord['model'],
  intervalMs: number,
): (hearing: Readonly<Hearing>, along?: boolean) => void {
  const { outbox, clock, logger, levels, learnt = new Map<number, UsualLevel>(), deafUntold } = parts;
  let earlier: HearingRecord | undefined;
  let recalled = false;
  const recall = () => {
    const row = outbox.readHearing();
    const usual = outbox.readUsualLevels();
    earlier = row?.bootId === clock.bootId ? row : undefined;
    levels.recall(usual);
    for (const { hour } of usual) learnt.delete(hour);
    recalled = true;
  };
  let written = '';
  let writtenMs = Number.NEGATIVE_INFINITY;
  let changesLeft = changesAtOnce; // as of `writtenMs`; one more comes back with each minute
  let failing = false;
  return (hearing, along = false) => {
    const now = clock.monotonicMs();
    const kind = [hearing.state, hearing.fault, levels.suspicion()].join();
    const changed = kind !== written;
    const left = Math.min(changesAtOnce, changesLeft + (now - writtenMs) / changeEveryMs);
    const everyMs = failing ? Math.min(retryMs, intervalMs / 4) : intervalMs;
    const due = along || now - writtenMs >= everyMs || (changed && ((now - writtenMs >= closestMs && left >= 1) || hearing.state === 'stopped'));
    if (!due) return;
    changesLeft = left;
    const noiseFloorDb = hearing.state === 'listening' ? levels.noiseFloorDb() : undefined; // of a microphone that is not heard there is none
    try {
      if (!recalled) recall();
      const record: HearingRecord = {
        bootId: clock.bootId,
        model,
        writtenMonotonicMs: now,
        sinceMonotonicMs: earlier?.sinceMonotonicMs ?? hearing.sinceMonotonicMs,
        state: hearing.state,
        fault: hearing.fault ?? 'none',
        suspicion: levels.suspicion(),
        listenedSeconds: (earlier?.listenedSeconds ?? 0) + hearing.listenedSeconds,
        droppedSamples: (earlier?.droppedSamples ?? 0) + hearing.droppedSamples,
        opens: (earlier?.opens ?? 0) + hearing.opens,
        starts: (earlier?.starts ?? 0) + 1,
        intervalSeconds: intervalMs / 1000,
        ...(noiseFloorDb === undefined ? {} : { noiseFloorDb }),
      };
      writeOrRetry(() => outbox.writeHearing(record, [...learnt.values()]), hearing.state === 'stopped' ? 1 : 0);
      learnt.clear();
      written = kind;
      if (changed) changesLeft = Math.max(0, left - 1);
      failing = false;
    } catch (error) {
      if (!failing) logger.error({ reason: messageOf(error) }, 'health could not be stored; trying again');
      failing = true;
    }
    deafUntold?.(failing && hearing.state === 'deaf');
    writtenMs = now;
  };
}

/** A stop has no later turn. Where its write fails for good, the courier holds the listener for dead. */
function writeOrRetry(write: () => void, retries: number): void {
  try {
    write();
  } catch (error) {
    if (retries === 0) throw error;
    writeOrRetry(write, retries - 1);
  }
}
