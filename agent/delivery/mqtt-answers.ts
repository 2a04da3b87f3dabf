// What mqtt.js does not tell of messages and their answers.
import { NoSubscriberError } from '../lib/errors.ts';
import { contentTypeOf } from './topics.ts';

/** MQTT 5, 3.4.2.1, No matching subscribers: the broker took the message and discards it. */
export const noSubscriber = 16;

interface Puback {
  readonly cmd?: string;
  readonly messageId?: number;
  readonly reasonCode?: number;
}

/**
 * Returns the reason code behind what mqtt.js passes to the callback of a publish. For codes from 128 on that is an
 * error. For code 16 it is the message itself, so the code is taken from the PUBACK when that comes in.
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

export type Lack = 'retained' | 'qos' | 'size';

const largestBytes = 2048; // more than any message of a sensor

/**
 * What a broker says that it does not take (MQTT 5, 3.2.2.3.4 to 6). Without the first two it refuses the courier for
 * its will. A client of 3.1.1 is told nothing.
 */
export function lackOf(
  properties: { readonly maximumQoS?: number; readonly retainAvailable?: boolean; readonly maximumPacketSize?: number } | undefined,
): Lack | undefined {
  if (properties?.maximumQoS === 0) return 'qos';
  if (properties?.retainAvailable === false) return 'retained';
  return (properties?.maximumPacketSize ?? largestBytes) < largestBytes ? 'size' : undefined;
}

/** The error of a message that was acknowledged but counts as refused. */
export function unheard(topic: string): NoSubscriberError {
  return new NoSubscriberError(
    `Expected a subscriber to ${topic}, got reason code ${noSubscriber}: nobody subscribes`,
    'the platform must subscribe with a persistent session; mqtt.requireSubscriber: false if something other than a subscriber takes the messages',
  );
}

/**
 * The size of a PUBLISH with QoS 1 and a content type (MQTT 5, 3.3): a byte, the length of what follows, topic, packet
 * identifier, properties, payload.
 */
export function packetBytes(topic: string, payload: string): number {
  const follows = 2 + Buffer.byteLength(topic) + 2 + 1 + 3 + contentTypeOf(topic).length + Buffer.byteLength(payload);
  return 1 + [128, 16_384, 2_097_152].filter((limit) => follows >= limit).length + 1 + follows;
}
