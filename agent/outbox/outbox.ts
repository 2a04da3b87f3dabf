import type { RecordedEvent } from '../events/event.ts';
import type { HearingRecord, UsualLevel } from '../events/health.ts';
import type { HourSummary } from '../events/summary.ts';
import type { ThresholdRecord } from '../events/threshold-counts.ts';
import type { OutboxFault } from '../lib/faults.ts';

/** An event on its way out. `sequence` orders events and, with the outbox id, names them. */
export interface PendingEvent extends RecordedEvent {
  readonly sequence: number;
  /** When its boot began, by a trusted clock; absent until the clock was trusted. */
  readonly bootBeganMs?: number;
}

export interface PendingSummary extends HourSummary {
  readonly sequence: number;
  readonly bootBeganMs?: number;
}

/** The current time, for computing ages. `wallMs` is absent while the wall clock is not trusted. */
export interface Now {
  readonly bootId: string;
  readonly monotonicMs: number;
  readonly wallMs?: number;
}

/** `stored = pending + sent + expired + unreadable`; refused and dropped events were never stored. */
export type Fate = 'stored' | 'sent' | 'expired' | 'refused' | 'dropped' | 'unreadable';

/** No event numbered `first` to `last` that has not arrived yet ever will. */
export interface Gap {
  readonly first: number;
  readonly last: number;
  readonly reason: 'too_old' | 'too_many' | 'dropped' | 'unreadable';
}

/**
 * Port: the one thing between the process that hears and the process that speaks.
 *
 *   append ─▶ pending ─▶ (published) ─▶ acknowledge        expire: too old or too many, counted, a gap
 *
 * The listener appends, the courier reads and acknowledges; each opens the outbox for itself. What `append` returned
 * `stored` for is on disk. An event stays pending until `acknowledge`: a crash in between sends it again with the same
 * sequence. Appending the same event again changes nothing.
 */
export interface Outbox {
  readonly id: string;
  /**
   * Stores an event. Or counts it as refused when events come faster than allowed; or holds it in memory while the disk
   * takes no writes; or drops and counts it where the schema refuses it.
   */
  append(event: RecordedEvent): 'stored' | 'refused' | 'held' | 'dropped';
  /** The oldest events after a sequence number, in order. */
  pending(after: number, limit: number): PendingEvent[];
  pendingCount(): number;
  /** The highest sequence number given out so far. */
  newest(): number;
  acknowledge(sequences: readonly number[]): void;
  /**
   * Removes events older than `maxAgeMs`, at most 10,000 a call; returns how many. The age of an event of this boot is
   * known by the monotonic clock; that of an earlier boot by the wall clock, or by a later event that is itself too
   * old, or by this boot once it has lasted for so long. Throws where they cannot be removed.
   */
  expire(now: Now, maxAgeMs: number): number;
  /** Notes when a boot began, once that is known, so that its events can be stamped rightly after the next boot too. */
  noteBoot(bootId: string, beganWallMs: number): void;
  /** What was noted; undefined where nothing was. */
  bootBegan(bootId: string): number | undefined;
  /** Counts events that could not be kept. They get sequence numbers, so that the platform sees a gap. */
  drop(count: number): void;
  /** Gaps that the platform has not been told, and the confirmation that it has. */
  gaps(limit: number): Gap[];
  gapReported(gap: Gap): void;
  fates(): Record<Fate, number>;
  faults(): OutboxFault[];
  /**
   * What the listener knows of its hearing: one record, replaced each time. And what it has learnt since of the usual
   * levels at this place, by hour of the day.
   */
  writeHearing(record: HearingRecord, learnt?: readonly UsualLevel[]): void;
  readHearing(): HearingRecord | undefined;
  readUsualLevels(): UsualLevel[];
  /** Adds to the counts of would-be events by threshold, in days of listening of which the last 60 are kept. */
  addThresholdCounts(record: ThresholdRecord): void;
  /**
   * Stores one hour. At most a month of hours is kept; a deleted one shows only as a missing number. `lost`: how many
   * hours just before this one were never stored; their numbers are skipped.
   */
  writeSummary(summary: HourSummary, lost?: number): void;
  /** The oldest summaries after a number that the platform does not have yet, and the confirmation that it has one. */
  summaries(limit: number, after?: number): PendingSummary[];
  summaryReported(sequence: number): void;
  close(): void;
}
