import { BrokerError } from '../lib/errors.ts';
import type { OpenPublisher } from './publisher.ts';

/**
 * The last gate before the network: what is not a message of its topic's closed schema is not sent, whatever the outbox
 * held. It counts as refused, so that it stays where it is and holds up nothing else.
 *
 * @param isClosed whether a payload may be published on a topic; unknown topics have no payload
 */
export function closedPublisher(open: OpenPublisher, isClosed: (topic: string, payload: string) => boolean): OpenPublisher {
  const refusal = (topic: string) =>
    new BrokerError(
      `Expected a message of the closed schema of ${topic}, got another: it is not sent`,
      'tocsin privacy verify shows whether the outbox was changed',
      true,
    );
  return async (will, signal) => {
    if (!isClosed(will.topic, will.payload)) throw refusal(will.topic);
    const publisher = await open(will, signal);
    return {
      lost: publisher.lost,
      publish: (topic, payload, options) => (isClosed(topic, payload) ? publisher.publish(topic, payload, options) : Promise.reject(refusal(topic))),
      close: () => publisher.close(),
    };
  };
}
