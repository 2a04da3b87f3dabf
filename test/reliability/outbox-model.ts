// What the port `Outbox` promises, in maps and counters. One model is one outbox file, and what each half holds in memory for it.
import type { RecordedEvent } from '../../agent/events/event.ts';
import type { HearingRecord } from '../../agent/events/health.ts';
import type { HourSummary } from '../../agent/events/summary.ts';
import type { Fate, Gap, Now, PendingEvent, PendingSummary } from '../../agent/outbox/outbox.ts';
import { recordedEvent } from '../support/samples.ts';

export const most = { eventsPerMinute: 5, recent: 60, madeRoom: 100, hours: 800, held: 4 };
type Span = readonly [first: number, last: number];

export class OutboxModel {
  readonly given = new Map<number, RecordedEvent>();
  readonly pending = new Map<number, RecordedEvent>();
  readonly fates: Record<Fate, number> = { stored: 0, sent: 0, expired: 0, refused: 0, dropped: 0, unreadable: 0 };
  readonly hours = new Map<number, HourSummary>();
  readonly boots = new Map<string, number>();
  readonly givenHours = new Map<number, HourSummary>();
  hearing: HearingRecord | undefined;
  gaps: Gap[] = [];
  newest = 0;
  newestHour = 0;
  /** Numbers that became part of a gap in this step, and why. */
  untold: Gap[] = [];
  /** Below this number an event of unknown age is too old: an event after it was. The courier forgets it when it opens the file again. */
  floor = 0;
  #recent: { sequence: number; bootId: string; onset: number }[] = [];

  opened(half: 'listener' | 'courier'): void {
    if (half === 'courier') this.floor = 0;
  }

  append(event: RecordedEvent, isFull: boolean): 'stored' | 'refused' {
    const { bootId, onsetMonotonicMs: onset, label } = event;
    const last = [...this.pending.keys()].at(-1) ?? 0;
    const isSame = ([sequence, other]: [number, RecordedEvent]) =>
      sequence > last - most.recent && other.bootId === bootId && other.onsetMonotonicMs === onset && other.label === label;
    if ([...this.pending].some(isSame)) return 'stored';
    if (this.#recent.filter((one) => one.bootId === bootId && one.onset > onset - 60_000).length >= most.eventsPerMinute) {
      this.fates.refused++;
      return 'refused';
    }
    if (isFull) this.#expire([...this.pending.keys()].slice(0, most.madeRoom), 'too_many');
    this.give(++this.newest, event);
    this.fates.stored++;
    return 'stored';
  }

  give(sequence: number, event: RecordedEvent): void {
    this.given.set(sequence, event);
    this.pending.set(sequence, event);
    this.#recent = [...this.#recent, { sequence, bootId: event.bootId, onset: event.onsetMonotonicMs }].slice(-most.recent);
  }

  takeRecent(recent: readonly { sequence: number; bootId: string; onset: number }[]): void {
    this.#recent = [...recent];
  }

  acknowledge(sequences: readonly number[]): void {
    for (const sequence of sequences) if (this.pending.delete(sequence)) this.fates.sent++;
  }

  expire(now: Now, maxAgeMs: number): number {
    const events = [...this.pending];
    const known = events.map(([, event]) => this.#ageOf(event, now));
    const oldest = events.findLast((_, i) => (known[i] ?? 0) > maxAgeMs)?.[0] ?? 0;
    this.floor = Math.max(this.floor, oldest);
    const old = events.filter(([sequence], i) => (known[i] === undefined ? sequence < this.floor || now.monotonicMs > maxAgeMs : known[i] > maxAgeMs));
    this.#expire(
      old.map(([sequence]) => sequence),
      'too_old',
    );
    return old.length;
  }

  drop(count: number): void {
    this.untold.push({ first: this.newest + 1, last: this.newest + count, reason: 'dropped' });
    this.newest += count;
    this.fates.dropped += count;
  }

  gapReported(gap: Gap): void {
    this.gaps = this.gaps.filter(({ first, last }) => first !== gap.first || last !== gap.last);
  }

  writeSummary(hour: HourSummary, lost = 0): void {
    this.newestHour += lost + 1;
    this.giveHour(this.newestHour, hour);
    for (const sequence of [...this.hours.keys()].slice(0, -most.hours)) this.hours.delete(sequence);
  }

  giveHour(sequence: number, hour: HourSummary): void {
    this.hours.set(sequence, hour);
    this.givenHours.set(sequence, hour);
  }

  summaryReported(sequence: number): void {
    this.hours.delete(sequence);
  }

  writeHearing(record: HearingRecord): void {
    this.hearing = record;
  }

  noteBoot(bootId: string, beganWallMs: number): void {
    this.boots.set(bootId, beganWallMs);
  }

  pendingEvents(): PendingEvent[] {
    return [...this.pending].map(([sequence, event]) => ({ ...event, ...this.#began(event.bootId), sequence }));
  }

  pendingHours(): PendingSummary[] {
    return [...this.hours].map(([sequence, hour]) => ({ ...hour, ...this.#began(hour.bootId), sequence }));
  }

  #began(bootId: string): { bootBeganMs?: number } {
    const bootBeganMs = this.boots.get(bootId);
    return bootBeganMs === undefined ? {} : { bootBeganMs };
  }

  #expire(sequences: readonly number[], reason: Gap['reason']): void {
    for (const sequence of sequences) {
      this.pending.delete(sequence);
      this.untold.push({ first: sequence, last: sequence, reason });
    }
    this.fates.expired += sequences.length;
  }

  #ageOf(event: RecordedEvent, now: Now): number | undefined {
    if (event.bootId === now.bootId) return now.monotonicMs - event.onsetMonotonicMs;
    if (now.wallMs === undefined) return undefined;
    const beganMs = this.boots.get(event.bootId);
    if (beganMs !== undefined) return Math.max(now.monotonicMs, now.wallMs - beganMs - event.onsetMonotonicMs);
    return event.clockSynchronised ? Math.max(now.monotonicMs, now.wallMs - event.onsetWallMs) : undefined;
  }
}

export const dayMs = 86_400_000;
export const bootOf = (boot: number) => `0b6f1c2e-7d3a-4f5b-9c8d-${String(boot).padStart(12, '0')}`;
export const bootBeganMs = (boot: number) => Date.UTC(2026, 10, 20) + boot * dayMs;

/** An event of a boot, by a clock that is right, a month behind or an hour ahead. */
export function eventOf(boot: number, onsetMonotonicMs: number, clock: number, label: number): RecordedEvent {
  return recordedEvent(0, {
    bootId: bootOf(boot),
    onsetMonotonicMs,
    onsetWallMs: bootBeganMs(boot) + onsetMonotonicMs + (clock < 0.2 ? -30 * dayMs : clock > 0.9 ? 3_600_000 : 0),
    clockSynchronised: clock > 0.4,
    label: (['glass_break', 'shout', 'bang'] as const)[Math.floor(label * 3)] ?? 'bang',
  });
}

/** The numbers that gaps cover, as ascending ranges that do not touch. */
export function covered(gaps: readonly Pick<Gap, 'first' | 'last'>[]): Span[] {
  const spans: [number, number][] = [];
  for (const { first, last } of [...gaps].sort((one, other) => one.first - other.first)) {
    const before = spans.at(-1);
    if (before && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else spans.push([first, last]);
  }
  return spans;
}

export const isIn = (gaps: readonly Pick<Gap, 'first' | 'last'>[], sequence: number) => gaps.some(({ first, last }) => first <= sequence && sequence <= last);
