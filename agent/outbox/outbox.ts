import type { RecordedEvent } from '../events/event.ts';
import type { HearingRecord, UsualLevel } from '../events/health.ts';

/** An event on its way out. `sequence` orders events and, with the outbox id, names them. */
export interface PendingEvent extends RecordedEvent {
  readonly sequence: number;
}

export type Fate = 'stored' | 'sent' | 'expired' | 'refused';

/**
 * Port: the one thing between the process that hears and the process that speaks.
 *
 *   append ─▶ pending ─▶ (published) ─▶ acknowledge        expire: too old or too many, counted
 *
 * The listener appends, the courier reads and acknowledges; each opens the outbox for itself. What `append` returned for
 * is on disk. An event stays pending until `acknowledge`: a crash in between sends it again with the same sequence.
 */
export interface Outbox {
  readonly id: string;
  /** Stores an event, or counts it as refused when events come faster than allowed. */
  append(event: RecordedEvent): 'stored' | 'refused';
  /** The oldest events after a sequence number, in order. */
  pending(after: number, limit: number): PendingEvent[];
  pendingCount(): number;
  acknowledge(sequences: readonly number[]): void;
  /** Removes events older than `maxAgeMs` at `nowMs` whose clock was right; returns how many. */
  expire(nowMs: number, maxAgeMs: number): number;
  fates(): Record<Fate, number>;
  /** What the listener knows of its hearing: one record, replaced. */
  writeHearing(record: HearingRecord): void;
  readHearing(): HearingRecord | undefined;
  /** What is usual at this place, by hour of the day. */
  writeUsualLevel(level: UsualLevel): void;
  readUsualLevels(): UsualLevel[];
  close(): void;
}
