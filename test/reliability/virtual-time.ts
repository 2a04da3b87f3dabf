// Timers that fire when a test says so. Promises and `setImmediate` stay real: each turn they are given a few rounds to settle.
interface Timer {
  readonly id: number;
  readonly atMs: number;
  readonly run: () => void;
}

const { setTimeout, clearTimeout, setImmediate } = globalThis;

export class VirtualTime {
  nowMs: number;
  #timers: Timer[] = [];
  #lastId = 0;

  /** Takes the place of the timers of this process until `end`. */
  constructor(nowMs: number) {
    this.nowMs = nowMs;
    globalThis.setTimeout = this.set as never;
    globalThis.clearTimeout = this.clear as never;
  }

  readonly set = (run: () => void, ms = 0): number => {
    this.#timers.push({ id: ++this.#lastId, atMs: this.nowMs + Math.max(0, ms), run });
    return this.#lastId;
  };

  readonly clear = (id: unknown): void => {
    this.#timers = this.#timers.filter((timer) => timer.id !== id);
  };

  async settle(): Promise<void> {
    for (let round = 0; round < 4; round++) await new Promise<void>((resolve) => setImmediate(resolve));
  }

  async pass(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    for (;;) {
      await this.settle();
      const next = this.#timers.reduce<Timer | undefined>((first, timer) => (first && first.atMs <= timer.atMs ? first : timer), undefined);
      if (!next || next.atMs > endMs) break;
      this.nowMs = Math.max(this.nowMs, next.atMs);
      this.clear(next.id);
      next.run();
    }
    this.nowMs = endMs;
  }

  end(): void {
    globalThis.setTimeout = setTimeout;
    globalThis.clearTimeout = clearTimeout;
  }
}
