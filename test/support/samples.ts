import type { RecordedEvent } from '../../agent/events/event.ts';
import type { HearingRecord } from '../../agent/events/health.ts';
import type { HourSummary } from '../../agent/events/summary.ts';
import type { ThresholdRecord } from '../../agent/events/threshold-counts.ts';
import type { Clock } from '../../agent/lib/clock.ts';
import type { Logger } from '../../agent/lib/logger.ts';
import type { MeterReading } from '../../agent/meter/reading.ts';

export const bootId = '0b6f1c2e-7d3a-4f5b-9c8d-1e2f3a4b5c6d';
export const limits = { maxMegabytes: 64, maxEventsPerMinute: 30 };
/** For events of an earlier boot: they are at least as old as this one, and a machine may be up for months. */
export const longKept = { maxAgeDays: 366 };

/** An event `index` minutes into the boot. */
export function recordedEvent(index: number, change: Partial<RecordedEvent> = {}): RecordedEvent {
  return {
    label: 'glass_break',
    onsetWallMs: Date.UTC(2026, 10, 20, 10, 0, 0) + index * 60_000,
    onsetMonotonicMs: index * 60_000,
    bootId,
    clockSynchronised: true,
    durationSeconds: 0.4,
    confidence: 0.9,
    levelAboveBackgroundDb: 18,
    scores: { glass_break: 0.9, shout: 0.1, bang: 0.05 },
    model: { name: 'street', version: '0.1.0' },
    ...change,
  };
}

/** The record of a listener that has heard nine of ten seconds. */
export function hearingRecord(change: Partial<HearingRecord> = {}): HearingRecord {
  return {
    bootId,
    model: { name: 'street', version: '0.1.0' },
    writtenMonotonicMs: 20_000,
    sinceMonotonicMs: 10_000,
    state: 'listening',
    fault: 'none',
    suspicion: 'none',
    listenedSeconds: 9,
    droppedSamples: 0,
    opens: 1,
    starts: 1,
    ...change,
  };
}

/** The first full hour of the boot. */
export function hourSummary(change: Partial<HourSummary> = {}): HourSummary {
  return {
    bootId,
    model: { name: 'street', version: '0.1.0' },
    beganWallMs: Date.UTC(2026, 10, 20, 10),
    beganMonotonicMs: 0,
    clockSynchronised: true,
    elapsedSeconds: 3600,
    listenedSeconds: 3590,
    recognised: { glass_break: 0, shout: 4, bang: 1 },
    levels: { laeq: -48.2, la10: -46, la90: -61.5 },
    ...change,
  };
}

export function fixedClock(change: Partial<Clock> = {}): Clock {
  const clock: Clock = {
    bootId,
    wallMs: () => Date.UTC(2026, 10, 20, 10, 0, 30),
    monotonicMs: () => 30_000,
    now: () => ({ wallMs: clock.wallMs(), monotonicMs: clock.monotonicMs(), synchronised: clock.synchronised() }),
    synchronised: () => true,
    steadyMs: () => 86_400_000,
    recall: () => undefined,
    ...change,
  };
  return clock;
}

const nothing = () => undefined;
export const silentLogger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };

/** A reading while a shout has not yet lasted long enough. */
export function meterReading(change: Partial<MeterReading> = {}): MeterReading {
  const idle = { score: 0.031, state: 'idle', leftSeconds: 0, open: 0.7773, own: false } as const;
  return {
    sequence: 7,
    state: 'listening',
    fault: 'none',
    suspicion: 'none',
    listenedSeconds: 3590,
    elapsedSeconds: 3600,
    levelDb: -31,
    splDb: 88,
    noiseFloorDb: -58,
    stirred: 9,
    labels: [idle, { score: 0.8124, state: 'open', leftSeconds: 0.04, open: 0.8, own: true }, { ...idle, state: 'cooldown', leftSeconds: 0.2 }],
    last: [
      { label: 2, outcome: 'fired', peak: 0.9312, secondsAgo: 1.4 },
      { label: 0, outcome: 'under', peak: 0.5, secondsAgo: 75 },
      { label: 1, outcome: 'short', peak: 0.9, secondsAgo: 80 },
      { label: 1, outcome: 'merged', peak: 0.9, secondsAgo: 90.1 },
      { label: 1, outcome: 'cooldown', peak: 0.9, secondsAgo: 900 },
      { label: 0, outcome: 'refused', peak: 1, secondsAgo: 3600 },
    ],
    ...change,
  };
}

/** An hour of listening with three events at high thresholds. */
export function thresholdRecord(change: Partial<ThresholdRecord> = {}): ThresholdRecord {
  const counts = [
    { label: 'glass_break', step: 20, events: 2 },
    { label: 'bang', step: 44, events: 1 },
  ] as const;
  return { bootId, model: { name: 'street', version: '0.1.0' }, operatingPoint: 'balanced', recognition: 7, seconds: 3600, counts, ...change };
}
