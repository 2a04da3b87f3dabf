import type { RecordedEvent } from '../../agent/events/event.ts';
import type { HearingRecord } from '../../agent/events/health.ts';
import type { HourSummary } from '../../agent/events/summary.ts';
import type { Clock } from '../../agent/lib/clock.ts';
import type { Logger } from '../../agent/lib/logger.ts';

export const bootId = '0b6f1c2e-7d3a-4f5b-9c8d-1e2f3a4b5c6d';
export const limits = { maxMegabytes: 64, maxEventsPerMinute: 30 };

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

/** A listener that has heard nine of ten seconds. */
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
  return {
    bootId,
    wallMs: () => Date.UTC(2026, 10, 20, 10, 0, 30),
    monotonicMs: () => 30_000,
    synchronised: () => true,
    steadyMs: () => 86_400_000,
    ...change,
  };
}

const nothing = () => undefined;
export const silentLogger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing };
