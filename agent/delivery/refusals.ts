import { backoffMs } from '../lib/backoff.ts';
import { NoSubscriberError, UnsentError } from '../lib/errors.ts';
import type { EventRefusal } from '../lib/faults.ts';
import type { PendingEvent } from '../outbox/outbox.ts';
import type { Queue } from './queue.ts';

const mostInARow = 16;
const waitMs = 60_000;
const longestWaitMs = 600_000; // an access control that was mended is noticed within so long

/**
 * Decides when to try again what the broker refuses, or acknowledges without a subscriber. However many events that is,
 * and for however long, it costs a few messages an hour and no memory.
 *
 *   refused ─▶ passed over, the others go on ─▶ (a wait) one is tried ─▶ taken: all are sent again
 *                                                                    └▶ refused: a longer wait, then another
 *   16 in a row ─▶ only trials are sent, in turn the next after them and the newest ─▶ one is taken: the others go on
 *
 * Where a subscriber was missing, any event that is taken shows that there is one now: the next is tried at once. The
 * second state outlasts the connection; the next connection begins with a try.
 */
export class Refusals {
  readonly #random: () => number;
  #any = false;
  #kind: EventRefusal = 'refused'; // the last
  #stopped = false;
  #inARow = 0;
  #tries = 0;
  #nextMs = Number.POSITIVE_INFINITY;
  #trial: number | undefined; // under way
  #tried = 0; // the number of the last one that was tried in order

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Whether any is refused, as far as is known. */
  get any(): boolean {
    return this.#any || this.#stopped;
  }

  get kind(): EventRefusal | 'none' {
    return this.any ? this.#kind : 'none';
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** A connection begins, or another outbox. */
  begin(nowMs: number): void {
    this.#any = false;
    this.#inARow = 0;
    if (!this.#stopped) this.#tries = this.#tried = 0;
    this.#nextMs = this.#stopped ? nowMs : Number.POSITIVE_INFINITY;
    this.#trial = undefined;
  }

  /**
   * Records a refusal. An UnsentError is the sensor's own: nothing was sent, so it does not count towards 16 in a row.
   */
  refused(sequence: number, nowMs: number, error: Error): void {
    this.#any = true;
    this.#kind = kindOf(error);
    const isTrial = sequence === this.#trial;
    if (isTrial) {
      this.#trial = undefined;
      this.#tries++;
    } else if (!(error instanceof UnsentError) && ++this.#inARow >= mostInARow) {
      // the result of a trial says nothing about the other events
      this.#stopped = true;
      this.#tried = sequence;
    }
    if (isTrial || this.#nextMs === Number.POSITIVE_INFINITY) this.#wait(nowMs);
  }

  /**
   * Records an acceptance; true if it was the trial. `again`: the event had been refused before, so all refused events
   * may be sent again.
   */
  taken(sequence: number, nowMs: number, again: boolean): boolean {
    this.#inARow = 0;
    this.#stopped = false;
    const isTrial = sequence === this.#trial;
    if (isTrial) {
      this.#trial = undefined;
      this.#tries = 0;
      if (again) this.#none();
      else this.#wait(nowMs);
    }
    // there is a subscriber, for the refused ones too
    if (this.#any && this.#kind === 'no_subscriber') this.#nextMs = nowMs;
    return isTrial;
  }

  isDue(nowMs: number, flying: number): boolean {
    return nowMs >= this.#nextMs && this.#trial === undefined && !(this.#stopped && flying > 0);
  }

  /** The event to try now. Undefined when none is left; then nothing counts as refused any more. */
  next(queue: Queue): PendingEvent | undefined {
    const newest = this.#stopped && this.#tries % 2 === 1 ? queue.newest() : undefined;
    const event = newest ?? this.#nextInOrder(queue);
    this.#trial = event?.sequence;
    if (!newest) this.#tried = event?.sequence ?? 0;
    if (!event) {
      this.#stopped = false;
      this.#none();
    }
    return event;
  }

  #nextInOrder(queue: Queue): PendingEvent | undefined {
    return this.#stopped ? (queue.after(this.#tried) ?? queue.after(0)) : (queue.passedAfter(this.#tried) ?? queue.passedAfter(0));
  }

  #none(): void {
    this.#any = false;
    this.#nextMs = Number.POSITIVE_INFINITY;
  }

  #wait(nowMs: number): void {
    this.#nextMs = nowMs + backoffMs(this.#tries, this.#random, waitMs, longestWaitMs);
  }
}

export function kindOf(error: Error): EventRefusal {
  return error instanceof NoSubscriberError ? 'no_subscriber' : 'refused';
}
