import type { Gap, Outbox, PendingEvent, PendingSummary } from './outbox.ts';

/** What the platform has and the outbox could not delete yet. It is bound to one outbox: its numbers mean nothing in another. */
export class Arrived {
  readonly events = new Set<number>();
  readonly gaps = new Map<number, Gap>();
  readonly summaries = new Set<number>();

  isEvent = ({ sequence }: PendingEvent) => this.events.has(sequence);
  isGap = ({ first, last }: Gap) => this.gaps.get(first)?.last === last;
  isSummary = ({ sequence }: PendingSummary) => this.summaries.has(sequence);

  forget(): void {
    for (const kind of [this.events, this.gaps, this.summaries]) kind.clear();
  }

  /** `on` may open another outbox in place of a damaged one, and then calls `forget`: what is deleted is read anew at each attempt. */
  delete(on: (work: (outbox: Outbox) => unknown) => unknown): void {
    if (this.events.size > 0) on((outbox) => this.events.size > 0 && outbox.acknowledge([...this.events]));
    this.events.clear();
    for (const first of [...this.gaps.keys()]) {
      on((outbox) => {
        const gap = this.gaps.get(first);
        if (gap) outbox.gapReported(gap);
      });
      this.gaps.delete(first);
    }
    for (const sequence of [...this.summaries]) {
      on((outbox) => this.summaries.has(sequence) && outbox.summaryReported(sequence));
      this.summaries.delete(sequence);
    }
  }
}
