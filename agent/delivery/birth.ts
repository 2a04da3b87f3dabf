import type { Clock } from '../lib/clock.ts';
import { BrokerError } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import type { Publisher } from './publisher.ts';

const refusedRetryMs = 60_000;

/**
 * The birth message, the first over each connection. One that the broker refuses is told again over the same
 * connection: else the will of an earlier connection would stand for as long as this one holds.
 */
export class Birth {
  readonly #topic: string;
  readonly #payload: () => string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #againMs = Number.POSITIVE_INFINITY;
  #isRefused = false;

  constructor(topic: string, payload: () => string, { clock, logger }: { clock: Clock; logger: Logger }) {
    this.#topic = topic;
    this.#payload = payload;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Whether one that was refused is to be told again. */
  get isDue(): boolean {
    return this.#clock.monotonicMs() >= this.#againMs;
  }

  /** Resolves when the broker has taken or refused it. Rejects with a BrokerError when the connection fails. */
  async tell(publisher: Publisher): Promise<void> {
    this.#againMs = Number.POSITIVE_INFINITY;
    try {
      await publisher.publish(this.#topic, this.#payload(), { retain: true });
      this.#isRefused = false;
    } catch (error) {
      if (!(error instanceof BrokerError && error.refused)) throw error;
      this.#againMs = this.#clock.monotonicMs() + refusedRetryMs;
      if (!this.#isRefused)
        this.#logger.error({ reason: error.message }, 'the broker refuses the status message; it is tried again, and events are sent all the same');
      this.#isRefused = true;
    }
  }
}
