// What goes over MQTT and what it is answered with, as far as the client does not tell.
import { UnheardError } from '../lib/errors.ts';
import { contentTypeOf } from './topics.ts';

/** MQTT 5, 3.4.2.1: the broker took the message, and nobody subscribes to its topic. It throws it away. */
export const noSubscriber = 16;

interface Puback {
  readonly cmd?: string;
  readonly messageId?: number;
  readonly reasonCode?: number;
}

/**
 * The reason code of what the callback of a publish was given. The client hands the callback the error of a code from 128 on, but not code 16: it gives back
 * the message itself, so the code is taken from the PUBACK as it comes in.
 */
export function openReasons(client: {
  on(event: 'packetreceive', take: (packet: object) => void): unknown;
}): (error: unknown, packet: unknown) => number | undefined {
  const unheardIds = new Set<number | undefined>();
  client.on('packetreceive', ({ cmd, messageId, reasonCode }: Puback) => {
    if (cmd !== 'puback') return;
    if (reasonCode === noSubscriber) unheardIds.add(messageId);
    else unheardIds.delete(messageId);
  });
  return (error, packet) => {
    const code = (error as { code?: number } | null | undefined)?.code;
    if (error) return code;
    const { messageId, reasonCode } = (packet ?? {}) as Puback;
    return unheardIds.delete(messageId) ? noSubscriber : reasonCode;
  };
}

/** What counts as refused though it was acknowledged. */
export function unheard(topic: string): UnheardError {
  return new UnheardError(
    `Expected a subscriber to ${topic}, got reason code ${noSubscriber}: nobody subscribes`,
    'the platform is to subscribe with a persistent session; mqtt.requireSubscriber: false where what takes messages is no subscriber',
  );
}

/** Of a PUBLISH with QoS 1 and a content type (MQTT 5, 3.3): a byte, the length of what follows, topic, packet identifier, properties, payload. */
export function packetBytes(topic: string, payload: string): number {
  const follows = 2 + Buffer.byteLength(topic) + 2 + 1 + 3 + contentTypeOf(topic).length + Buffer.byteLength(payload);
  return 1 + [128, 16_384, 2_097_152].filter((limit) => follows >= limit).length + 1 + follows;
}
