interface BucketOptions {
  readonly perMs: number;
  /** How many it holds. */
  readonly most: number;
  /** How many it held at `atMs`; full by default. */
  readonly held?: number;
  /** By the clock that is given; now by default. */
  readonly atMs?: number;
}

/** A token bucket (as in RFC 2697): it fills at a steady rate, and what is taken comes out of it. */
export class Bucket {
  readonly #options: BucketOptions;
  readonly #monotonicMs: () => number;
  #held: number;
  #atMs: number;

  constructor(options: BucketOptions, monotonicMs: () => number) {
    this.#options = options;
    this.#monotonicMs = monotonicMs;
    this.#held = Math.min(options.held ?? options.most, options.most);
    this.#atMs = options.atMs ?? monotonicMs();
  }

  /** How many it holds now, with fractions. */
  get held(): number {
    const now = this.#monotonicMs();
    const { perMs, most } = this.#options;
    this.#held = Math.min(most, this.#held + Math.max(0, now - this.#atMs) * perMs);
    this.#atMs = now;
    return this.#held;
  }

  /** Takes one, or so many; false where there are fewer. */
  take(count = 1): boolean {
    if (this.held < count) return false;
    this.#held -= count;
    return true;
  }

  /** Adds some, or takes them out where it is negative. */
  add(count: number): void {
    this.#held = Math.min(this.#options.most, Math.max(0, this.held + count));
  }
}
