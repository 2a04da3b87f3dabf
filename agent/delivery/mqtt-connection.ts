// The only file that imports mqtt, and only when it is called, so that the listener never loads it.
import type { IClientOptions, IConnackPacket, MqttClient } from 'mqtt';
import { shownUrl } from '../config/problems.ts';
import type { Config } from '../config/schema.ts';
import type { Credentials } from '../config/secrets.ts';
import { BrokerError, exitCodes, hasCode, isUnreadable, LinkError, messageOf, TocsinError, unreadableHint } from '../lib/errors.ts';
import { takeAnswersOnly } from './answers-only.ts';
import { commonOptions, takeTimeForEachAddress } from './mqtt-options.ts';

export type { IConnackPacket, MqttClient };

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

export function optionsOf(mqtt: Config['mqtt'], credentials: Credentials, clientId: string, connectTimeout: number): TlsOptions {
  const protocolVersion = mqtt.protocol === '5' ? 5 : 4;
  return { ...credentials, ...commonOptions, clientId, protocolVersion, clean: true, connectTimeout, reconnectPeriod: 0 };
}

/** What ws says of a server that answers, but not as a broker over WebSocket: often its path is another. */
const notWebSocket = /^(Unexpected server response|Server sent|Invalid (Upgrade|Sec-WebSocket))/;

/**
 * Connects within `connectTimeout`, which the client itself keeps, and returns what `made` makes of it. That is called
 * in the same turn as the CONNACK, so that it sees a DISCONNECT in the same segment. Rejects with a BrokerError; its
 * cause is the client's error, with a `code` where the broker gave one.
 */
export async function connected<T>(
  url: string,
  options: TlsOptions,
  made: (client: MqttClient, connack: IConnackPacket) => T,
  signal?: AbortSignal,
): Promise<T> {
  try {
    const { connect, Store } = await import('mqtt');
    takeTimeForEachAddress(options.connectTimeout);
    // once emptied, a store throws for a QoS 2 message that came with the end of the connection
    const client = connect(url, { ...options, incomingStore: new Store({ clean: false }) });
    takeAnswersOnly(client);
    return await new Promise<T>((resolve, reject) => {
      let refused: Error | undefined;
      client.stream.on('error', (error: Error) => {
        if (notWebSocket.test(error.message)) refused = error; // the client keeps that to itself
      });
      const onClose = () => fail(refused ?? new LinkError('connection_lost', 'the connection broke'));
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

/** Ends the connection: in order where `orderly`, but takes a second at most for it. */
export async function endConnection(client: MqttClient, orderly: boolean): Promise<void> {
  const patience = new Promise((resolve) => setTimeout(resolve, 1000).unref());
  await Promise.race([client.endAsync(!orderly).catch(() => undefined), patience]);
}
