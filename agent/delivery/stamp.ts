import type { Clock, ClockQuality } from '../lib/clock.ts';

/** A moment as the outbox keeps it. */
export interface Moment {
  readonly wallMs: number;
  readonly monotonicMs: number;
  readonly bootId: string;
  readonly synchronised: boolean;
}

/**
 * When a moment was, as well as it can be known now. One from before the clock was set, in this boot, is put right once the
 * clock is: its age on the monotonic clock is subtracted from the time now. From an earlier boot that cannot be known.
 */
export function stampOf(moment: Moment, clock: Clock): { ms: number; quality: ClockQuality; ageMs: number } {
  const ofThisBoot = moment.bootId === clock.bootId;
  const ageMs = ofThisBoot ? clock.monotonicMs() - moment.monotonicMs : clock.wallMs() - moment.wallMs;
  if (moment.synchronised) return { ms: moment.wallMs, quality: 'synchronised', ageMs };
  if (ofThisBoot && clock.synchronised()) return { ms: clock.wallMs() - ageMs, quality: 'corrected', ageMs };
  return { ms: moment.wallMs, quality: 'unsynchronised', ageMs };
}
