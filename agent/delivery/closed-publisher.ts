import { UnsentError } from '../lib/errors.ts';
import type { MqttProbe } from './mqtt-probe.ts';
import type { OpenPublisher } from './publisher.ts';

/** What is published in place of a payload; nothing where it does not match its topic's closed schema. */
type ClosedForm = (topic: string, payload: string) => string | undefined;

/**
 * The last gate before the network: a payload that does not match the closed schema of its topic is not sent, whatever
 * the outbox held. It counts as refused, so that it stays in the outbox and holds up nothing else. Of one that matches,
 * what the schema read is sent.
 */
export function closedPublisher(open: OpenPublisher, closedForm: ClosedForm): OpenPublisher {
  return async (will, signal) => {
    const publisher = await open(closedMessage(will, closedForm), signal);
    return {
      lost: publisher.lost,
      publish: async (topic, payload, options) => publisher.publish(topic, admit(closedForm, topic, payload), options),
      close: (farewell) => publisher.close(farewell),
    };
  };
}

/** A probe whose messages pass the same gate. */
export interface ClosedProbe extends Pick<MqttProbe, 'lacks' | 'subscribe' | 'close'> {
  /**
   * Publishes as the probe does. Rejects with an UnsentError if the payload does not match the closed schema of its
   * topic.
   */
  publish(topic: string, payload: string): Promise<number>;
}

export function closedProbe(probe: MqttProbe, closedForm: ClosedForm): ClosedProbe {
  return {
    lacks: probe.lacks,
    subscribe: probe.subscribe,
    publish: async (topic, payload) => probe.publishUnchecked(topic, admit(closedForm, topic, payload)),
    close: probe.close,
  };
}

/** The message as it may be sent. Throws an UnsentError if it does not match the closed schema of its topic. */
export function closedMessage({ topic, payload }: { topic: string; payload: string }, closedForm: ClosedForm) {
  return { topic, payload: admit(closedForm, topic, payload) };
}

function admit(closedForm: ClosedForm, topic: string, payload: string): string {
  const form = closedForm(topic, payload);
  if (form !== undefined) return form;
  throw new UnsentError(
    `Expected a message of the closed schema of ${topic}, got another: it is not sent`,
    'sudo tocsin privacy verify shows whether the outbox was changed',
  );
}
