import { UnsentError } from '../lib/errors.ts';
import type { MqttProbe } from './mqtt-publisher.ts';
import type { OpenPublisher } from './publisher.ts';

/** Whether a payload may be published on a topic; unknown topics have no payload. */
type IsClosed = (topic: string, payload: string) => boolean;

/**
 * The last gate before the network: what is not a message of its topic's closed schema is not sent, whatever the outbox
 * held. It counts as refused, so that it stays where it is and holds up nothing else.
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
  /** As the probe's; rejects with an UnsentError what is not of the topic's closed schema. */
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
