import type { Hearing } from '../audio/supervisor.ts';
import type { HearingRecord, UsualLevel } from '../events/health.ts';
import type { LevelHistory } from '../events/level-history.ts';
import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import type { Outbox } from './outbox.ts';

const closestMs = 2000; // changes that come faster are written together: a fault that flickers does not wear the disk

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
  let failing = false;
  return (hearing) => {
    const now = clock.monotonicMs();
    const kind = [hearing.state, hearing.fault, levels.suspicion()].join();
    const due = now - writtenMs >= intervalMs || (kind !== written && (now - writtenMs >= closestMs || hearing.state === 'stopped'));
    if (!due) return;
    const noiseFloorDb = levels.noiseFloorDb();
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
      failing = false;
    } catch (error) {
      if (!failing) logger.error({ reason: messageOf(error) }, 'health could not be stored; trying again');
      failing = true;
    }
    writtenMs = now;
  };
}
