import { readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

const weekMs = 7 * 86_400_000;

/** The damaged files kept beside an outbox. */
export function quarantined(path: string): { number: number; sinceMs: number }[] {
  return readdirSync(dirname(path)).flatMap((name) => {
    const number = name.startsWith(`${basename(path)}.damaged-`) ? /\.damaged-(\d+)$/.exec(name)?.[1] : undefined;
    return number === undefined ? [] : [{ number: Number(number), sinceMs: statSync(join(dirname(path), name)).ctimeMs }];
  });
}

/** How old they are: by the wall clock when this sees them first, and by the monotonic clock from then on. The wall clock may be set after a repair. */
export class Quarantine {
  readonly #path: string;
  readonly #setAsideMs = new Map<number, number>();

  constructor(path: string) {
    this.#path = path;
    this.isRecent();
  }

  /** Whether one was set aside in the last week and is still there. */
  isRecent(): boolean {
    const now = performance.now();
    return quarantined(this.#path).some(({ number, sinceMs }) => {
      const setAsideMs = this.#setAsideMs.get(number) ?? now - Math.abs(Date.now() - sinceMs);
      this.#setAsideMs.set(number, setAsideMs);
      return now - setAsideMs < weekMs;
    });
  }
}
