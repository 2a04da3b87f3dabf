// The only file that imports mqtt, and only when it is called, so that the listener never loads it.
import type { IClientOptions, IConnackPacket, MqttClient } from 'mqtt';
import { shownUrl } from '../config/problems.ts';
import type { Config } from '../config/schema.ts';
import type { Credentials } from '../config/secrets.ts';
import { BrokerError, exitCodes, hasCode, isUnreadable, LinkError, messageOf, TocsinError, UnsentError, unreadableHint } from '../lib/errors.ts';
import { takeAnswersOnly } from './answers-only.ts';
import { linkFaultOf } from './link-fault.ts';
import { type Lack, lackOf, noSubscriber, openReasons, packetBytes, unheard } from './mqtt-answers.ts';
import { commonOptions, takeTimeForEachAddress } from './mqtt-options.ts';
import type { OpenPublisher, Publisher } from './publisher.ts';
import { contentTypeOf } from './topics.ts';

/** MQTT 5, 4.13.1 and 3.14.2.1: another client has connected with this one's identifier. */
const sessionTakenOver = 142;

/** mqtt.js passes options that it does not know to tls.connect. */
type TlsOptions = IClientOptions & { readonly minVersion: 'TLSv1.2'; readonly connectTimeout: number };

/**
 * Loads all of mqtt.js. Call it before the courier begins: what it could not load once, it never loads again, and a
 * courier that went on would not connect before it is started again.
 */
export async function loadMqtt(): Promise<void> {
  try {
    const { connect } = await import('mqtt');
    connect('mqtt://localhost', { manualConnect: true }); // connects nothing, but loads what each protocol needs
  } catch (cause) {
    if (!isUnreadable(cause)) throw cause;
    throw new TocsinError(`Expected to load the MQTT client, got: ${messageOf(cause)}`, unreadableHint, exitCodes.failure, { cause });
  }
}

/**
 * Publishes with QoS 1. MQTT 5 by default: a broker of version 3.1.1 acknowledges what it refuses, and the event would
 * be lost. The reconnect and the offline queue of the client are off, since they keep messages in memory without bound;
 * the outbox already keeps them.
 */
export function mqttPublisher(mqtt: Config['mqtt'], credentials: Credentials, clientId: string): OpenPublisher {
  return (will, signal) => {
    const options: TlsOptions = {
      ...optionsOf(mqtt, credentials, clientId, mqtt.ackTimeoutSeconds * 1000),
      keepalive: mqtt.keepaliveSeconds,
      queueQoSZero: false,
      will: { topic: will.topic, payload: Buffer.from(will.payload), qos: 1, retain: true, properties: { contentType: contentTypeOf(will.topic) } },
    };
    return connected(mqtt.url, options, (client, connack) => wrap(client, connack, mqtt), signal);
  };
}

function optionsOf(mqtt: Config['mqtt'], credentials: Credentials, clientId: string, connectTimeout: number): TlsOptions {
  const protocolVersion = mqtt.protocol === '5' ? 5 : 4;
  return { ...credentials, ...commonOptions, clientId, protocolVersion, clean: true, connectTimeout, reconnectPeriod: 0 };
}

/**
 * Connects within `connectTimeout`, which the client itself keeps, and returns what `made` makes of it. That is called
 * in the same turn as the CONNACK, so that it sees a DISCONNECT in the same segment. Rejects with a BrokerError; its
 * cause is the client's error, with a `code` where the broker gave one.
 */
async function connected<T>(url: string, options: TlsOptions, made: (client: MqttClient, connack: IConnackPacket) => T, signal?: AbortSignal): Promise<T> {
  try {
    const { connect, Store } = await import('mqtt');
    takeTimeForEachAddress(options.connectTimeout);
    // once emptied, a store throws for a QoS 2 message that came with the end of the connection
    const client = connect(url, { ...options, incomingStore: new Store({ clean: false }) });
    takeAnswersOnly(client);
    return await new Promise<T>((resolve, reject) => {
      const onClose = () => fail(new LinkError('connection_lost', 'the connection broke'));
      const onStop = () => fail(new Error('a stop'));
      const settle = () => {
        client.removeListener('close', onClose);
        signal?.removeEventListener('abort', onStop);
      };
      const fail = (error: Error) => {
        settle();
        client.end(true);
        reject(error);
      };
      // stays registered: an error after the failure must find a handler
      client.on('error', fail);
      client.once('close', onClose);
      client.once('connect', (connack) => {
        settle();
        client.removeListener('error', fail);
        resolve(made(client, connack));
      });
      if (signal?.aborted) onStop();
      else signal?.addEventListener('abort', onStop, { once: true });
    });
  } catch (cause) {
    throw notAccepted(url, cause);
  }
}

function notAccepted(url: string, cause: unknown): BrokerError {
  const names = hasCode(cause, /^ERR_TLS_CERT_ALTNAME_INVALID$/); // of the certificate, in the message: anything, and of any length
  const said = messageOf(cause).replace(/: undefined$/, `: reason code ${(cause as { code?: unknown }).code}`); // a code that the client has no words for
  return new BrokerError(
    `Expected the broker at ${shownUrl(url)} to accept the sensor, got: ${names ? 'a certificate for another name' : said}`,
    'check mqtt.url, the certificates and that the broker runs',
    false,
    { cause },
  );
}

/**
 * Wraps a connected client. A broker closes the connection over more unacknowledged messages than its Receive Maximum,
 * so the rest wait here. A message that is never answered keeps its slot; once all slots are taken like that, the
 * connection counts as lost. A message over the Maximum Packet Size is not sent: the broker would close the connection
 * over it, each time anew, and nothing else would be delivered. A retained message needs no subscriber.
 */
function wrap(client: MqttClient, { properties }: IConnackPacket, { ackTimeoutSeconds, requireSubscriber }: Config['mqtt']): Publisher {
  const receiveMaximum = Math.max(1, properties?.receiveMaximum ?? 65_535); // MQTT 5, 3.2.2.3.3
  const maximumPacketSize = properties?.maximumPacketSize ?? Number.POSITIVE_INFINITY; // MQTT 5, 3.2.2.3.6
  const lost = new AbortController();
  const reasonOf = openReasons(client);
  let unanswered = 0;
  const queue: (() => void)[] = [];
  const startNext = () => {
    while (unanswered < receiveMaximum && queue.length > 0) queue.shift()?.();
  };
  const waiting = new Set<() => void>(); // told when the connection breaks: a listener of the signal for each publish would cost kilobytes
  let end = new LinkError('connection_lost', 'a broken connection');
  const broken = () =>
    new BrokerError(`Expected the broker to hold the connection, got: ${end.message}`, 'wait: the courier connects again', false, { cause: end });
  const onLost = () => {
    lost.abort(broken());
    for (const tell of waiting) tell();
  };
  client.on('disconnect', ({ reasonCode = 0 }) => {
    // MQTT 5 only: with 3.1.1 a broker just closes the connection
    end = new LinkError(reasonCode === sessionTakenOver ? 'session_taken' : 'connection_lost', `DISCONNECT with reason code ${reasonCode}`, reasonCode);
  });
  client.on('close', onLost);
  client.on('error', (error) => {
    if (/keepalive timeout/i.test(messageOf(error))) end = new LinkError('no_answer', 'no PINGRESP in time'); // the client ends the connection then, not the broker
    if (error instanceof LinkError) end = error;
    onLost();
  });
  return {
    lost: lost.signal,
    publish(topic, payload, { retain }) {
      if (!client.connected || lost.signal.aborted) return Promise.reject(broken()); // what waited for another answer may come only now
      const bytes = packetBytes(topic, payload);
      if (bytes > maximumPacketSize)
        return Promise.reject(
          new UnsentError(
            `Expected the broker to take a message of ${bytes} bytes on ${topic}, got a Maximum Packet Size of ${maximumPacketSize}: it is not sent`,
            "raise the broker's limit (mosquitto: max_packet_size)",
          ),
        );
      return new Promise((resolve, reject) => {
        const fail = (what: string, refused: boolean, cause?: unknown) => {
          settle();
          reject(
            new BrokerError(
              `Expected a PUBACK for ${topic}, got ${what}`,
              refused ? "check the broker's ACL for this sensor" : 'wait: the event is kept and sent again',
              refused,
              { cause },
            ),
          );
        };
        let timer: NodeJS.Timeout | undefined;
        const onBroken = () => fail(end.message, false, end);
        const settle = () => {
          clearTimeout(timer);
          waiting.delete(onBroken);
        };
        waiting.add(onBroken);
        const answered = (error?: unknown, packet?: unknown) => {
          unanswered--;
          const reason = reasonOf(error, packet) ?? 0;
          if (!error && reason === noSubscriber && !retain && requireSubscriber) {
            settle();
            reject(unheard(topic));
          } else if (!error && reason < 128) {
            settle();
            resolve();
          } else if (reason >= 128) fail(`reason code ${reason}`, true, error);
          else queueMicrotask(() => fail(messageOf(error), false, error)); // the client tells of an end here first, then above how it came to it
          startNext();
        };
        queue.push(() => {
          if (!waiting.has(onBroken)) return; // the connection broke while it waited
          unanswered++;
          timer = setTimeout(() => {
            const late = new LinkError('no_answer', `no PUBACK in ${ackTimeoutSeconds} s`);
            fail(`none in ${ackTimeoutSeconds} s`, false, late);
            if (unanswered < receiveMaximum) return;
            end = late;
            onLost();
          }, ackTimeoutSeconds * 1000);
          client.publish(topic, payload, { qos: 1, retain, properties: { contentType: contentTypeOf(topic) } }, answered);
        });
        startNext();
      });
    },
    async close(farewell) {
      // an orderly end waits for every PUBACK: on a frozen link for ever, and it cannot be forced afterwards
      const polite = farewell && client.connected && unanswered === 0;
      await Promise.race([client.endAsync(!polite).catch(() => undefined), patience()]);
      client.stream.destroy(); // a peer that never answers the end would keep the process from its own
    },
  };
}

/** How long an orderly end may take. */
function patience(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1000).unref());
}

/**
 * A connection for a person's tests of the link: it returns reason codes as they come, keeps nothing and has no will.
 */
export interface MqttProbe {
  /** What the courier needs and this broker does not take, by its CONNACK. */
  readonly lacks?: Lack | undefined;
  /**
   * Publishes with QoS 1 and returns the reason code of the PUBACK. Rejects when none comes, with `refused` where the
   * connection ends instead. The payload is not checked here; `closedProbe` does that.
   */
  publishUnchecked(topic: string, payload: string): Promise<number>;
  /** Subscribes with QoS 1 and returns the reason code of the SUBACK. */
  subscribe(topic: string, take: (payload: string) => void): Promise<number>;
  close(): Promise<void>;
}

/** Opens a probe. Rejects with a BrokerError, as `connected` does. */
export function openMqttProbe(mqtt: Config['mqtt'], credentials: Credentials, clientId: string, timeoutMs: number): Promise<MqttProbe> {
  return connected(mqtt.url, optionsOf(mqtt, credentials, clientId, timeoutMs), (client, connack) => probeOver(client, connack, timeoutMs));
}

function probeOver(client: MqttClient, { properties }: IConnackPacket, timeoutMs: number): MqttProbe {
  let unanswered = 0;
  const broken = new Promise<never>((_, reject) => {
    client.on('error', reject);
    client.once('close', () => reject(new LinkError('connection_lost', 'the end of the connection')));
  });
  broken.catch(() => undefined); // what is asked for rejects by itself
  const bounded = async <T>(answer: 'PUBACK' | 'SUBACK', topic: string, work: Promise<T>) => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const cause = new LinkError('no_answer', 'no answer');
        reject(new BrokerError(`Expected an answer of the broker, got none in ${timeoutMs / 1000} s`, 'start again', false, { cause }));
      }, timeoutMs);
    });
    try {
      return await Promise.race([work, broken, late]);
    } catch (cause) {
      if (cause instanceof BrokerError) throw cause;
      const refused = linkFaultOf(cause) === 'connection_lost'; // some brokers end the connection over what they do not allow
      throw new BrokerError(
        `Expected a ${answer} for ${topic}, got ${messageOf(cause)}`,
        refused ? "check the broker's ACL for this sensor" : 'start again',
        refused,
        { cause },
      );
    } finally {
      clearTimeout(timer);
    }
  };
  const codeOf = openReasons(client);
  return {
    lacks: lackOf(properties),
    publishUnchecked: (topic, payload) =>
      bounded(
        'PUBACK',
        topic,
        new Promise<number>((resolve, reject) => {
          unanswered++;
          client.publish(topic, payload, { qos: 1, properties: { contentType: contentTypeOf(topic) } }, (error, packet) => {
            unanswered--;
            const code = codeOf(error, packet);
            if (error && typeof code !== 'number') reject(error);
            else resolve(code ?? 0);
          });
        }),
      ),
    subscribe: (topic, take) =>
      bounded(
        'SUBACK',
        topic,
        new Promise((resolve, reject) => {
          client.on('message', (_topic, payload) => take(payload.toString('utf8')));
          client.subscribe(topic, { qos: 1 }, (error, granted) => {
            const code = error ? codeOf(error, undefined) : granted?.[0]?.qos; // with an error, the one asked for
            if (code === undefined) reject(error ?? new Error('no SUBACK'));
            else resolve(code);
          });
        }),
      ),
    async close() {
      // an orderly end waits for every PUBACK, also for one that never comes
      await Promise.race([client.endAsync(!client.connected || unanswered > 0).catch(() => undefined), patience()]);
    },
  };
}
