import type { Hearing } from '../audio/supervisor.ts';
import type { HearingRecord, UsualLevel } from '../events/health.ts';
import type { LevelHistory } from '../events/level-history.ts';
import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import type { Outbox } from './outbox.ts';

// Changes that come faster are written together, and of many in a row one a minute: a fault that flickers neither wears the disk nor floods the platform.
const closestMs = 2000;
const changesAtOnce = 10;
const changeEveryMs = 60_000;
const retryMs = 10_000; // of one that failed: the courier holds a listener that misses an interval for silent

/**
 * What an earlier listener of this boot said last, that it stopped in order, is over once another is started, also where that never comes to
 * hear: the courier then sees a listener that had begun, and is gone. Where the outbox cannot be used, that is told, and this is not.
 */
export function takeBackStop({ outbox, clock }: { outbox: Outbox; clock: Clock }): void {
  try {
    const row = outbox.readHearing();
    if (row?.bootId === clock.bootId && row.state === 'stopped') outbox.writeHearing({ ...row, state: 'starting', writtenMonotonicMs: clock.monotonicMs() });
  } catch {
    // no reason not to hear
  }
}

/**
 * Writes the supervisor's figures into the outbox: at once when they change in kind, else every `intervalMs`. Counts go on from
 * the row of an earlier listener of the same boot; the time between was not heard. A write that fails is tried again:
 * hearing goes on without it. What is `learnt` of usual levels is written along, and taken out: each write of its own would cost as much. What an
 * earlier listener left is read before the first write, however late the disk lets that be.
 */
export function openHearingReport(
  parts: { outbox: Outbox; clock: Clock; logger: Logger; levels: LevelHistory; learnt?: UsualLevel[] },
  model: HearingRecord['model'],
  intervalMs: number,
): (hearing: Readonly<Hearing>) => void {
  const { outbox, clock, logger, levels, learnt = [] } = parts;
  let earlier: HearingRecord | undefined;
  let recalled = false;
  const recall = () => {
    const row = outbox.readHearing();
    const usual = outbox.readUsualLevels();
    earlier = row?.bootId === clock.bootId ? row : undefined;
    levels.recall(usual);
    learnt.splice(0, learnt.length, ...learnt.filter(({ hour }) => !usual.some((level) => level.hour === hour)));
    recalled = true;
  };
  let written = '';
  let writtenMs = Number.NEGATIVE_INFINITY;
  let changesLeft = changesAtOnce; // as of `writtenMs`; one more comes back with each minute
  let failing = false;
  return (hearing) => {
    const now = clock.monotonicMs();
    const kind = [hearing.state, hearing.fault, levels.suspicion()].join();
    const changed = kind !== written;
    const left = Math.min(changesAtOnce, changesLeft + (now - writtenMs) / changeEveryMs);
    const everyMs = failing ? Math.min(retryMs, intervalMs) : intervalMs;
    const due = now - writtenMs >= everyMs || (changed && ((now - writtenMs >= closestMs && left >= 1) || hearing.state === 'stopped'));
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
        ...(noiseFloorDb === undefined ? {} : { noiseFloorDb }),
      };
      outbox.writeHearing(record, learnt);
      learnt.length = 0;
      written = kind;
      if (changed) changesLeft = Math.max(0, left - 1);
      failing = false;
    } catch (error) {
      if (!failing) logger.error({ reason: messageOf(error) }, 'health could not be stored; trying again');
      failing = true;
    }
    writtenMs = now;
  };
}
