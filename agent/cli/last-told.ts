import type { Config } from '../config/schema.ts';
import { lateAfterMs } from '../delivery/listener-watch.ts';
import type { HearingRecord } from '../events/health.ts';
import type { Clock } from '../lib/clock.ts';
import type { OutboxState } from '../outbox/view-outbox.ts';

/** What the listener last reported in this boot, as `status` and `doctor` judge it. */
export interface Told extends HearingRecord {
  readonly agoMs: number;
  /** It has not reported since for longer than it should, by the courier's rule (docs/health.md). */
  readonly silent: boolean;
  readonly elapsedSeconds: number;
  /** In percent of the time since the listener first ran in this boot. */
  readonly share: number;
  /** More of that time than a start takes was not heard. */
  readonly missed: boolean;
}

const startSeconds = 10; // until a microphone is open, of which the share says little in the first minutes

/** Undefined before the listener first ran in this boot. `gone`: its lock is known to be free. */
export function lastTold({ hearing }: OutboxState, { health }: Config, clock: Clock, gone = false): Told | undefined {
  if (!hearing || hearing.bootId !== clock.bootId) return undefined;
  const agoMs = clock.monotonicMs() - hearing.writtenMonotonicMs;
  const silent = hearing.state !== 'stopped' && (gone || agoMs > lateAfterMs(health.intervalSeconds * 1000, hearing));
  const elapsedSeconds = Math.max(0.001, (hearing.writtenMonotonicMs - hearing.sinceMonotonicMs) / 1000);
  const missed = elapsedSeconds - hearing.listenedSeconds > 0.01 * elapsedSeconds + startSeconds;
  const share = Math.min(100, (100 * hearing.listenedSeconds) / elapsedSeconds);
  return { ...hearing, suspicion: silent ? 'none' : hearing.suspicion, agoMs, silent, elapsedSeconds, share, missed };
}
