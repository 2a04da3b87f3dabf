import type { Clock } from '../lib/clock.ts';

const stuckMs = 90_000; // longer than any publish may take: its time-out has not worked

/** Publishes that have not settled yet. */
export class UnderWay {
  readonly #clock: Clock;
  readonly #works = new Set<Promise<void>>();
  #movedMs: number; // when one last settled, or none was under way

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#movedMs = clock.monotonicMs();
  }

  /** Takes one that does not reject. */
  add(work: Promise<void>): void {
    this.#works.add(work);
    void work.then(() => {
      this.#works.delete(work);
      this.#movedMs = this.#clock.monotonicMs();
    });
  }

  /** Whether none has settled for so long that the connection's time-outs cannot be working. */
  get isStuck(): boolean {
    if (this.#works.size === 0) this.#movedMs = this.#clock.monotonicMs();
    return this.#clock.monotonicMs() - this.#movedMs >= stuckMs;
  }

  async settled(): Promise<void> {
    await Promise.all(this.#works);
  }
}
