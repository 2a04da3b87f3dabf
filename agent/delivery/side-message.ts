import { BrokerError, messageOf } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import type { Publisher } from './publisher.ts';

interface Outcome {
  readonly taken: () => void;
  /** Also when `taken` throws, because the outbox could not be written for example. */
  readonly failed: (isRefused: boolean) => void;
}

/**
 * A kind of message that is published beside the events, one at a time. A failure holds up nothing else, and is logged
 * once until one is taken again.
 */
export class SideMessage {
  readonly #failure: string;
  readonly #logger: Logger;
  #isUnderWay = false;
  #isFailing = false;

  constructor(failure: string, logger: Logger) {
    this.#failure = failure;
    this.#logger = logger;
  }

  get isUnderWay(): boolean {
    return this.#isUnderWay;
  }

  /** Returns at once, and must not be called while one is under way. */
  publish(publisher: Publisher, message: { topic: string; payload: string; retain: boolean }, { taken, failed }: Outcome): void {
    const { topic, payload, retain } = message;
    this.#isUnderWay = true;
    publisher
      .publish(topic, payload, { retain })
      .then(() => {
        taken();
        this.#isFailing = false;
      })
      .catch((error: unknown) => {
        failed(error instanceof BrokerError && error.refused);
        if (!this.#isFailing) this.#logger.warn({ reason: messageOf(error) }, this.#failure);
        this.#isFailing = true;
      })
      .finally(() => {
        this.#isUnderWay = false;
      });
  }
}
