import type { GapMessage } from '../events/event.ts';
import type { Clock } from '../lib/clock.ts';
import { BrokerError } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import type { Gap, Outbox } from '../outbox/outbox.ts';
import type { Publisher } from './publisher.ts';

const pollMs = 100;
const refusedRetryMs = 60_000;

/**
 * Publishes the gaps of one outbox, one at a time, each until its PUBACK. One that the broker refuses is kept, tried
 * again, and holds up no event.
 */
export class GapReports {
  readonly #topic: string;
  readonly #outbox: Outbox;
  readonly #outboxId: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #isBusy = false;
  #nextMs = 0;
  #isRefused = false;

  constructor(topic: string, { outbox, clock, logger }: { outbox: Outbox; clock: Clock; logger: Logger }) {
    this.#topic = topic;
    this.#outbox = outbox;
    this.#outboxId = outbox.id;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** The gap to report now, if any. */
  next(): Gap | undefined {
    if (this.#isBusy || this.#clock.monotonicMs() < this.#nextMs) return undefined;
    const [gap] = this.#outbox.gaps(1);
    if (!gap) this.#nextMs = this.#clock.monotonicMs() + pollMs;
    return gap;
  }

  /** Resolves when the broker has taken or refused it. Rejects with a BrokerError when the connection fails. */
  async report(publisher: Publisher, gap: Gap): Promise<void> {
    const { first, last, reason } = gap;
    this.#isBusy = true;
    try {
      await publisher.publish(this.#topic, JSON.stringify({ outbox: this.#outboxId, first, last, reason } satisfies GapMessage), { retain: false });
      this.#isRefused = false;
      if (this.#outbox.id === this.#outboxId) this.#outbox.gapReported(gap);
    } catch (error) {
      if (!(error instanceof BrokerError && error.refused)) throw error;
      this.#nextMs = this.#clock.monotonicMs() + refusedRetryMs;
      if (!this.#isRefused) this.#logger.error({ reason: error.message, hint: error.tryHint }, 'the broker refuses a gap message; it is kept and tried again');
      this.#isRefused = true;
    } finally {
      this.#isBusy = false;
    }
  }
}
