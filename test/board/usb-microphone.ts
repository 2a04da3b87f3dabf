import { createServer, type Socket } from 'node:net';

/** How the microphone behaves; each field may be changed while it runs. */
export interface Behaviour {
  /** Whether it answers requests for sound. */
  streaming: boolean;
  /** Sound in place of `sound`: exact zeros. */
  zeros: boolean;
  /** Its crystal: samples that it delivers for each sample that it should. */
  speed: number;
}

export interface UsbMicrophone extends Behaviour {
  readonly port: number;
  /** The plug is pulled: the kernel sees a disconnected device. */
  unplug(): void;
  close(): Promise<void>;
}

export interface UsbIdentity {
  readonly vendor: number;
  readonly product: number;
  readonly name: string;
  /** Absent for most cheap microphones. */
  readonly serial?: string;
}

const rate = 48_000;
const bytesPerMs = (rate / 1000) * 2;
const [stalled, unlinked] = [-32, -104]; // EPIPE, ECONNRESET
const headerBytes = 48;

/**
 * A USB microphone of one channel, 48 kHz and 16 bit (USB Audio Class 1.0, full speed), behind the protocol USB/IP
 * (Documentation/usb/usbip_protocol.rst of the kernel): `usbip attach` plugs it into a machine, whose own drivers then
 * hear it. `sound(i)` is sample i since the start; beyond -1..1
 * it is clipped. It keeps its own time: what nobody asks for is lost. It
 * cannot show faults of cables, hubs and power.
 */
export async function openUsbMicrophone(identity: UsbIdentity, sound: (sample: number) => number): Promise<UsbMicrophone> {
  const sockets = new Set<Socket>();
  const behaviour: Behaviour = { streaming: true, zeros: false, speed: 1 };
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => undefined); // the machine went
    socket.on('close', () => sockets.delete(socket));
    serve(socket, identity, sound, behaviour);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return Object.assign(behaviour, {
    port: (server.address() as { port: number }).port,
    unplug() {
      for (const socket of sockets) socket.destroy();
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  });
}

function serve(socket: Socket, identity: UsbIdentity, sound: (sample: number) => number, behaviour: Behaviour): void {
  let input = Buffer.alloc(0);
  let imported = false;
  let dueMs = performance.now(); // when the last request for sound is answered
  let position = 0; // samples
  const waiting = new Map<number, NodeJS.Timeout>();
  socket.on('close', () => {
    for (const timer of waiting.values()) clearTimeout(timer);
  });

  function answerSound(sequence: number, packets: number): void {
    const now = performance.now();
    if (dueMs < now) {
      position += Math.round(((now - dueMs) * rate) / 1000); // nobody asked for it
      dueMs = now;
    }
    dueMs += packets;
    const answer = () => {
      if (!behaviour.streaming) return void waiting.set(sequence, setTimeout(answer, 100));
      waiting.delete(sequence);
      const samples = Array.from({ length: packets }, () => 2 * Math.round((bytesPerMs * behaviour.speed) / 2 + Math.random() - 0.5));
      const data = Buffer.alloc(samples.reduce((sum, bytes) => sum + bytes, 0));
      for (let i = 0; i < data.length; i += 2) data.writeInt16LE(behaviour.zeros ? 0 : Math.round(32_767 * Math.max(-1, Math.min(1, sound(position++)))), i);
      const packetList = Buffer.alloc(16 * packets);
      for (const [i, bytes] of samples.entries()) {
        packetList.writeUInt32BE(i * maxPacket, 16 * i);
        packetList.writeUInt32BE(maxPacket, 16 * i + 4);
        packetList.writeUInt32BE(bytes, 16 * i + 8);
      }
      socket.write(Buffer.concat([reply(sequence, 0, data.length, packets), data, packetList]));
    };
    waiting.set(sequence, setTimeout(answer, dueMs - now));
  }

  /** Takes one message from the input; returns whether there was a whole one. */
  function take(): boolean {
    if (!imported) {
      if (input.length < 40) return false;
      input = input.subarray(40); // OP_REQ_IMPORT and a bus number, of which there is but one
      imported = true;
      socket.write(importReply(identity));
      return true;
    }
    if (input.length < headerBytes) return false;
    const [command, sequence, , direction, endpoint] = [0, 4, 8, 12, 16].map((at) => input.readUInt32BE(at)) as [number, number, number, number, number];
    if (command === 2) {
      const victim = input.readUInt32BE(20);
      clearTimeout(waiting.get(victim));
      const answer = Buffer.alloc(headerBytes);
      answer.writeUInt32BE(4, 0);
      answer.writeUInt32BE(sequence, 4);
      answer.writeInt32BE(waiting.delete(victim) ? unlinked : 0, 20);
      socket.write(answer);
      input = input.subarray(headerBytes);
      return true;
    }
    const [length, packets] = [input.readInt32BE(24), input.readInt32BE(32)];
    const sounds = endpoint !== 0;
    const size = headerBytes + (direction === 0 ? length : 0) + (sounds ? 16 * packets : 0);
    if (input.length < size) return false;
    const setup = input.subarray(40, 48);
    if (sounds) answerSound(sequence, packets);
    else {
      const data = control(identity, setup);
      const sent = data?.subarray(0, length) ?? Buffer.alloc(0);
      socket.write(Buffer.concat([reply(sequence, data === undefined ? stalled : 0, direction === 0 ? length : sent.length, -1), sent]));
    }
    input = input.subarray(size);
    return true;
  }

  socket.on('data', (bytes) => {
    input = Buffer.concat([input, bytes]);
    while (take());
  });
}

function reply(sequence: number, status: number, length: number, packets: number): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.writeUInt32BE(3, 0);
  header.writeUInt32BE(sequence, 4);
  header.writeInt32BE(status, 20);
  header.writeInt32BE(length, 24);
  header.writeInt32BE(packets, 32);
  return header;
}

const fullSpeed = 2;

function importReply({ vendor, product }: UsbIdentity): Buffer {
  const answer = Buffer.alloc(320);
  answer.writeUInt16BE(0x0111, 0);
  answer.writeUInt16BE(3, 2);
  answer.write('/sys/devices/microphone', 8);
  answer.write('1-1', 264);
  answer.writeUInt32BE(1, 296);
  answer.writeUInt32BE(2, 300);
  answer.writeUInt32BE(fullSpeed, 304);
  answer.writeUInt16BE(vendor, 308);
  answer.writeUInt16BE(product, 310);
  answer.writeUInt16BE(0x0100, 312);
  answer.set([0, 0, 0, 1, 1, 2], 314);
  return answer;
}

const maxPacket = 200;
const word = (value: number) => [value & 255, value >> 8];

/** What a request on endpoint 0 is answered, or undefined where the microphone does not know it. */
function control(identity: UsbIdentity, setup: Buffer): Buffer | undefined {
  const [type, request] = [setup[0], setup[1]];
  if (request === 6 && type === 0x80) return descriptor(identity, setup[3] as number, setup[2] as number);
  if (request === 0 && (type as number) >= 0x80) return Buffer.from([0, 0]); // status
  if (type === 0xa2) return Buffer.from([rate & 255, (rate >> 8) & 255, rate >> 16]);
  return (type as number) < 0x80 ? Buffer.alloc(0) : undefined; // configuration, interface, rate
}

function descriptor({ vendor, product, name, serial }: UsbIdentity, type: number, index: number): Buffer | undefined {
  const strings = ['', 'Tocsin tests', name, serial ?? ''];
  if (type === 1)
    return Buffer.from([18, 1, ...word(0x0110), 0, 0, 0, 64, ...word(vendor), ...word(product), ...word(0x0100), 1, 2, serial === undefined ? 0 : 3, 1]);
  if (type === 3 && index === 0) return Buffer.from([4, 3, ...word(0x0409)]);
  if (type === 3 && strings[index]) {
    const characters = Buffer.from(strings[index], 'utf16le');
    return Buffer.concat([Buffer.from([characters.length + 2, 3]), characters]);
  }
  if (type !== 2) return undefined;
  const interfaces = [
    [9, 4, 0, 0, 0, 1, 1, 0, 0], // audio control
    [9, 0x24, 1, ...word(0x0100), ...word(30), 1, 1],
    [12, 0x24, 2, 1, ...word(0x0201), 0, 1, 0, 0, 0, 0], // a microphone
    [9, 0x24, 3, 2, ...word(0x0101), 0, 1, 0],
    [9, 4, 1, 0, 0, 1, 2, 0, 0], // audio streaming, without bandwidth
    [9, 4, 1, 1, 1, 1, 2, 0, 0],
    [7, 0x24, 1, 2, 1, 1, 0],
    [11, 0x24, 2, 1, 1, 2, 16, 1, rate & 255, (rate >> 8) & 255, rate >> 16],
    [9, 5, 0x81, 5, ...word(maxPacket), 1, 0, 0],
    [7, 0x25, 1, 1, 0, 0, 0],
  ].flat();
  return Buffer.from([9, 2, ...word(9 + interfaces.length), 2, 1, 0, 0x80, 50, ...interfaces]);
}
