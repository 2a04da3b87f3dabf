import { type Clock, type ClockQuality, stepMs } from '../lib/clock.ts';
import type { PendingEvent } from '../outbox/outbox.ts';

/** A point in time as the outbox stores it. */
interface Moment {
  readonly wallMs: number;
  readonly monotonicMs: number;
  readonly bootId: string;
  readonly synchronised: boolean;
  /** When its boot began, if that became known during that boot. */
  readonly bootBeganMs?: number | undefined;
}

export interface Stamp {
  readonly ms: number;
  readonly quality: ClockQuality;
  /** Its age; a lower bound where `ageKnown` is false. */
  readonly ageMs: number;
  /** Known within a boot by the monotonic clock; across boots only if both wall-clock times are right. */
  readonly ageKnown: boolean;
}

// How far a stamp may be from the reckoned time and still be kept: a clock that ran free for weeks may be corrected by
// as much, and the stamp is then nearer the truth. No crystal and no slewing daemon is off by more than 500 ppm, so
// that a larger difference over a known time means that the stamp was wrong.
const driftMs = 300_000;
const driftShare = 5e-4;

/**
 * The best known wall-clock time of a moment. Its monotonic time gives the offset from the start of its boot. If that
 * start is known from a trusted clock (now for this boot, by a note for an earlier one), a stamp that was made before
 * the clock was set, or that is far off, is corrected. Otherwise the stamp stays as the clock had it, and is marked.
 */
export function stampOf(moment: Moment, clock: Clock): Stamp {
  const { wallMs, monotonicMs: now, synchronised } = clock.now();
  const presentBeganMs = synchronised ? wallMs - now : undefined;
  const ofThisBoot = moment.bootId === clock.bootId;
  const beganMs = (ofThisBoot ? presentBeganMs : undefined) ?? moment.bootBeganMs;
  const reckoned = beganMs === undefined ? undefined : beganMs + moment.monotonicMs;
  // for how long at most the clock can have run free since the stamp: until now, or for an earlier boot until this one
  // began, where that is known
  const knownMs = reckoned === undefined || presentBeganMs === undefined ? Number.POSITIVE_INFINITY : Math.max(0, presentBeganMs - reckoned);
  const freeMs = ofThisBoot ? now - moment.monotonicMs : knownMs;
  const drifted = Math.min(driftMs, stepMs + freeMs * driftShare);
  const stands = moment.synchronised && (reckoned === undefined || Math.abs(reckoned - moment.wallMs) <= drifted);
  const ms = stands || reckoned === undefined ? moment.wallMs : reckoned;
  const quality = stands ? 'synchronised' : reckoned === undefined ? 'unsynchronised' : 'corrected';
  if (ofThisBoot) return { ms, quality, ageMs: now - moment.monotonicMs, ageKnown: true };
  const ageKnown = quality !== 'unsynchronised' && synchronised;
  // an earlier boot is over: nothing in it is younger than the start of this one
  return { ms, quality, ageMs: ageKnown ? Math.max(now, wallMs - ms) : now, ageKnown };
}

/**
 * The time as it is published. Empty where no date is so far off: damage while the outbox is open can make such a
 * number, and the closed schema then refuses that message alone.
 */
export function timeOf(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? '' : date.toISOString();
}

export function stampOfEvent(event: PendingEvent, clock: Clock): Stamp {
  const { onsetWallMs: wallMs, onsetMonotonicMs: monotonicMs, clockSynchronised: synchronised, bootId, bootBeganMs } = event;
  return stampOf({ wallMs, monotonicMs, bootId, synchronised, bootBeganMs }, clock);
}
