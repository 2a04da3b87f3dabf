import type { Health, HearingRecord } from '../events/health.ts';
import type { Clock } from '../lib/clock.ts';
import { tenth } from '../lib/rounding.ts';
import type { Outbox } from '../outbox/outbox.ts';

const goneMs = 5000; // systemd restarts a listener within less; one that fails again by then counts as gone all the while
const startMs = 30_000; // a listener that has not reported in this boot may take so long to load its model

/**
 * A listener that has not reported for so long is silent: by its own interval, since it may have been started with
 * another than is configured now.
 */
export function lateAfterMs(configuredMs: number, row?: Pick<HearingRecord, 'intervalSeconds'>): number {
  return 1.25 * (row?.intervalSeconds === undefined ? configuredMs : row.intervalSeconds * 1000) + 5000;
}

export interface ListenerWatchParts {
  readonly outbox: Pick<Outbox, 'readHearing'>;
  readonly clock: Clock;
  /** Whether a listener runs now, by its lock; undefined where that cannot be known. */
  readonly listenerRuns?: (() => boolean | undefined) | undefined;
}

/** The row last looked at. */
interface Found {
  readonly written: number;
  /** When it was first seen: a row from the future grows old like any other. */
  readonly sinceMs: number;
  /** When it was first seen since then that no listener runs. */
  endedMs?: number;
}

/**
 * Judges whether the listener hears: by the row that it writes into the outbox, by the age of that, and by its lock,
 * which the kernel releases when it dies. Where the outbox cannot be read, the row last read grows old.
 */
export class ListenerWatch {
  readonly #parts: ListenerWatchParts;
  readonly #intervalMs: number;
  readonly #beganMs: number;
  #row: HearingRecord | undefined; // of any boot
  #found: Found = { written: -1, sinceMs: 0 };
  #goneWith = -1; // the row that a listener left behind that is gone; it is believed again once it has written another
  #runsSinceMs: number | undefined;

  constructor(intervalMs: number, parts: ListenerWatchParts) {
    this.#parts = parts;
    this.#intervalMs = intervalMs;
    this.#beganMs = parts.clock.monotonicMs();
  }

  /** Reads the row and the lock. False while there is nothing to tell: the listener may still be starting. */
  look(): boolean {
    const now = this.#parts.clock.monotonicMs();
    let isReadable = true;
    try {
      this.#row = this.#parts.outbox.readHearing() ?? this.#row; // an outbox made anew, after damage, has none yet
    } catch {
      isReadable = false;
    }
    const row = this.#rowOfThisBoot;
    if (!row && now - this.#beganMs < startMs && isReadable) return false;
    const written = row?.writtenMonotonicMs ?? 0;
    if (written !== this.#found.written) this.#found = { written, sinceMs: now };
    const runs = this.#parts.listenerRuns?.();
    if (runs === false) this.#found.endedMs ??= now;
    this.#runsSinceMs = runs ? (this.#runsSinceMs ?? now) : undefined;
    // a listener that starts holds its lock before it can report: a start alone does not show that it hears
    const isGone = runs === false && this.#found.endedMs !== undefined && now - this.#found.endedMs >= goneMs;
    if (isGone && row?.state !== 'stopped') this.#goneWith = written;
    // a running listener overwrites `stopped`; where the disk refuses that, the row is as good as late
    // (counted from that row at the earliest: one that stops holds its lock until its process has ended)
    const runsLong = this.#runsSinceMs !== undefined && now - Math.max(this.#runsSinceMs, this.#found.sinceMs) >= lateAfterMs(this.#intervalMs);
    if (runsLong && row?.state === 'stopped') this.#goneWith = written;
    return true;
  }

  /** Another value whenever there is another row, or its listener has become silent. */
  get version(): string {
    return `${this.#found.written} ${this.#isSilent}`;
  }

  get model(): HearingRecord['model'] | undefined {
    return this.#rowOfThisBoot?.model;
  }

  /**
   * What is published. While the listener is silent its time goes on, unheard; before its first row there is but the
   * courier's.
   */
  hearing(): Health['hearing'] {
    const now = this.#parts.clock.monotonicMs();
    const row = this.#rowOfThisBoot;
    const silent = !row || this.#isSilent;
    const untilMs = silent || row.state === 'stopped' ? now : Math.min(now, row.writtenMonotonicMs);
    const elapsed = Math.max(0, untilMs - Math.min(this.#beganMs, row?.sinceMonotonicMs ?? this.#beganMs)) / 1000;
    const listened = Math.min(elapsed, row?.listenedSeconds ?? 0);
    return {
      state: silent ? 'silent' : row.state,
      fault: row?.fault ?? 'none',
      suspicion: silent ? 'none' : row.suspicion,
      elapsedSeconds: tenth(elapsed),
      listenedSeconds: tenth(listened),
      notHeardSeconds: tenth(elapsed - listened),
      droppedSamples: row?.droppedSamples ?? 0,
      opens: row?.opens ?? 0,
      starts: row?.starts ?? 0,
      ...(silent || row.noiseFloorDb === undefined ? {} : { noiseFloorDb: row.noiseFloorDb }),
      reportedSecondsAgo: tenth(this.#ageMs / 1000),
    };
  }

  get #ageMs(): number {
    const [now, row] = [this.#parts.clock.monotonicMs(), this.#rowOfThisBoot];
    return row ? Math.max(now - row.writtenMonotonicMs, now - this.#found.sinceMs) : now;
  }

  get #isSilent(): boolean {
    const row = this.#rowOfThisBoot;
    if (!row || this.#goneWith === row.writtenMonotonicMs) return true;
    return row.state !== 'stopped' && this.#ageMs > lateAfterMs(this.#intervalMs, row);
  }

  get #rowOfThisBoot(): HearingRecord | undefined {
    return this.#row?.bootId === this.#parts.clock.bootId ? this.#row : undefined;
  }
}
