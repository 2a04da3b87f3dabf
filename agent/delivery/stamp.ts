import { type Clock, type ClockQuality, stepMs } from '../lib/clock.ts';
import type { PendingEvent } from '../outbox/outbox.ts';

/** A moment as the outbox keeps it. */
export interface Moment {
  readonly wallMs: number;
  readonly monotonicMs: number;
  readonly bootId: string;
  readonly synchronised: boolean;
  /** When its boot began, where that became known while it lasted. */
  readonly bootBeganMs?: number | undefined;
}

export interface Stamp {
  readonly ms: number;
  readonly quality: ClockQuality;
  /** How long ago that was, or no less than that where it is not known. */
  readonly ageMs: number;
  /** The monotonic clock knows it within a boot; across two, both times have to be right. */
  readonly ageKnown: boolean;
}

// A clock that went by itself for weeks may be put right by as much; what was stamped before is nearer the truth as it is. No
// crystal and no slewing daemon is off by more than 500 ppm: where it is known how long ago the stamp was, what is beyond was wrong then.
const driftMs = 300_000;
const driftShare = 5e-4;

/**
 * When a moment was, as well as it can be known now. The monotonic clock knows how long after the start of its boot it was;
 * where the start is known on a clock that was right, in this boot now or in an earlier one by what was noted then, a stamp
 * from before, or one that is far from it, is put right. Else it stays what the clock said, and is marked.
 */
export function stampOf(moment: Moment, clock: Clock): Stamp {
  const now = clock.monotonicMs();
  const ofThisBoot = moment.bootId === clock.bootId;
  const beganMs = ofThisBoot && clock.synchronised() ? clock.wallMs() - now : moment.bootBeganMs;
  const reckoned = beganMs === undefined ? undefined : beganMs + moment.monotonicMs;
  const drifted = Math.min(driftMs, stepMs + longestMs(moment, reckoned, clock) * driftShare);
  const stands = moment.synchronised && (reckoned === undefined || Math.abs(reckoned - moment.wallMs) <= drifted);
  const ms = stands || reckoned === undefined ? moment.wallMs : reckoned;
  const quality = stands ? 'synchronised' : reckoned === undefined ? 'unsynchronised' : 'corrected';
  if (ofThisBoot) return { ms, quality, ageMs: now - moment.monotonicMs, ageKnown: true };
  const ageKnown = quality !== 'unsynchronised' && clock.synchronised();
  // an earlier boot is over: nothing of it is younger than this one
  return { ms, quality, ageMs: ageKnown ? Math.max(now, clock.wallMs() - ms) : now, ageKnown };
}

/** For how long at most its clock can have gone by itself since: until now, and in an earlier boot until this one began, where that is known. */
function longestMs(moment: Moment, reckoned: number | undefined, clock: Clock): number {
  const now = clock.monotonicMs();
  if (moment.bootId === clock.bootId) return now - moment.monotonicMs;
  return reckoned !== undefined && clock.synchronised() ? Math.max(0, clock.wallMs() - now - reckoned) : Number.POSITIVE_INFINITY;
}

export function stampOfEvent(event: PendingEvent, clock: Clock): Stamp {
  const { onsetWallMs: wallMs, onsetMonotonicMs: monotonicMs, clockSynchronised: synchronised, bootId, bootBeganMs } = event;
  return stampOf({ wallMs, monotonicMs, bootId, synchronised, bootBeganMs }, clock);
}
