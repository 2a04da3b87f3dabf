import type { Clock } from '../lib/clock.ts';
import type { Outbox, PendingEvent } from '../outbox/outbox.ts';

const strictMs = 1000; // a backlog that takes longer than this to drain is overtaken by what is heard meanwhile
const freshPollMs = 100;
const readAhead = 256;
const mostFresh = 3600; // an hour of events at the most there may be

/**
 * The order in which one connection sends what is pending. There are two queues: the backlog, which had waited long
 * when the connection began (sequence numbers up to `horizon`), and what came since. Each is sent in order of sequence.
 * Fresh events overtake a backlog that takes longer than a second.
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

  /** The next events to send, at most `room`. None of them is in flight. */
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

  /** Whether an event with this number has been returned by `take`. */
  passed(sequence: number): boolean {
    return sequence <= this.#edge() || (sequence > this.#horizon && sequence <= this.#fresh);
  }

  /** The first event after a number that `take` has returned, that is still pending and not in flight. */
  passedAfter(sequence: number): PendingEvent | undefined {
    for (const from of [sequence, Math.max(sequence, this.#horizon)])
      for (let event = this.after(from); event && this.passed(event.sequence); event = this.after(event.sequence)) if (!this.#isFlying(event)) return event;
    return undefined;
  }

  /** The first pending event after a number, returned before or not. */
  after(sequence: number): PendingEvent | undefined {
    return this.#outbox.pending(sequence, 1)[0];
  }

  newest(): PendingEvent | undefined {
    return this.#outbox.pending(Math.max(0, this.#outbox.newest() - mostFresh), mostFresh).at(-1);
  }

  /** Discards what was read ahead, since some of it may have left the outbox. */
  reread(): void {
    this.#backlog = this.#edge();
    this.#ahead = [];
  }

  /** Starts again with the oldest pending event. */
  rewind(): void {
    this.#backlog = 0;
    this.#ahead = [];
    this.#horizon = this.#fresh;
  }

  /** The last number of the backlog that `take` has returned. */
  #edge(): number {
    return this.#ahead[0] ? this.#ahead[0].sequence - 1 : this.#backlog;
  }

  /** The newest event that is late already. Those after it are fresh and must not wait for it. */
  #lastHistorical(historicalAfterSeconds: number): number {
    const newest = this.#outbox.newest();
    const recent = this.#outbox.pending(Math.max(0, newest - mostFresh), mostFresh);
    const isFresh = (event: PendingEvent) =>
      event.bootId === this.#clock.bootId && this.#clock.monotonicMs() - event.onsetMonotonicMs <= historicalAfterSeconds * 1000;
    const last = recent.findLast((event) => !isFresh(event));
    return last?.sequence ?? Math.max(0, newest - mostFresh);
  }
}
