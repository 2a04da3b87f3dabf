import type { Config } from '../config/schema.ts';
import type { Credentials } from '../config/secrets.ts';
import { BrokerError, LinkError, messageOf } from '../lib/errors.ts';
import { linkFaultOf } from './link-fault.ts';
import { type Lack, lackOf, openReasons } from './mqtt-answers.ts';
import { connected, endConnection, type IConnackPacket, type MqttClient, optionsOf } from './mqtt-connection.ts';
import { contentTypeOf } from './topics.ts';

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

/**
 * Connects with this will as the courier does, and ends the connection at once, in order: the broker discards the will.
 * Not retained, so that a connection that breaks in between leaves nothing behind. Rejects as `connected` does.
 */
export async function tryWill(
  mqtt: Config['mqtt'],
  credentials: Credentials,
  clientId: string,
  timeoutMs: number,
  { topic, payload }: { readonly topic: string; readonly payload: string },
): Promise<void> {
  const will = { topic, payload: Buffer.from(payload), qos: 1 as const, retain: false };
  const client = await connected(mqtt.url, { ...optionsOf(mqtt, credentials, clientId, timeoutMs), will }, (made) => made);
  client.on('error', () => undefined);
  await endConnection(client, client.connected);
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
      await endConnection(client, client.connected && unanswered === 0);
    },
  };
}
