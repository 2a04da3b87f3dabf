// A broker that sends a sensor other things than answers: too large, too many, or of another kind. The brokers are scripted; what a real
// one would have to do to send this is not shown. How much memory this process takes is not measured: the packets are larger than it may have.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, onTestFinished, test } from 'vitest';
import { checkConfig } from '../../agent/config/load-config.ts';
import { linkFaultOf } from '../../agent/delivery/link-fault.ts';
import { openMqttProbe } from '../../agent/delivery/mqtt-probe.ts';
import { mqttPublisher } from '../../agent/delivery/mqtt-publisher.ts';
import type { Publisher } from '../../agent/delivery/publisher.ts';
import { BrokerError } from '../../agent/lib/errors.ts';
import { soon } from '../support/courier.ts';
import { openScriptedBroker } from '../support/faults.ts';

const topic = 'tocsin/v1/a/b/event';
const mqttOf = (url: string) =>
  checkConfig({ site: 'a', sensor: 'b', mqtt: { url, ackTimeoutSeconds: 60, keepaliveSeconds: 1200, requireSubscriber: false } }, 'test').mqtt;

type Answer = Parameters<typeof openScriptedBroker>[0];
async function scripted(answer: Answer) {
  const broker = await openScriptedBroker(answer);
  onTestFinished(() => broker.close());
  return mqttOf(broker.url);
}

const opened: Publisher[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((publisher) => publisher.close(false)));
});
async function connect(answer: Answer): Promise<Publisher> {
  const publisher = await mqttPublisher(
    await scripted(answer),
    {},
    'tocsin_a_b',
  )({ topic: 'tocsin/v1/a/b/status', payload: '{}' }, new AbortController().signal);
  opened.push(publisher);
  return publisher;
}
const publish = (publisher: Publisher) => publisher.publish(topic, '{}', { retain: false });

const lengthOf = (bytes: number) => [(bytes & 127) | 128, ((bytes >> 7) & 127) | 128, ((bytes >> 14) & 127) | 128, bytes >> 21];
const endless = Buffer.concat([Buffer.from([0x30, ...lengthOf(200_000_000)]), Buffer.alloc(200_000)]); // the beginning of a PUBLISH
const message = (id: number) => Buffer.from([0x34, 7, 0, 1, 97, id >> 8, id & 255, 0, 0]); // PUBLISH, QoS 2
const messages = (count: number) => Buffer.concat(Array.from({ length: count }, (_, i) => message(i + 1)));
const puback = (id: Buffer) => Buffer.from([0x40, 2, ...id]);

test.each([
  ['PUBREC', 0x50],
  ['PUBCOMP', 0x70],
])('a %s is no PUBACK: the message is not taken for delivered, and no topic is suspected', async (name, header) => {
  const publisher = await connect({ puback: (_topic, _payload, _bytes, id) => Buffer.from([header, 2, ...id]) });
  const failure = await publish(publisher).catch((error: unknown) => error);
  expect(failure).toMatchObject({ message: `Expected a PUBACK for ${topic}, got a ${name} in place of a PUBACK`, refused: false });
  expect([failure, publisher.lost.reason].map(linkFaultOf)).toEqual(['other', 'other']);
});

test('a refusal of the sensor by a code that MQTT does not know is told with the code', async () => {
  const opening = mqttPublisher(
    await scripted({ connack: () => 200, puback: () => 0 }),
    {},
    'tocsin_a_b',
  )({ topic, payload: '{}' }, new AbortController().signal);
  await expect(opening).rejects.toThrow(/to accept the sensor, got: Connection refused: reason code 200$/);
});

test('a packet of 200 MB ends the connection once more of it has come than a packet may have', async () => {
  const publisher = await connect({ puback: () => endless });
  await expect(publish(publisher)).rejects.toThrow('got a packet of more than 16384 bytes');
});

test('before it has accepted the sensor, too', async () => {
  const mqtt = await scripted({ connack: () => endless, puback: () => 0 });
  const opening = mqttPublisher(mqtt, {}, 'tocsin_a_b')({ topic, payload: '{}' }, new AbortController().signal);
  await expect(opening).rejects.toThrow('to accept the sensor, got: a packet of more than 16384 bytes');
});

test('a PUBACK with a reason longer than the size that was announced to the broker ends the connection', async () => {
  const reason = Buffer.alloc(20_000, 'x');
  const properties = Buffer.concat([Buffer.from([0x1f, reason.length >> 8, reason.length & 255]), reason]);
  const long = (id: Buffer) => Buffer.concat([id, Buffer.from([0, ...lengthOf(properties.length)]), properties]);
  const publisher = await connect({
    puback: (_topic, _payload, _bytes, id) => Buffer.concat([Buffer.from([0x40, ...lengthOf(long(id).length)]), long(id)]),
  });
  await expect(publish(publisher)).rejects.toThrow(`Expected a PUBACK for ${topic}`);
  expect(publisher.lost.aborted).toBe(true);
});

test('a thousand messages that nobody subscribed to are overlooked; one more ends the connection', async () => {
  const publisher = await connect({ puback: (_topic, payload, _bytes, id) => Buffer.concat([payload === '{}' ? messages(1000) : message(1), puback(id)]) });
  await publish(publisher);
  expect(publisher.lost.aborted).toBe(false);
  await publisher.publish(topic, '{"more":1}', { retain: false }).catch(() => undefined);
  await soon(() => expect(publisher.lost.aborted).toBe(true));
  expect(publisher.lost.reason.message).toBe('Expected the broker to hold the connection, got: 1000 packets that nobody asked for');
});

test.each([
  ['PINGRESP', Buffer.from([0xd0, 0])],
  ['PUBACK of messages that were not sent', Buffer.from([0x40, 3, 0, 7, 16])],
  ['DISCONNECT that ends nothing', Buffer.from([0xe0, 2, 0, 0])],
])('so does a flood of %s', async (_what, packet) => {
  const publisher = await connect({ puback: () => Buffer.concat(Array.from({ length: 1002 }, () => packet)) });
  await expect(publish(publisher)).rejects.toThrow('1000 packets that nobody asked for');
});

test('answers that were asked for are not counted, nor are their bytes: 3,000 messages over one connection', async () => {
  const reason = [0x1f, 0, 33, ...Buffer.alloc(33, 'x')]; // MQTT 5, 3.4.2.2.2
  const publisher = await connect({ puback: (_topic, _payload, _bytes, id) => Buffer.from([0x40, 4 + reason.length, ...id, 0, reason.length, ...reason]) });
  for (let i = 0; i < 30; i++) await Promise.all(Array.from({ length: 100 }, () => publish(publisher)));
  expect(publisher.lost.aborted).toBe(false);
});

test('a person’s test of the link is bounded in the same way, and takes no PUBCOMP for a PUBACK', async () => {
  const before = await scripted({ connack: () => endless, puback: () => 0 });
  await expect(openMqttProbe(before, {}, 'tocsin_a_b_doctor', 60_000)).rejects.toThrow('to accept the sensor, got: a packet of more than 16384 bytes');
  const after = await scripted({ puback: (_topic, _payload, _bytes, id) => Buffer.from([0x70, 2, ...id]) });
  const probe = await openMqttProbe(after, {}, 'tocsin_a_b_doctor', 60_000);
  onTestFinished(() => probe.close());
  await expect(probe.publishUnchecked(topic, '{}')).rejects.toThrow();
});

test('a CONNACK without a code ends the connection', async () => {
  const mqtt = { ...(await scripted({ connack: () => Buffer.from([0x20, 1, 0]), puback: () => 0 })), protocol: '3.1.1' as const };
  const opening = mqttPublisher(mqtt, {}, 'tocsin_a_b')({ topic, payload: '{}' }, new AbortController().signal);
  await expect(opening).rejects.toThrow('got: a CONNACK without a return code');
});

test('a person’s test of the link reports the end of the connection at once, whatever was asked and when', async () => {
  const probe = await openMqttProbe(await scripted({ connack: () => ({ disconnect: 0 }), puback: () => 0 }), {}, 'tocsin_a_b_doctor', 1000);
  onTestFinished(() => probe.close());
  for (let turn = 0; turn < 2; turn++) {
    const answers = await Promise.all([probe.subscribe(topic, () => undefined), probe.publishUnchecked(topic, '{}')].map((asked) => asked.catch(String)));
    expect(answers).toEqual(['SUBACK', 'PUBACK'].map((name) => `BrokerError: Expected a ${name} for ${topic}, got the end of the connection`));
  }
});

test.each([
  ['an AUTH', Buffer.from([0xf0, 2, 24, 0])],
  ['a packet that is none of MQTT', Buffer.from([0xf8, 1, 2])],
])('it reports %s as what came, in an error of its own', async (_what, packet) => {
  const probe = await openMqttProbe(await scripted({ puback: () => packet }), {}, 'tocsin_a_b_doctor', 60_000);
  onTestFinished(() => probe.close());
  const failure = await probe.publishUnchecked(topic, '{}').catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(BrokerError);
  expect(failure).toMatchObject({ message: expect.stringContaining(`Expected a PUBACK for ${topic}, got `) });
});

test('a broker that does not take the version of MQTT is not one without TLS 1.2', async () => {
  const mqtt = await scripted({ connack: () => 132, puback: () => 0 });
  const failure = await openMqttProbe(mqtt, {}, 'tocsin_a_b_doctor', 60_000).catch((error: unknown) => error);
  expect(failure).toMatchObject({ message: expect.stringContaining('Unsupported Protocol Version') });
  expect(linkFaultOf(failure)).toBe('other');
});

test('over a WebSocket: a frame of 100 MB ends the connection before it has come', async () => {
  const server = createServer();
  server.on('upgrade', ({ headers }, socket) => {
    const accept = createHash('sha1').update(`${headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
    socket.on('error', () => undefined).on('data', () => socket.end()); // the client waits 30 s for the end of the connection
    socket.write(`HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    const frame = Buffer.from([0x82, 127, 0, 0, 0, 0, 0, 0, 0, 0]);
    frame.writeUInt32BE(100_000_000, 6);
    socket.write(frame);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const mqtt = mqttOf(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const opening = mqttPublisher(mqtt, {}, 'tocsin_a_b')({ topic, payload: '{}' }, new AbortController().signal);
  await expect(opening).rejects.toThrow('Max payload size exceeded');
});

test('over a WebSocket: the answer of a server at another path is told, not a broken connection', async () => {
  const server = createServer((_, response) => response.writeHead(404).end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const failure = await openMqttProbe(mqttOf(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/other`), {}, 'tocsin_a_b_doctor', 60_000).catch(
    (error: unknown) => error,
  );
  expect(failure).toMatchObject({ message: expect.stringMatching(/to accept the sensor, got: Unexpected server response: 404$/) });
  expect(linkFaultOf(failure)).toBe('other');
});
