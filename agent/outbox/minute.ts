import type { RecordedEvent } from '../events/event.ts';
import type { Prepare } from './sqlite.ts';

const minuteMs = 60_000;
const remembered = 60; // no outbox takes more in a minute
const keptShare = 1 / 6;

/**
 * Bounds the events of a minute. Each label has a sixth of them to itself: hundreds of firecrackers would else leave no
 * room for the window that breaks among them.
 *
 * Which labels the last events had is known in memory only, because the outbox forgets what was delivered. After a
 * start the events before it count as those for which room is kept.
 */
export class Minute {
  readonly #prepare: Prepare;
  readonly #most: number;
  readonly #kept: number;
  #last: RecordedEvent[] = [];

  constructor(prepare: Prepare, most: number) {
    this.#prepare = prepare;
    this.#most = most;
    this.#kept = Math.floor(most * keptShare);
  }

  /** Whether an event would be one too many. */
  isFullFor(event: RecordedEvent): boolean {
    const sinceMs = Math.round(event.onsetMonotonicMs) - minuteMs;
    const stored = this.#prepare('SELECT count(*) FROM recent JOIN boot ON boot.id = recent.boot WHERE boot_id = ? AND onset_monotonic_ms > ?')
      .pluck()
      .get(event.bootId, sinceMs) as number;
    const last = this.#last.filter(({ bootId, onsetMonotonicMs }) => bootId === event.bootId && Math.round(onsetMonotonicMs) > sinceMs);
    const unknown = stored - last.length;
    const others = Object.keys(event.scores).filter((label) => label !== event.label);
    const unused = others.map((other) => Math.max(0, this.#kept - last.filter(({ label }) => label === other).length));
    const kept = unused.reduce((sum, events) => sum + events, 0);
    return stored + Math.max(0, kept - unknown) >= this.#most;
  }

  stored(event: RecordedEvent): void {
    this.#last = [...this.#last, event].slice(-remembered);
  }
}
