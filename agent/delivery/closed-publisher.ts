import { UnsentError } from '../lib/errors.ts';
import type { MqttProbe } from './mqtt-publisher.ts';
import type { OpenPublisher } from './publisher.ts';

/** Whether a payload may be published on a topic; unknown topics have no payload. */
type IsClosed = (topic: string, payload: string) => boolean;

/**
 * The last gate before the network: a payload that does not match the closed schema of its topic is not sent, whatever
 * the outbox held. It counts as refused, so that it stays in the outbox and holds up nothing else.
 */
export function closedPublisher(open: OpenPublisher, isClosed: IsClosed): OpenPublisher {
  return async (will, signal) => {
    if (!isClosed(will.topic, will.payload)) throw refusal(will.topic);
    const publisher = await open(will, signal);
    return {
      lost: publisher.lost,
      publish: (topic, payload, options) => (isClosed(topic, payload) ? publisher.publish(topic, payload, options) : Promise.reject(refusal(topic))),
      close: (farewell) => publisher.close(farewell),
    };
  };
}

/** A probe whose messages pass the same gate. */
export interface ClosedProbe extends Pick<MqttProbe, 'subscribe' | 'close'> {
  /**
   * Publishes as the probe does. Rejects with an UnsentError if the payload does not match the closed schema of its
   * topic.
   */
  publish(topic: string, payload: string): Promise<number>;
}

export function closedProbe(probe: MqttProbe, isClosed: IsClosed): ClosedProbe {
  return {
    subscribe: probe.subscribe,
    publish: async (topic, payload) => {
      if (!isClosed(topic, payload)) throw refusal(topic);
      return probe.publishUnchecked(topic, payload);
    },
    close: probe.close,
  };
}

function refusal(topic: string): UnsentError {
  return new UnsentError(
    `Expected a message of the closed schema of ${topic}, got another: it is not sent`,
    'tocsin privacy verify shows whether the outbox was changed',
  );
}
