import { Bucket } from '../lib/bucket.ts';
import type { Clock } from '../lib/clock.ts';
import { messageOf, UnsentError } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';

const slack = 1.1; // the summaries of hours, and a clock of the listener that is not quite that of the courier
const atFirst = 1000; // a month of summaries, and a minute of events
const largestReserve = 1000;
const keepMs = 3_600_000;
const retryMs = 10_000;

/** The allowance as the courier keeps it over its restarts and those of the board. */
export interface KeptAllowance {
  readonly bootId: string;
  readonly monotonicMs: number;
  readonly messages: number;
}

interface AllowanceParts {
  readonly clock: Pick<Clock, 'bootId' | 'monotonicMs'>;
  readonly logger: Logger;
  /** What was kept last; undefined where nothing was. */
  readonly kept: KeptAllowance | undefined;
  /** Keeps it, where the listener cannot write. Throws as the file system does. */
  readonly keep: (allowance: KeptAllowance) => void;
}

/**
 * How many messages with words of the listener may still be sent: an event, a gap or a summary is one. The bucket fills
 * at the highest rate at which the listener may store events, and holds what may wait in the outbox: an honest listener
 * never stores more, whatever waited for however long. One that was replaced gets no more out of the sensor either.
 *
 * INVARIANT: what is kept is never more than what is left, so that a courier that is killed gains nothing. What is
 * taken comes out of a reserve that is missing from what was kept.
 */
export class Allowance {
  readonly #parts: AllowanceParts;
  readonly #perMs: number;
  readonly #bucket: Bucket;
  #reserve = 0;
  #kept: number;
  #nextKeepMs: number;
  #isNew: boolean;
  /** Since when what is left cannot be kept, when that was last tried, and how many were taken since. */
  #unkept: { readonly sinceMs: number; triedMs: number; taken: number } | undefined;

  constructor(maxEventsPerMinute: number, maxAgeMs: number, parts: AllowanceParts) {
    const { clock, kept } = parts;
    this.#parts = parts;
    this.#perMs = (maxEventsPerMinute * slack) / 60_000;
    this.#kept = kept?.messages ?? atFirst;
    const options = { perMs: this.#perMs, most: Math.max(atFirst, this.#perMs * maxAgeMs), held: this.#kept };
    const atMs = kept?.bootId === clock.bootId ? kept.monotonicMs : 0; // after another boot: the beginning of this one
    this.#bucket = new Bucket({ ...options, atMs }, clock.monotonicMs);
    this.#nextKeepMs = clock.monotonicMs() + keepMs;
    this.#isNew = kept === undefined;
  }

  /** How many may be taken now, one after another. It may be that fewer than are left have been set apart for that. */
  get left(): number {
    return this.#leftFor(1);
  }

  /** Whether so many may be taken at once. */
  allows(count: number): boolean {
    return this.#leftFor(count) >= count;
  }

  /** Takes one message, or so many. Throws an UnsentError where fewer are left, which is to be asked before. */
  take(count = 1): void {
    if (!this.allows(count) || !this.#bucket.take(count))
      throw new UnsentError(
        'Expected no more messages than the listener may store, got more: this one waits',
        'sudo tocsin privacy verify shows whether the listener was replaced',
      );
    if (this.#unkept === undefined) this.#reserve -= count;
    else this.#unkept.taken += count;
  }

  #leftFor(count: number): number {
    const { held } = this.#bucket;
    const { clock } = this.#parts;
    const mayKeep = this.#unkept === undefined || clock.monotonicMs() >= this.#unkept.triedMs + retryMs;
    if (this.#reserve < count && held >= count && mayKeep) this.#keepAllBut(Math.max(count, Math.min(largestReserve, held / 2)));
    if (this.#unkept === undefined) return Math.floor(Math.min(held, this.#reserve));
    // a restart would forget what is taken now: so it is no more than is earned now
    const earned = (clock.monotonicMs() - this.#unkept.sinceMs) * this.#perMs;
    return Math.max(0, Math.floor(Math.min(held, earned - this.#unkept.taken)));
  }

  /**
   * Call it often. Once an hour it keeps what is left, if more waits than was kept: the board may lose power before it
   * is sent. Where nothing had been kept, as on the first start, what waits then may be sent too.
   */
  tend(pendingCount: () => number): void {
    const now = this.#parts.clock.monotonicMs();
    if (!this.#isNew && now < this.#nextKeepMs) return;
    const pending = pendingCount();
    this.#nextKeepMs = now + keepMs;
    if (this.#isNew)
      this.#bucket.add(2 * pending); // twice: some are sent again
    else if (pending <= this.#kept) return;
    this.#isNew = false;
    this.#keepAllBut(0);
  }

  /** Keeps all that is left, at an orderly end. */
  close(): void {
    if (!this.#isNew) this.#keepAllBut(0);
  }

  #keepAllBut(reserve: number): void {
    const { clock, keep, logger } = this.#parts;
    const messages = Math.floor(this.#bucket.held - reserve);
    try {
      keep({ bootId: clock.bootId, monotonicMs: clock.monotonicMs(), messages });
      this.#kept = messages;
      this.#reserve = reserve;
      this.#unkept = undefined;
    } catch (error) {
      if (this.#unkept === undefined)
        logger.warn({ reason: messageOf(error) }, 'the count of messages that may be sent cannot be kept; a backlog is sent slowly');
      const triedMs = clock.monotonicMs();
      this.#unkept = { sinceMs: triedMs, taken: 0, ...this.#unkept, triedMs };
    }
  }
}
