import type { Config } from '../config/schema.ts';
import type { Credentials } from '../config/secrets.ts';
import { BrokerError, LinkError, messageOf, UnsentError } from '../lib/errors.ts';
import { noSubscriber, openReasons, packetBytes, unheard } from './mqtt-answers.ts';
import { connected, endConnection, type IConnackPacket, type MqttClient, optionsOf } from './mqtt-connection.ts';
import type { OpenPublisher, Publisher } from './publisher.ts';
import { contentTypeOf } from './topics.ts';

/** MQTT 5, 4.13.1 and 3.14.2.1: another client has connected with this one's identifier. */
const sessionTakenOver = 142;

/**
 * Publishes with QoS 1. MQTT 5 by default: a broker of version 3.1.1 acknowledges what it refuses, and the event would
 * be lost. The reconnect and the offline queue of the client are off, since they keep messages in memory without bound;
 * the outbox already keeps them.
 */
export function mqttPublisher(mqtt: Config['mqtt'], credentials: Credentials, clientId: string): OpenPublisher {
  return (will, signal) => {
    const options = {
      ...optionsOf(mqtt, credentials, clientId, mqtt.ackTimeoutSeconds * 1000),
      keepalive: mqtt.keepaliveSeconds,
      queueQoSZero: false,
      will: { topic: will.topic, payload: Buffer.from(will.payload), qos: 1 as const, retain: true, properties: { contentType: contentTypeOf(will.topic) } },
    };
    return connected(mqtt.url, options, (client, connack) => wrap(client, connack, mqtt), signal);
  };
}

/** A connected client as a publisher. A retained message needs no subscriber. */
function wrap(client: MqttClient, { properties }: IConnackPacket, { ackTimeoutSeconds, requireSubscriber }: Config['mqtt']): Publisher {
  const maximumPacketSize = properties?.maximumPacketSize ?? Number.POSITIVE_INFINITY; // MQTT 5, 3.2.2.3.6
  const turns = openTurns(Math.max(1, properties?.receiveMaximum ?? 65_535)); // MQTT 5, 3.2.2.3.3
  const ending = openEnding(client);
  const reasonOf = openReasons(client);

  /** What the answer to a message means: nothing if it is delivered. */
  function judged(topic: string, retain: boolean, error: unknown, packet: unknown): BrokerError | undefined {
    const reason = reasonOf(error, packet) ?? 0;
    if (reason >= 128) return unacknowledged(topic, `reason code ${reason}`, error, true);
    if (error) return unacknowledged(topic, messageOf(error), error);
    return reason === noSubscriber && !retain && requireSubscriber ? unheard(topic) : undefined;
  }

  return {
    lost: ending.lost,
    publish(topic, payload, { retain }) {
      if (!client.connected || ending.lost.aborted) return Promise.reject(ending.error()); // what waited for another answer may come only now
      const bytes = packetBytes(topic, payload);
      if (bytes > maximumPacketSize) return Promise.reject(tooLarge(topic, bytes, maximumPacketSize));
      return new Promise((resolve, reject) => {
        let timer: NodeJS.Timeout | undefined;
        const settle = (error?: BrokerError) => {
          clearTimeout(timer);
          ending.waiting.delete(onEnd);
          if (error) reject(error);
          else resolve();
        };
        const onEnd = () => settle(unacknowledged(topic, ending.how.message, ending.how));
        const onLate = () => {
          const late = new LinkError('no_answer', `no PUBACK in ${ackTimeoutSeconds} s`);
          settle(unacknowledged(topic, `none in ${ackTimeoutSeconds} s`, late));
          if (turns.allTaken) ending.giveUp(late);
        };
        const onAnswer = (error?: unknown, packet?: unknown) => {
          const fault = judged(topic, retain, error, packet);
          // without a reason code: the client tells of the end here first, and only then to `ending` how it came
          if (error && !fault?.refused) queueMicrotask(() => settle(fault));
          else settle(fault);
          turns.free();
        };
        ending.waiting.add(onEnd);
        turns.take(
          () => ending.waiting.has(onEnd), // else the connection broke while it waited
          () => {
            timer = setTimeout(onLate, ackTimeoutSeconds * 1000);
            client.publish(topic, payload, { qos: 1, retain, properties: { contentType: contentTypeOf(topic) } }, onAnswer);
          },
        );
      });
    },
    async close(farewell) {
      // an orderly end waits for every PUBACK: on a frozen link for ever, and it cannot be forced afterwards
      await endConnection(client, farewell && client.connected && turns.allFree);
      client.stream.destroy(); // a peer that never answers the end would keep the process from its own
    },
  };
}

/**
 * A broker closes the connection over more unacknowledged messages than its Receive Maximum, so the rest wait here for
 * their turn. A message that is never answered keeps its own; once all are taken like that, the connection counts as
 * lost.
 */
function openTurns(most: number) {
  let taken = 0;
  const queue: (() => void)[] = [];
  const startNext = () => {
    while (taken < most && queue.length > 0) queue.shift()?.();
  };
  return {
    get allTaken() {
      return taken >= most;
    },
    get allFree() {
      return taken === 0;
    },
    /** Calls `send` when its turn comes, if it is `wanted` then; `free` ends the turn. */
    take(wanted: () => boolean, send: () => void): void {
      queue.push(() => {
        if (!wanted()) return;
        taken++;
        send();
      });
      startNext();
    },
    free(): void {
      taken--;
      startNext();
    },
  };
}

/** How the connection ends, and who waits for that: a listener of the signal for each message would cost kilobytes. */
function openEnding(client: MqttClient) {
  const lost = new AbortController();
  const waiting = new Set<() => void>();
  let how = new LinkError('connection_lost', 'a broken connection');
  const error = () =>
    new BrokerError(`Expected the broker to hold the connection, got: ${how.message}`, 'wait: the courier connects again', false, { cause: how });
  const onLost = () => {
    lost.abort(error());
    for (const tell of waiting) tell();
  };
  client.on('disconnect', ({ reasonCode = 0 }) => {
    // MQTT 5 only: with 3.1.1 a broker just closes the connection
    how = new LinkError(reasonCode === sessionTakenOver ? 'session_taken' : 'connection_lost', `DISCONNECT with reason code ${reasonCode}`, reasonCode);
  });
  client.on('close', onLost);
  client.on('error', (cause) => {
    if (/keepalive timeout/i.test(messageOf(cause))) how = new LinkError('no_answer', 'no PINGRESP in time'); // the client ends the connection then, not the broker
    if (cause instanceof LinkError) how = cause;
    onLost();
  });
  return {
    lost: lost.signal,
    waiting,
    error,
    get how() {
      return how;
    },
    /** Counts the connection as lost, though it still stands. */
    giveUp(reason: LinkError): void {
      how = reason;
      onLost();
    },
  };
}

function unacknowledged(topic: string, got: string, cause: unknown, refused = false): BrokerError {
  const hint = refused ? "check the broker's ACL for this sensor" : 'wait: the event is kept and sent again';
  return new BrokerError(`Expected a PUBACK for ${topic}, got ${got}`, hint, refused, { cause });
}

/** The broker would close the connection over such a message, each time anew, and nothing else would be delivered. */
function tooLarge(topic: string, bytes: number, most: number): UnsentError {
  return new UnsentError(
    `Expected the broker to take a message of ${bytes} bytes on ${topic}, got a Maximum Packet Size of ${most}: it is not sent`,
    "raise the broker's limit (mosquitto: max_packet_size)",
  );
}
