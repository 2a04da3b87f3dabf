import type { Gap, Outbox, PendingEvent, PendingSummary } from './outbox.ts';

export const together = 256; // events deleted or looked for at once
const mostAtOnce = 16; // times that many in a call
const turnMs = 1000; // after which a call begins no further write

/**
 * What the platform has received and the outbox could not delete yet. Bound to one outbox: its numbers mean nothing in
 * another.
 */
export class Arrived {
  readonly events = new Set<number>();
  readonly gaps = new Map<number, Gap>();
  readonly summaries = new Set<number>();
  #restEndsMs = Number.NEGATIVE_INFINITY;

  isEvent = ({ sequence }: PendingEvent) => this.events.has(sequence);
  isGap = ({ first, last }: Gap) => this.gaps.get(first)?.last === last;
  isSummary = ({ sequence }: PendingSummary) => this.summaries.has(sequence);

  get any(): boolean {
    return this.events.size + this.gaps.size + this.summaries.size > 0;
  }

  forget(): void {
    for (const kind of [this.events, this.gaps, this.summaries]) kind.clear();
  }

  /**
   * Deletes it. `on` may open another outbox in place of a damaged one, and then calls `forget`; so the sets are read
   * anew at each attempt. Events are deleted a few at a time, since a disk that is nearly full takes no more, and not
   * all in one call, since nothing else goes on meanwhile. After a call that took long, as on a card that takes seconds
   * for each write, nothing is deleted for as long again: the other half would hardly find the outbox unlocked.
   */
  delete(on: (work: (outbox: Outbox) => unknown) => unknown): void {
    const beganMs = performance.now();
    if (beganMs < this.#restEndsMs) return;
    try {
      this.#deleteInTurn(on, () => performance.now() - beganMs < turnMs);
    } finally {
      const tookMs = performance.now() - beganMs;
      if (tookMs >= turnMs) this.#restEndsMs = performance.now() + tookMs;
    }
  }

  #deleteInTurn(on: (work: (outbox: Outbox) => unknown) => unknown, hasTime: () => boolean): void {
    for (let batch = 0; batch < mostAtOnce && this.events.size > 0 && hasTime(); batch++) {
      let deleted: number[] = [];
      on((outbox) => {
        deleted = firstOf(this.events, together);
        outbox.acknowledge(deleted);
      });
      for (const sequence of deleted) this.events.delete(sequence);
    }
    for (const first of [...this.gaps.keys()]) {
      if (!hasTime()) return;
      on((outbox) => {
        const gap = this.gaps.get(first);
        if (gap) outbox.gapReported(gap);
      });
      this.gaps.delete(first);
    }
    for (const sequence of [...this.summaries]) {
      if (!hasTime()) return;
      on((outbox) => this.summaries.has(sequence) && outbox.summaryReported(sequence));
      this.summaries.delete(sequence);
    }
  }
}

function firstOf(set: ReadonlySet<number>, count: number): number[] {
  const found: number[] = [];
  for (const value of set) {
    if (found.length === count) break;
    found.push(value);
  }
  return found;
}
