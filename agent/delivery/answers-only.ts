// A sensor subscribes to nothing, so a broker has only answers for it.
import { LinkError } from '../lib/errors.ts';

/** The largest packet that the broker may send (MQTT 5, 3.1.2.11.4): announced, so that it leaves out long reasons. */
export const mostPacketBytes = 16_384;
export const mostChunkBytes = 65_536; // what a socket gives at once
const mostUnasked = 1000; // over one connection: some brokers subscribe on their own to a topic for each client

const answerTo: Readonly<Record<string, string>> = { publish: 'puback', subscribe: 'suback', pingreq: 'pingresp' };

interface Packet {
  readonly cmd?: string;
  readonly messageId?: number;
  readonly returnCode?: number;
  readonly reasonCode?: number;
}

interface Client {
  readonly stream: { prependListener(event: 'data', take: (chunk: Buffer) => void): unknown; destroy(): unknown };
  on(event: 'packetsend' | 'packetreceive', take: (packet: object) => void): unknown;
  emit(event: 'error', error: Error): unknown;
  removeOutgoingMessage(messageId: number): unknown;
}

/**
 * Ends a connection over which the broker sends what would fill the memory of this process or keep it busy: a packet
 * that does not end, or ever more packets that answer nothing. The client itself keeps a packet in memory until it is
 * whole, and QoS 2 messages for as long as the broker likes. Also ends it over an answer to a QoS 2 message, which no
 * message here is: the client would take it for a PUBACK. Call it before the broker can have answered.
 */
export function takeAnswersOnly(client: Client): void {
  const owed = new Map([['connack', 1]]);
  let unasked = 0;
  let bytes = 0; // since the last whole packet
  let isOver = false;
  const end = (what: string) => {
    if (isOver) return;
    isOver = true;
    client.emit('error', new LinkError('other', what));
    client.stream.destroy();
  };
  client.stream.prependListener('data', (chunk) => {
    bytes += chunk.length;
    if (bytes > mostPacketBytes + mostChunkBytes) end(`a packet of more than ${mostPacketBytes} bytes`);
  });
  client.on('packetsend', ({ cmd = '' }: Packet) => {
    const answer = answerTo[cmd];
    if (answer) owed.set(answer, (owed.get(answer) ?? 0) + 1);
  });
  client.on('packetreceive', ({ cmd = '', messageId = 0, returnCode, reasonCode }: Packet) => {
    bytes = 0;
    if (cmd === 'connack' && (returnCode ?? reasonCode) === undefined) end('a CONNACK without a return code'); // the client would wait for ever
    if (cmd === 'pubrec' || cmd === 'pubcomp') {
      end(`a ${cmd.toUpperCase()} in place of a PUBACK`);
      client.removeOutgoingMessage(messageId);
    }
    const left = (owed.get(cmd) ?? 0) - 1;
    if (left >= 0) owed.set(cmd, left);
    else if (++unasked > mostUnasked) end(`${mostUnasked} packets that nobody asked for`);
  });
}
