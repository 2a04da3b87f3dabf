import type { Clock } from '../lib/clock.ts';
import type { Outbox } from '../outbox/outbox.ts';

const together = 256;

/**
 * Events that the broker has acknowledged and that still stand in the outbox. They leave it together, `withinMs` after
 * the first at most: each transaction costs the disk a write. Once a repair has put another outbox in place, whose
 * numbers begin anew, they are forgotten.
 */
export class Acknowledgements {
  readonly #outbox: Outbox;
  readonly #outboxId: string;
  readonly #clock: Clock;
  readonly #withinMs: number;
  readonly #sequences = new Set<number>();
  #dueMs = Number.POSITIVE_INFINITY;

  constructor(outbox: Outbox, clock: Clock, withinMs: number) {
    this.#outbox = outbox;
    this.#outboxId = outbox.id;
    this.#clock = clock;
    this.#withinMs = withinMs;
  }

  has(sequence: number): boolean {
    return this.#sequences.has(sequence);
  }

  add(sequence: number): void {
    this.#sequences.add(sequence);
    this.#dueMs = Math.min(this.#dueMs, this.#clock.monotonicMs() + this.#withinMs);
  }

  /** Deletes them if it is time, or if they are many. */
  flushDue(): void {
    if (this.#sequences.size >= together || this.#clock.monotonicMs() >= this.#dueMs) this.flush();
  }

  flush(): void {
    const sequences = [...this.#sequences];
    this.#sequences.clear();
    this.#dueMs = Number.POSITIVE_INFINITY;
    if (sequences.length > 0 && this.#outbox.id === this.#outboxId) this.#outbox.acknowledge(sequences);
  }
}
