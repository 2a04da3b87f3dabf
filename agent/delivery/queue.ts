import type { Clock } from '../lib/clock.ts';
import type { Outbox, PendingEvent } from '../outbox/outbox.ts';

const strictMs = 1000; // a backlog that takes longer than this to drain is overtaken by what is heard meanwhile
const freshPollMs = 100;
const readAhead = 256;
const mostFresh = 3600; // an hour of events at the most there may be

/**
 * The order in which a connection sends what is pending. It has two places: what had waited long when the connection began, up to `horizon`,
 * and what came since. Both go in order of sequence; the second overtakes a backlog that takes long.
 */
export class Queue {
  readonly #outbox: Outbox;
  readonly #clock: Clock;
  readonly #isFlying: (event: PendingEvent) => boolean;
  readonly #beganMs: number;
  #horizon: number;
  #backlog = 0;
  #fresh: number;
  #ahead: PendingEvent[] = []; // of the backlog, read and not yet handed out
  #freshMs = 0; // when to look for fresh ones again, while there is a backlog

  constructor(outbox: Outbox, clock: Clock, isFlying: (event: PendingEvent) => boolean, historicalAfterSeconds: number) {
    this.#outbox = outbox;
    this.#clock = clock;
    this.#isFlying = isFlying;
    this.#beganMs = clock.monotonicMs();
    this.#horizon = this.#lastHistorical(historicalAfterSeconds);
    this.#fresh = this.#horizon;
  }

  /** The next ones to send, `room` of them at most: none of them is under way. */
  take(room: number): PendingEvent[] {
    const now = this.#clock.monotonicMs();
    const overtaking = now - this.#beganMs > strictMs && now >= this.#freshMs;
    const taken: PendingEvent[] = [];
    if (overtaking && room > 0) {
      taken.push(...this.#outbox.pending(this.#fresh, room));
      if (taken.length < room) this.#freshMs = now + freshPollMs;
    }
    if (this.#ahead.length === 0 && this.#backlog < this.#horizon) {
      const read = this.#outbox.pending(this.#backlog, readAhead).filter((e) => e.sequence <= this.#horizon);
      this.#backlog = read.at(-1)?.sequence ?? this.#horizon;
      this.#ahead = read.filter((e) => !this.#isFlying(e)); // what is under way and refused is tried again anyway
    }
    taken.push(...this.#ahead.splice(0, room - taken.length));
    if (!overtaking && this.#backlog >= this.#horizon) taken.push(...this.#outbox.pending(this.#fresh, room - taken.length));
    for (const { sequence } of taken) this.#fresh = Math.max(this.#fresh, sequence);
    return taken;
  }

  /** Whether an event of this number was handed out. */
  passed(sequence: number): boolean {
    return sequence <= this.#edge() || (sequence > this.#horizon && sequence <= this.#fresh);
  }

  /** The first after a number that was handed out, is pending still and not under way. */
  passedAfter(sequence: number): PendingEvent | undefined {
    for (const from of [sequence, Math.max(sequence, this.#horizon)])
      for (let event = this.after(from); event && this.passed(event.sequence); event = this.after(event.sequence)) if (!this.#isFlying(event)) return event;
    return undefined;
  }

  /** The first after a number, handed out or not. */
  after(sequence: number): PendingEvent | undefined {
    return this.#outbox.pending(sequence, 1)[0];
  }

  newest(): PendingEvent | undefined {
    return this.#outbox.pending(Math.max(0, this.#outbox.newest() - mostFresh), mostFresh).at(-1);
  }

  /** Reads again what was read and not handed out: some of it may have gone. */
  reread(): void {
    this.#backlog = this.#edge();
    this.#ahead = [];
  }

  /** Hands out again, oldest first, all that is pending still. */
  rewind(): void {
    this.#backlog = 0;
    this.#ahead = [];
    this.#horizon = this.#fresh;
  }

  /** Of the backlog, the last number that was handed out. */
  #edge(): number {
    return this.#ahead[0] ? this.#ahead[0].sequence - 1 : this.#backlog;
  }

  /** The newest event that is late already: those behind it are fresh, and must not wait for it. */
  #lastHistorical(historicalAfterSeconds: number): number {
    const newest = this.#outbox.newest();
    const recent = this.#outbox.pending(Math.max(0, newest - mostFresh), mostFresh);
    const isFresh = (event: PendingEvent) =>
      event.bootId === this.#clock.bootId && this.#clock.monotonicMs() - event.onsetMonotonicMs <= historicalAfterSeconds * 1000;
    const last = recent.findLast((event) => !isFresh(event));
    return last?.sequence ?? Math.max(0, newest - mostFresh);
  }
}
