import { readFileSync } from 'node:fs';
import tls from 'node:tls';
import { connect, type IClientOptions, type MqttClient } from 'mqtt';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { topicsOf } from '../../agent/delivery/topics.ts';
import { missing } from '../support/broker.ts';
import { openOperator } from '../support/operator.ts';
import { openReferenceBroker } from '../support/reference-broker.ts';

const without = missing('mosquitto', 'openssl');
describe.skipIf(without)(`mosquitto as deploy/mosquitto sets it up${without ? ` (left out: ${without})` : ''}`, () => {
  type Reference = Awaited<ReturnType<typeof openReferenceBroker>>;
  type Identity = { cert: string; key: string };
  let broker: Reference;
  let [lamp12, lamp13, platform]: Identity[] = [];
  beforeAll(async () => {
    broker = await openReferenceBroker();
    [lamp12, lamp13, platform] = ['lamp-12', 'lamp-13', 'platform.tocsin'].map((name) => broker.operator.issue(name));
  });
  afterAll(() => broker?.close());

  async function join(identity: Identity | undefined, options: IClientOptions = {}, at = broker): Promise<MqttClient> {
    const credentials = identity ? { cert: readFileSync(identity.cert), key: readFileSync(identity.key) } : {};
    const client = connect(at.url, {
      ...credentials,
      ca: readFileSync(at.operator.ca),
      protocolVersion: 5,
      reconnectPeriod: 0,
      connectTimeout: 20_000,
      ...options,
    });
    onTestFinished(() => void client.end(true));
    await new Promise<void>((resolve, reject) => {
      client.once('connect', () => resolve());
      client.once('error', reject);
      client.once('close', () => reject(new Error('closed')));
    });
    client.on('error', () => undefined);
    return client;
  }
  /** The reason code of the PUBACK: 0 or 16 (nobody subscribed) where it was taken. */
  const publish = (client: MqttClient, topic: string, retain = false) =>
    new Promise<number>((resolve) => {
      client.publish(topic, '{}', { qos: 1, retain }, (error, packet) =>
        resolve((error as { code?: number } | null)?.code ?? (packet as { reasonCode?: number }).reasonCode ?? 0),
      );
    });
  /** Subscribes, has `act` done, and then hears a last word on a topic that it may surely read: what came before it came. */
  async function heardBy(client: MqttClient, filter: string, act: () => Promise<unknown>, last: { by: MqttClient; topic: string }): Promise<string[]> {
    const heard: string[] = [];
    const done = new Promise<void>((resolve) => client.on('message', (topic) => (topic === last.topic ? resolve() : heard.push(topic))));
    for (const one of [filter, last.topic]) await client.subscribeAsync(one, { qos: 1 }).catch(() => undefined);
    await act();
    await publish(last.by, last.topic);
    await done;
    return heard;
  }
  const topics = (sensor: string, site = 'old-port') => Object.values(topicsOf(site, sensor));
  const selftest = (sensor: string) => topicsOf('old-port', sensor).selftest;

  test('a sensor writes every topic that the agent has, under its own name', async () => {
    const sensor = await join(lamp12);
    for (const topic of topics('lamp-12')) expect(await publish(sensor, topic), topic).toBeLessThan(128);
  });

  test('a name is one sensor on the whole broker: at another site it may write as well, so no name is signed twice', async () => {
    const sensor = await join(lamp12);
    for (const topic of topics('lamp-12', 'elsewhere')) expect(await publish(sensor, topic), topic).toBeLessThan(128);
  });

  test("no other sensor's, and no topic that the agent does not have: reason 135", async () => {
    const sensor = await join(lamp12);
    const foreign = [
      ...topics('lamp-13'),
      ...topics('lamp-13', 'elsewhere'),
      'tocsin/v1/old-port/lamp-12/audio',
      'tocsin/v1/old-port/lamp-12',
      'audio',
      '$SYS/x',
    ];
    for (const topic of foreign) expect(await publish(sensor, topic), topic).toBe(135);
    expect(await publish(sensor, topicsOf('old-port', 'lamp-13').status, true)).toBe(135);
  });

  test("a sensor hears its own trials and nothing of another's", async () => {
    const [one, other] = [await join(lamp12), await join(lamp13)];
    const all = async () => {
      for (const topic of topics('lamp-13')) await publish(other, topic);
    };
    expect(await heardBy(one, 'tocsin/v1/#', all, { by: one, topic: selftest('lamp-12') })).toEqual([]);
    for (const filter of ['#', 'tocsin/v1/+/lamp-13/#', 'tocsin/v1/old-port/lamp-13/event', '$share/group/tocsin/v1/#'])
      expect(await heardBy(await join(lamp12), filter, all, { by: one, topic: selftest('lamp-12') }), filter).toEqual([]);
  });

  test('the platform hears every sensor and writes nothing', async () => {
    const [reader, sensor] = [await join(platform), await join(lamp12)];
    const all = async () => {
      for (const topic of topics('lamp-12').filter((name) => name !== selftest('lamp-12'))) await publish(sensor, topic);
    };
    const heard = await heardBy(reader, 'tocsin/v1/#', all, { by: sensor, topic: selftest('lamp-12') });
    expect(new Set(heard)).toEqual(new Set(topics('lamp-12').filter((name) => name !== selftest('lamp-12'))));
    for (const topic of [...topics('lamp-12'), 'tocsin/v1/old-port/platform.tocsin/event']) expect(await publish(reader, topic), topic).toBe(135);
  });

  test("a will on another's topic is never published", async () => {
    const [reader, witness] = [await join(platform), await join(lamp13)];
    const die = async () => {
      const topic = topicsOf('old-port', 'lamp-13').status;
      const sensor = await join(lamp12, { will: { topic, payload: Buffer.from('{}'), qos: 1, retain: true } }).catch(() => undefined);
      if (!sensor) return; // refused at once: as good
      const gone = new Promise<void>((resolve) => sensor.once('close', () => resolve()));
      sensor.stream.destroy();
      await gone;
    };
    expect(await heardBy(reader, topicsOf('old-port', 'lamp-13').status, die, { by: witness, topic: selftest('lamp-13') })).toEqual([]);
  });

  test('without a certificate, with one of another authority, or with an old protocol nobody comes in', async () => {
    await expect(join(undefined)).rejects.toThrow();
    await expect(join(openOperator('Strangers').issue('lamp-12'))).rejects.toThrow();
    const { port } = new URL(broker.url);
    const said = await new Promise<string>((resolve) => {
      const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL@SECLEVEL=0', rejectUnauthorized: false } as const;
      const socket = tls.connect({
        ...old,
        host: '127.0.0.1',
        port: Number(port),
        cert: readFileSync(lamp12?.cert ?? ''),
        key: readFileSync(lamp12?.key ?? ''),
      });
      socket.once('error', ({ message }) => resolve(message));
      socket.once('secureConnect', () => resolve(`a connection with ${socket.getProtocol()}`));
    });
    expect(said).toMatch(/alert protocol version/i);
  });

  test('a revoked certificate is refused after the restart, and the others are not', async () => {
    const stolen = broker.operator.issue('lamp-14');
    await join(stolen);
    broker.operator.revoke(stolen.cert);
    await broker.takeUpRevocations();
    await expect(join(stolen)).rejects.toThrow();
    await join(lamp12);
  });

  test('every topic of the agent is in the ACL and no other', () => {
    const granted = [...readFileSync('deploy/mosquitto/tocsin.acl', 'utf8').matchAll(/^pattern \w+ tocsin\/v1\/\+\/%u\/(\w+)$/gm)].map(([, name]) => name);
    expect(granted.toSorted()).toEqual(Object.keys(topicsOf('a', 'b')).toSorted());
  });
});
