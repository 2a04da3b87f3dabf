import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { checkConfig } from '../../agent/config/load-config.ts';
import { readCredentials } from '../../agent/config/secrets.ts';
import { deliver } from '../../agent/delivery/deliver.ts';
import { openLink } from '../../agent/delivery/link.ts';
import { mqttPublisher } from '../../agent/delivery/mqtt-publisher.ts';
import type { LinkFault } from '../../agent/lib/faults.ts';
import type { Logger } from '../../agent/lib/logger.ts';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { type Broker, freePort, missing, openMosquitto } from '../support/broker.ts';
import { type Identity, openAuthority } from '../support/certificates.ts';
import { fixedClock, limits, recordedEvent } from '../support/samples.ts';

// Real mosquitto, real certificates and the courier's own loop, for one sensor at a time.
const without = missing('mosquitto', 'openssl');
describe.skipIf(without)(`TLS with a certificate for each sensor${without ? ` (left out: ${without})` : ''}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-tls-'));
  let ours: ReturnType<typeof openAuthority>;
  let foreign: ReturnType<typeof openAuthority>;
  let sensor: Record<'good' | 'expired' | 'revoked' | 'foreign' | 'forServers' | 'remade', Identity>;
  const brokers: Partial<Record<'good' | 'expired' | 'misnamed' | 'foreign' | 'forClients', Broker>> = {};
  let outbox: Outbox;

  beforeAll(async () => {
    ours = openAuthority(folder, 'ours');
    foreign = openAuthority(folder, 'foreign');
    sensor = {
      good: ours.issue('post-1', 30),
      expired: ours.issue('post-1', -1),
      revoked: ours.issue('post-1', 40),
      foreign: foreign.issue('post-1', 50),
      forServers: ours.issue('post-1', 60, 'DNS:post-1\nextendedKeyUsage=serverAuth'),
      remade: openAuthority(mkdtempSync(join(folder, 'remade-')), 'ours').issue('post-1', 70, 'DNS:post-1\nauthorityKeyIdentifier=none'), // older OpenSSL writes none
    };
    const crl = ours.revocations(sensor.revoked);
    const local = 'DNS:localhost,IP:127.0.0.1';
    const identities = {
      good: ours.issue('broker', 30, local),
      expired: ours.issue('broker', -1, local),
      misnamed: ours.issue('elsewhere', 30),
      foreign: foreign.issue('broker', 33, local),
      forClients: ours.issue('broker', 31, `${local}\nextendedKeyUsage=clientAuth`),
    };
    for (const entry of readdirSync(folder, { withFileTypes: true })) if (entry.isFile()) chmodSync(join(folder, entry.name), 0o644);
    for (const [name, { cert, key }] of Object.entries(identities)) {
      const lines = [`cafile ${ours.ca}`, `certfile ${cert}`, `keyfile ${key}`, `crlfile ${crl}`, 'require_certificate true', 'use_identity_as_username true'];
      const mine = mkdtempSync(join(folder, 'broker-'));
      chmodSync(mine, 0o755);
      brokers[name as keyof typeof identities] = await openMosquitto(mine, await freePort(), 'pattern write tocsin/v1/+/%u/#\n', lines);
    }
    chmodSync(folder, 0o755);
  });
  afterAll(async () => {
    for (const broker of Object.values(brokers)) await broker.close();
  });
  beforeEach(() => {
    outbox = openSqliteOutbox(join(mkdtempSync(join(folder, 'outbox-')), 'outbox.db'), limits);
    outbox.append(recordedEvent(0));
    onTestFinished(() => outbox.close());
  });

  const urlOf = (broker: Broker | undefined) => (broker as Broker).url.replace('mqtt://127.0.0.1', 'mqtts://localhost');

  const told: string[] = []; // what systemd would show

  /** Runs the courier until it logs a matching line or has sent the event. Returns its log. */
  async function run(url: string, identity: Partial<Identity>, name = 'post-1', until = /not connected|refuses events/) {
    told.length = 0;
    const files = identity.cert ? { certFile: identity.cert, keyFile: identity.key } : {};
    const { mqtt } = checkConfig({ site: 'a', sensor: name, mqtt: { url, caFile: ours.ca, ackTimeoutSeconds: 5, requireSubscriber: false, ...files } }, 'test');
    const stop = new AbortController();
    const lines: { fault?: LinkFault; reason?: string; message: string }[] = [];
    const log = (fields: object, message: string) => {
      lines.push({ ...fields, message });
      if (until.test(message)) stop.abort();
    };
    const logger: Logger = { debug: log, info: log, warn: log, error: log };
    const clock = fixedClock({ monotonicMs: () => performance.now() });
    const progress = () => void (outbox.pendingCount() === 0 && stop.abort());
    const options = { site: 'a', sensor: name, version: '0.1.0', maxInFlight: 16, historicalAfterSeconds: 60, maxAgeMs: 1e15, acknowledgeWithinMs: 0 };
    const openPublisher = mqttPublisher(mqtt, readCredentials(mqtt), `tocsin-a-${name}`);
    const link = openLink((words) => told.push(words));
    await deliver(options, { outbox, openPublisher, clock, logger, random: () => 0, progress, link }, stop.signal);
    return lines;
  }

  test('with valid certificates on both sides the event is delivered', async () => {
    await run(urlOf(brokers.good), sensor.good);
    expect(outbox.fates()).toMatchObject({ sent: 1 });
    expect(told).toEqual(['broker: connecting', 'broker: connected']);
  });

  test.each<[string, () => [string, Partial<Identity>], LinkFault]>([
    ['a broker certificate of another authority', () => [urlOf(brokers.foreign), sensor.good], 'broker_untrusted'],
    ['a broker certificate for another name', () => [urlOf(brokers.misnamed), sensor.good], 'broker_name'],
    ['a broker certificate for clients only', () => [urlOf(brokers.forClients), sensor.good], 'broker_unsuitable'],
    ['an expired broker certificate', () => [urlOf(brokers.expired), sensor.good], 'broker_expired'],
    ['no sensor certificate', () => [urlOf(brokers.good), {}], 'certificate_refused'],
    ['a sensor certificate of another authority', () => [urlOf(brokers.good), sensor.foreign], 'certificate_refused'],
    ['an expired sensor certificate', () => [urlOf(brokers.good), sensor.expired], 'certificate_refused'],
    ['a sensor certificate for servers only', () => [urlOf(brokers.good), sensor.forServers], 'certificate_refused'],
    ['a sensor certificate of another authority of the same name', () => [urlOf(brokers.good), sensor.remade], 'certificate_refused'],
    ['a revoked sensor certificate', () => [urlOf(brokers.good), sensor.revoked], 'certificate_refused'],
  ])('with %s the connection fails with its named fault, and the event is kept and sent later', async (_what, where, fault) => {
    const lines = await run(...where());
    expect(lines.at(-1)).toMatchObject({ fault, message: 'not connected; events are kept' });
    expect(told.at(-1)).toBe(`broker: ${fault}`);
    expect(JSON.stringify(lines), 'what stands in the certificate of a broker').not.toContain('elsewhere');
    expect(outbox.fates()).toMatchObject({ sent: 0, expired: 0, dropped: 0 });
    expect(outbox.pendingCount()).toBe(1);
    await run(urlOf(brokers.good), sensor.good);
    expect(outbox.fates()).toMatchObject({ sent: 1 });
  });

  test.each(['mqtts', 'wss'])('over %s, NODE_TLS_REJECT_UNAUTHORIZED does not make the courier trust a foreign broker', async (protocol) => {
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    onTestFinished(() => {
      delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    });
    const lines = await run(urlOf(brokers.foreign).replace('mqtts', protocol), sensor.good);
    expect(lines.at(-1)).toMatchObject({ fault: 'broker_untrusted' });
    expect(outbox.pendingCount()).toBe(1);
  });

  test('an event on the topics of another sensor is refused and kept', async () => {
    const lines = await run(urlOf(brokers.good), sensor.good, 'post-2', /refuses events/);
    expect(lines.at(-1)).toMatchObject({ message: expect.stringContaining('refuses events'), reason: expect.stringContaining('135') });
    expect(told.at(-1)).toBe('broker: connected, events refused');
    expect(outbox.pendingCount()).toBe(1);
  });

  const weak = ['-cipher', 'ALL:@SECLEVEL=0'];
  test.each<[string, string[], LinkFault, string[]?]>([
    ['speaks TLS 1.1 at most', ['-tls1_1', ...weak], 'tls_version'],
    ['speaks TLS 1.2 at most', ['-tls1_2'], 'connection_lost'], // TLS succeeds: only MQTT is missing then
    ['has a key that is too weak', weak, 'broker_unsuitable', ['-newkey', 'rsa:1024']],
  ])('the fault with a broker that %s', async (_what, version, fault, newKey) => {
    const port = await freePort();
    const { cert, key } = ours.issue('broker', 32, 'DNS:localhost,IP:127.0.0.1', newKey);
    const server = spawn('openssl', ['s_server', '-accept', String(port), '-cert', cert, '-key', key, '-quiet', ...version], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    onTestFinished(() => void server.kill('SIGKILL'));
    let heard = 0;
    server.stdout.on('data', (bytes: Buffer) => {
      heard += bytes.length;
      server.kill('SIGKILL');
    });
    const lines = await untilListening(() => run(`mqtts://localhost:${port}`, sensor.good));
    expect(lines.at(-1)?.fault).toBe(fault);
    expect(heard > 0).toBe(fault === 'connection_lost');
    expect(outbox.pendingCount()).toBe(1);
  });

  /** Retries until the server listens. */
  async function untilListening(attempt: () => ReturnType<typeof run>) {
    for (let i = 0; ; i++) {
      const lines = await attempt();
      if (lines.at(-1)?.fault !== 'unreachable' || i > 200) return lines;
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  test('a load balancer whose broker is down ends the connection before TLS: that passes by itself, and is tried each minute', async () => {
    const balancer = createServer((socket) => socket.on('error', () => undefined).once('data', () => socket.end()));
    onTestFinished(() => void balancer.close());
    await once(balancer.listen(0, '127.0.0.1'), 'listening');
    const url = `mqtts://127.0.0.1:${(balancer.address() as AddressInfo).port}`;
    expect((await run(url, sensor.good)).at(-1)?.fault).toBe('connection_lost');
  });

  test('the faults of a broker without TLS and of an absent broker', async () => {
    const plain = await openMosquitto(mkdtempSync(join(folder, 'plain-')), await freePort());
    expect((await run(urlOf(plain), sensor.good)).at(-1)?.fault).toBe('connection_lost'); // mosquitto closes the connection without an alert
    await plain.close();
    expect((await run(urlOf(plain), sensor.good)).at(-1)?.fault).toBe('unreachable');
    expect(outbox.pendingCount()).toBe(1);
  });
});
