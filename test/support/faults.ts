import { connect, createServer, type Socket } from 'node:net';

type Fault = 'none' | 'frozen' | 'deaf' | 'slow';

/**
 * A TCP proxy in front of a broker, with faults: `frozen` forwards nothing in either direction and closes nothing,
 * `deaf` forwards to the broker but not back (a lost PUBACK), `slow` forwards 2,000 bytes a second in each direction.
 */
export async function openFaultProxy(brokerPort: number) {
  let fault: Fault = 'none';
  let connections = 0;
  const pairs = new Set<[Socket, Socket]>();
  const forward = (from: Socket, to: Socket, toBroker: boolean) => {
    from.on('data', (data: Buffer) => {
      if (fault === 'frozen' || (fault === 'deaf' && !toBroker)) return;
      if (fault !== 'slow') return void to.write(data);
      from.pause();
      setTimeout(() => {
        to.write(data);
        from.resume();
      }, data.length / 2);
    });
    from.on('close', () => to.destroy()).on('error', () => to.destroy());
  };
  const server = createServer((client) => {
    connections++;
    const broker = connect(brokerPort, '127.0.0.1');
    const pair: [Socket, Socket] = [client, broker];
    pairs.add(pair);
    client.on('close', () => pairs.delete(pair));
    forward(client, broker, true);
    forward(broker, client, false);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const breakAll = () => {
    for (const [client, broker] of pairs) {
      client.destroy();
      broker.destroy();
    }
  };
  return {
    port,
    url: `mqtt://127.0.0.1:${port}`,
    connections: () => connections,
    set(next: Fault) {
      fault = next;
    },
    breakAll,
    async close() {
      breakAll();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/**
 * A broker that answers MQTT 5 with given reason codes, which no real broker gives on demand. It forwards nothing,
 * knows only CONNECT, PUBLISH with QoS 1, PUBACK, PINGREQ and DISCONNECT, and ignores whatever follows a packet over
 * which it ends the connection. All its clients have one name: `oneSession` ends earlier sessions with reason code 142. With
 * `receiveMaximum` it answers after 20 ms, and ends a connection with more unanswered messages with reason code 147
 * (MQTT 5, 3.3.4); with `maximumPacketSize` it ends one with a larger packet with reason code 149 (3.2.2.3.6).
 * A Buffer is sent as it is, in place of an answer.
 */
export async function openScriptedBroker(answer: {
  /** With `disconnect` it accepts and ends the connection in the same segment. `flags` are the connect flags. */
  connack?: (flags: number) => number | Buffer | { disconnect: number };
  /** `id` is the packet identifier of the message, two bytes. */
  puback: (topic: string, payload: string, bytes: number, id: Buffer) => number | Buffer | { disconnect: number } | undefined;
  /** Called with each PUBACK of the client. */
  acknowledged?: () => void;
  /** Called when a connection is closed. */
  ended?: (withDisconnect: boolean) => void;
  oneSession?: true;
  receiveMaximum?: number;
  maximumPacketSize?: number;
  /** Its end of a connection stays open, as when the link is lost. */
  neverEnds?: true;
}) {
  let connections = 0;
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: answer.neverEnds ?? false }, (socket) => {
    connections++;
    sockets.add(socket.on('close', () => sockets.delete(socket)).on('error', () => undefined));
    let rest = Buffer.alloc(0);
    let unanswered = 0;
    let isDisconnected = false;
    socket.on('close', () => answer.ended?.(isDisconnected));
    const { receiveMaximum, maximumPacketSize } = answer;
    const reply = (packet: Buffer) => {
      if (receiveMaximum === undefined) return void socket.write(packet);
      if (++unanswered > receiveMaximum) return void socket.end(Buffer.from([0xe0, 2, 147, 0]));
      setTimeout(() => {
        unanswered--;
        if (socket.writable) socket.write(packet);
      }, 20);
    };
    socket.on('data', (data: Buffer) => {
      rest = Buffer.concat([rest, data]);
      for (let packet = readPacket(rest); packet && socket.writable; packet = readPacket(rest)) {
        rest = rest.subarray(packet.bytes);
        const { type, body } = packet;
        isDisconnected ||= type === 14;
        if (type === 1) {
          for (const other of answer.oneSession ? sockets : []) if (other !== socket) other.end(Buffer.from([0xe0, 2, 142, 0]));
          const properties = [
            ...(receiveMaximum === undefined ? [] : [0x21, receiveMaximum >> 8, receiveMaximum & 255]),
            ...(maximumPacketSize === undefined ? [] : [0x27, 0, 0, maximumPacketSize >> 8, maximumPacketSize & 255]),
          ];
          const code = answer.connack?.(body[7] ?? 0) ?? 0;
          const connack = (reason: number) => [0x20, 3 + properties.length, 0, reason, properties.length, ...properties];
          if (Buffer.isBuffer(code)) socket.write(code);
          else if (typeof code === 'object') socket.end(Buffer.from([...connack(0), 0xe0, 2, code.disconnect, 0]));
          else socket.write(Buffer.from(connack(code)));
        } else if (type === 12) socket.write(Buffer.from([0xd0, 0]));
        else if (type === 4) answer.acknowledged?.();
        else if (type === 14 && !answer.neverEnds) socket.end();
        else if (maximumPacketSize !== undefined && packet.bytes > maximumPacketSize) socket.end(Buffer.from([0xe0, 2, 149, 0]));
        else if (type === 3) {
          const topicEnd = 2 + body.readUInt16BE(0);
          const properties = body.readUInt8(topicEnd + 2); // under 128 bytes: one byte of length
          const id = body.subarray(topicEnd, topicEnd + 2);
          const code = answer.puback(body.toString('utf8', 2, topicEnd), body.toString('utf8', topicEnd + 3 + properties), packet.bytes, id);
          if (Buffer.isBuffer(code)) socket.write(code);
          else if (typeof code === 'object') socket.end(Buffer.from([0xe0, 2, code.disconnect, 0]));
          else if (code !== undefined) reply(Buffer.from([0x40, 4, ...id, code, 0]));
        }
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  return {
    url: `mqtt://127.0.0.1:${port}`,
    connections: () => connections,
    send(packets: Buffer): void {
      for (const socket of sockets) socket.write(packets);
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function readPacket(bytes: Buffer): { type: number; body: Buffer; bytes: number } | undefined {
  let length = 0;
  for (let at = 1, factor = 1; at < bytes.length; at++, factor *= 128) {
    length += ((bytes[at] as number) & 127) * factor;
    if ((bytes[at] as number) < 128)
      return bytes.length < at + 1 + length
        ? undefined
        : { type: (bytes[0] as number) >> 4, body: bytes.subarray(at + 1, at + 1 + length), bytes: at + 1 + length };
  }
  return undefined;
}
