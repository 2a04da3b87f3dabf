import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import tls from 'node:tls';
import { connect, type IClientOptions, type MqttClient } from 'mqtt';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { topicsOf } from '../../agent/delivery/topics.ts';
import { missing } from '../support/broker.ts';
import { openOperator } from '../support/operator.ts';
import { openReferenceBroker } from '../support/reference-broker.ts';

const without = missing('mosquitto', 'openssl');
describe.skipIf(without)(`mosquitto with the configuration of deploy/mosquitto${without ? ` (left out: ${without})` : ''}`, () => {
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
  /** The reason code of the PUBACK: 0 or 16 (no subscriber) if the message was accepted. */
  const publish = (client: MqttClient, topic: string, retain = false) =>
    new Promise<number>((resolve) => {
      client.publish(topic, '{}', { qos: 1, retain }, (error, packet) =>
        resolve((error as { code?: number } | null)?.code ?? (packet as { reasonCode?: number }).reasonCode ?? 0),
      );
    });
  /**
   * Subscribes, runs `act` and then waits for a last message on a topic that the client may read, so that all earlier
   * messages have arrived.
   */
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

  test('a sensor may publish on every topic of the agent under its own name', async () => {
    const sensor = await join(lamp12);
    for (const topic of topics('lamp-12')) expect(await publish(sensor, topic), topic).toBeLessThan(128);
  });

  test('a sensor may publish under its name at any site, so a name must not be issued twice', async () => {
    const sensor = await join(lamp12);
    for (const topic of topics('lamp-12', 'elsewhere')) expect(await publish(sensor, topic), topic).toBeLessThan(128);
  });

  test('a sensor may not publish on topics of another sensor or on unknown topics: reason code 135', async () => {
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

  test('a sensor receives its own selftest messages and nothing of another sensor', async () => {
    const [one, other] = [await join(lamp12), await join(lamp13)];
    const all = async () => {
      for (const topic of topics('lamp-13')) await publish(other, topic);
    };
    expect(await heardBy(one, 'tocsin/v1/#', all, { by: one, topic: selftest('lamp-12') })).toEqual([]);
    for (const filter of ['#', 'tocsin/v1/+/lamp-13/#', 'tocsin/v1/old-port/lamp-13/event', '$share/group/tocsin/v1/#'])
      expect(await heardBy(await join(lamp12), filter, all, { by: one, topic: selftest('lamp-12') }), filter).toEqual([]);
  });

  test('the platform receives messages of every sensor and may not publish', async () => {
    const [reader, sensor] = [await join(platform), await join(lamp12)];
    const all = async () => {
      for (const topic of topics('lamp-12').filter((name) => name !== selftest('lamp-12'))) await publish(sensor, topic);
    };
    const heard = await heardBy(reader, 'tocsin/v1/#', all, { by: sensor, topic: selftest('lamp-12') });
    expect(new Set(heard)).toEqual(new Set(topics('lamp-12').filter((name) => name !== selftest('lamp-12'))));
    for (const topic of [...topics('lamp-12'), 'tocsin/v1/old-port/platform.tocsin/event']) expect(await publish(reader, topic), topic).toBe(135);
  });

  test('a will on a topic of another sensor is never published', async () => {
    const [reader, witness] = [await join(platform), await join(lamp13)];
    const die = async () => {
      const topic = topicsOf('old-port', 'lamp-13').status;
      const sensor = await join(lamp12, { will: { topic, payload: Buffer.from('{}'), qos: 1, retain: true } }).catch(() => undefined);
      if (!sensor) return; // refused at once: fine too
      const gone = new Promise<void>((resolve) => sensor.once('close', () => resolve()));
      sensor.stream.destroy();
      await gone;
    };
    expect(await heardBy(reader, topicsOf('old-port', 'lamp-13').status, die, { by: witness, topic: selftest('lamp-13') })).toEqual([]);
  });

  test("what waits for the platform is lost to whoever names its session, and the README's command has a secret name", async () => {
    const readme = readFileSync('deploy/mosquitto/README.md', 'utf8');
    const [, made, file] = /`(openssl rand -hex 16) >(\S+)`/.exec(readme) ?? [];
    expect(readme.match(/-i platform\S*( \S+\))?/g)).toEqual(Array(2).fill(`-i platform-$(cat ${file})`));
    const secret = execFileSync('sh', ['-c', made as string], { encoding: 'utf8' }).trim();
    expect(secret).toMatch(/^[0-9a-f]{32}$/);
    const sensor = await join(lamp12);
    const received = async (clientId: string, namedByThief: string) => {
      const session = { clientId, clean: false, properties: { sessionExpiryInterval: 3600 } };
      const away = await join(platform, session);
      await away.subscribeAsync(topicsOf('old-port', 'lamp-12').event, { qos: 1 });
      await away.endAsync();
      expect(await publish(sensor, topicsOf('old-port', 'lamp-12').event), 'acknowledged').toBe(0);
      await (await join(lamp13, { clientId: namedByThief })).endAsync();
      const again = await join(platform, session);
      const heard: string[] = [];
      const done = new Promise<void>((resolve) => again.on('message', (topic) => (topic === selftest('lamp-12') ? resolve() : heard.push(topic))));
      await again.subscribeAsync(selftest('lamp-12'), { qos: 1 });
      await publish(sensor, selftest('lamp-12'));
      await done;
      return heard.length;
    };
    expect(await received('platform', 'platform')).toBe(0);
    expect(await received(`platform-${secret}`, 'platform')).toBe(1);
  });

  test('a client without a certificate, with a foreign certificate or with TLS 1.1 is refused', async () => {
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

  test('a revoked certificate is refused after a restart of the broker, and others are accepted', async () => {
    const stolen = broker.operator.issue('lamp-14');
    await join(stolen);
    broker.operator.revoke(stolen.cert);
    await broker.takeUpRevocations();
    await expect(join(stolen)).rejects.toThrow();
    await join(lamp12);
  });

  test.skipIf(missing('mosquitto_pub'))('the commands of the README clear what is retained of a gone sensor alone (needs mosquitto_pub)', async () => {
    const [gone, other] = [await join(broker.operator.issue('lamp-15')), await join(broker.operator.issue('lamp-16'))];
    const retained = ['status', 'health', 'privacy'] as const;
    for (const name of retained) {
      await publish(gone, topicsOf('old-port', 'lamp-15')[name], true);
      await publish(other, topicsOf('old-port', 'lamp-16')[name], true);
    }
    const last = { by: other, topic: selftest('lamp-16') };
    const kept = async (sensor: string) => heardBy(await join(platform), `tocsin/v1/old-port/${sensor}/#`, async () => undefined, last);
    const all = (sensor: string) => retained.map((name) => topicsOf('old-port', sensor)[name]).toSorted();
    expect((await kept('lamp-15')).toSorted()).toEqual(all('lamp-15'));
    const { cert, key } = broker.operator.issue('lamp-15');
    const here = { 'broker.example.org -p 8883': `127.0.0.1 -p ${new URL(broker.url).port}`, 'ca.pem': broker.operator.ca, 'gone.pem': cert, 'gone.key': key };
    const [loop = ''] = /^for topic in[\s\S]*?^done$/m.exec(readFileSync('deploy/mosquitto/README.md', 'utf8')) ?? [];
    const commands = Object.entries(here).reduce((text, [from, to]) => text.replace(from, to), loop);
    execFileSync('bash', ['-euc', `site=old-port sensor=lamp-15\n${commands}`]);
    expect(await kept('lamp-15')).toEqual([]);
    expect((await kept('lamp-16')).toSorted()).toEqual(all('lamp-16'));
  });

  test('the ACL grants exactly the topics of the agent', () => {
    const granted = [...readFileSync('deploy/mosquitto/tocsin.acl', 'utf8').matchAll(/^pattern \w+ tocsin\/v1\/\+\/%u\/(\w+)$/gm)].map(([, name]) => name);
    expect(granted.toSorted()).toEqual(Object.keys(topicsOf('a', 'b')).toSorted());
  });
});
