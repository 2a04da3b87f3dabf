// The two halves of a sensor as they run from start to end, on a clock of the test's own, each with all that it keeps in memory. What is fake:
// levels and counts come without sound or a model, the microphone always hears, and the board reports nothing.
import type { Hearing } from '../../agent/audio/hearing.ts';
import { deliver } from '../../agent/delivery/deliver.ts';
import { openHealthReport } from '../../agent/delivery/health.ts';
import { openLink } from '../../agent/delivery/link.ts';
import { openSummaries } from '../../agent/delivery/summaries.ts';
import { topicsOf } from '../../agent/delivery/topics.ts';
import type { UsualLevel } from '../../agent/events/health.ts';
import { openHourMeter } from '../../agent/events/hour-meter.ts';
import { openLevelHistory } from '../../agent/events/level-history.ts';
import type { Clock } from '../../agent/lib/clock.ts';
import { openBootNote } from '../../agent/outbox/boot-note.ts';
import { openHearingReport, takeBackStop } from '../../agent/outbox/hearing-report.ts';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { openSummaryReport } from '../../agent/outbox/summary-report.ts';
import { openThresholdReport } from '../../agent/outbox/threshold-report.ts';
import { mortal } from '../support/mortal.ts';
import { silentLogger as logger } from '../support/samples.ts';
import { dayMs } from './outbox-model.ts';
import { sensor, site, type YearsBroker } from './years-broker.ts';

export const labels = ['glass_break', 'shout', 'bang'] as const;

export interface Listener {
  readonly outbox: Outbox;
  readonly clock: Clock;
  /** All the time since the last call was heard, with so many levels in it. */
  hear(levels: number): void;
  /** Its turn after a frame. */
  report(): void;
  /** Ends it in order. One that is killed is let go. */
  end(): void;
}

export function startListener(outbox: Outbox, clock: Clock, model: { readonly name: string; readonly version: string }): Listener {
  takeBackStop({ outbox, clock });
  const learnt = new Map<number, UsualLevel>();
  const history = openLevelHistory(
    () => (clock.synchronised() ? new Date(clock.wallMs()).getUTCHours() : undefined),
    (level) => learnt.set(level.hour, level),
  );
  const summaries = openSummaryReport(outbox, logger, clock.monotonicMs);
  const note = openBootNote(outbox, clock, logger);
  const hours = openHourMeter(clock, { model }, summaries.add);
  let seconds = 0;
  const counter = {
    push: () => undefined,
    restart: () => undefined,
    sums: () => ({ seconds, counts: labels.map((label, i) => ({ label, step: i * 9, events: 1 + Math.floor(seconds / 100) })) }),
    clear: () => {
      seconds = 0;
    },
  };
  const storeThresholds = openThresholdReport({ outbox, clock, logger }, { model, operatingPoint: 'balanced', recognition: 7 }, counter);
  const record = openHearingReport({ outbox, clock, logger, levels: history, learnt }, model, 600_000);
  const hearing: Hearing = { sinceMonotonicMs: clock.monotonicMs(), state: 'listening', fault: undefined, listenedSeconds: 0, droppedSamples: 0, opens: 1 };
  let heardMs = Date.now();
  return {
    outbox,
    clock,
    hear: (levels) => {
      hearing.listenedSeconds += (Date.now() - heardMs) / 1000;
      seconds += (Date.now() - heardMs) / 1000;
      heardMs = Date.now();
      for (let i = 0; i < levels; i++) {
        const db = -60 + (i % 5 === 0 ? 20 : i % 3);
        history.push(db);
        hours.level(db, 10 ** (db / 10) / 2);
      }
    },
    report: () => {
      const hourEnded = hours.tick(hearing.listenedSeconds);
      record(hearing, hourEnded);
      if (hourEnded) storeThresholds();
      summaries.retry();
      note();
    },
    end: () => {
      hearing.state = 'stopped';
      record(hearing);
      storeThresholds();
      hours.close();
    },
  };
}

export interface Courier {
  readonly stop: AbortController;
  /** One that was killed reads and writes nothing more. */
  isDead: boolean;
  isOver: boolean;
}

export function startCourier(outbox: Outbox, clock: Clock, broker: YearsBroker, random: () => number): Courier {
  const life: Courier = { stop: new AbortController(), isDead: false, isOver: false };
  const link = openLink(() => undefined);
  const topics = topicsOf(site, sensor);
  const parts = { outbox: mortal(outbox, life), clock, logger };
  const reports = [
    openHealthReport(topics.health, '1.0.0', 600_000, { ...parts, board: () => ({}), link, listenerRuns: () => true }),
    openSummaries(topics.summary, parts),
  ];
  const options = { site, sensor, version: '1.0.0', maxInFlight: 16, historicalAfterSeconds: 60, maxAgeMs: 30 * dayMs, acknowledgeWithinMs: 10_000 };
  const noteBoot = openBootNote(parts.outbox, clock, logger);
  const delivering = deliver(options, { ...parts, openPublisher: broker.opener(clock), random, reports, noteBoot, link }, life.stop.signal);
  void delivering
    .catch((error: unknown) => {
      if (!life.isDead) broker.wrong ??= error;
    })
    .finally(() => {
      life.isOver = true;
    });
  return life;
}
