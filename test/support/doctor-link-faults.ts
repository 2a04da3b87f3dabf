// Faults between the board and the platform: from the route to the broker's access control.

import { spawnSync } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { Aedes } from 'aedes';
import { connectAsync } from 'mqtt';
import { expect } from 'vitest';
import { machineProbes } from '../../agent/cli/doctor/probes.ts';
import { releasedMs } from '../../agent/lib/clock.ts';
import { type Broker, freePort, openEmbeddedBroker, openMosquitto } from './broker.ts';
import { type Identity, openAuthority, undated } from './certificates.ts';
import { clock, type DoctorBench, files, type Planted, type Row, routed, scene, store } from './doctor.ts';
import { openScriptedBroker } from './faults.ts';
import { openOperator } from './operator.ts';

type BrokerName =
  | 'plain'
  | 'unheard'
  | 'closed'
  | 'statusOnly'
  | 'testsOnly'
  | 'unretained'
  | 'unacknowledged'
  | 'narrow'
  | 'good'
  | 'expired'
  | 'early'
  | 'misnamed'
  | 'forClients'
  | 'demanding'
  | 'old';
export interface Link {
  readonly brokers: Record<BrokerName, Broker>;
  readonly ca: string;
  readonly foreignCa: string;
  readonly endedCa: string;
  /** An authority under that of the brokers; it ends in less than 30 days. */
  readonly between: string;
  readonly own: Record<'good' | 'soon' | 'expired' | 'early' | 'foreign' | 'neighbour' | 'under', Identity>;
}

/** Starts brokers with and without faults, and issues certificates for this sensor. */
export async function openLink({ folder, undo }: DoctorBench): Promise<Link> {
  const authority = openAuthority(folder, 'authority');
  const foreign = openAuthority(folder, 'foreign');
  const between = openOperator('between', folder, authority);
  const own = {
    good: authority.issue('post-1', 400),
    soon: authority.issue('post-1', 12),
    expired: authority.issue('post-1', -1),
    early: authority.issueEarly('post-1'),
    foreign: foreign.issue('stranger', 400),
    neighbour: authority.issue('post-2', 400),
    under: between.issue('post-1', { days: 400 }),
  };
  const started: Broker[] = [];
  undo.push(() => Promise.all(started.map((broker) => broker.close())));
  const start = async (acl: string | undefined, extra: string[]) => {
    const broker = await openMosquitto(mkdtempSync(join(folder, 'broker-')), await freePort(), acl, extra);
    started.push(broker);
    return broker;
  };
  const open = ['allow_anonymous true'];
  const secure = async ({ cert, key }: { cert: string; key: string }, more: string[] = []) => {
    const broker = await start(undefined, ['allow_anonymous true', `cafile ${authority.ca}`, `certfile ${cert}`, `keyfile ${key}`, ...more]);
    return { ...broker, url: broker.url.replace('mqtt://127.0.0.1', 'mqtts://localhost') };
  };
  const passwords = join(folder, 'passwords');
  writeFileSync(passwords, '', { mode: 0o600 });
  execPassword(passwords, 'post-1', 'right');
  const old = await openEmbeddedBroker();
  undo.push(() => old.close());
  const brokers = {
    old,
    plain: await start(undefined, open),
    unheard: await start(undefined, open),
    unretained: await start(undefined, [...open, 'retain_available false']),
    unacknowledged: await start(undefined, [...open, 'max_qos 0']),
    narrow: await start(undefined, [...open, 'max_packet_size 1000']),
    closed: await start(undefined, ['allow_anonymous false', `password_file ${passwords}`]),
    statusOnly: await start('topic write tocsin/v1/test/post-1/status\n', open),
    testsOnly: await start('topic write tocsin/v1/test/post-1/selftest\n', open),
    good: await secure(authority.issue('localhost', 400)),
    expired: await secure(authority.issue('localhost', -1)),
    early: await secure(authority.issueEarly('localhost')),
    misnamed: await secure(authority.issue('other.example', 400)),
    forClients: await secure(authority.issue('localhost', 398, 'DNS:localhost\nextendedKeyUsage=clientAuth')),
    demanding: await secure(authority.issue('localhost', 399), ['require_certificate true']),
  };
  const identity = { ca: readFileSync(authority.ca), cert: readFileSync(own.good.cert), key: readFileSync(own.good.key) };
  for (const { url } of [brokers.plain, brokers.demanding, brokers.good]) {
    const platform = await connectAsync(url, url.startsWith('mqtts') ? identity : {});
    undo.push(() => platform.endAsync(true));
    await platform.subscribeAsync('tocsin/v1/#');
  }
  return { brokers, ca: authority.ca, foreignCa: foreign.ca, endedCa: authority.ended(), between: between.ca, own };
}

/** `link` is called when a fault is planted. */
export function linkFaults(bench: DoctorBench, link: () => Link): Row[] {
  const { folder, undo } = bench;
  /** A broker elsewhere without TLS: its name and port lead to the local broker. */
  const openWay = (): Planted => ({
    mqtt: { allowPlaintext: true },
    probes: {
      ...routed,
      resolve: async () => '192.0.2.1',
      reach: async () => undefined,
      openLink: (mqtt, ...rest) => machineProbes('', clock).openLink({ ...mqtt, url: link().brokers.plain.url }, ...rest),
    },
  });
  async function scripted(answer: Parameters<typeof openScriptedBroker>[0]): Promise<Planted> {
    const broker = await openScriptedBroker(answer);
    undo.push(() => broker.close());
    return { url: broker.url };
  }
  async function closedAedes(): Promise<Planted> {
    const aedes = await Aedes.createBroker();
    aedes.authorizePublish = (_client, _packet, done) => done(new Error('not allowed'));
    const server = createServer(aedes.handle);
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    undo.push(() => new Promise<void>((done) => aedes.close(() => server.close(() => done()))));
    return { url: `mqtt://127.0.0.1:${(server.address() as { port: number }).port}`, mqtt: { protocol: '3.1.1' } };
  }
  /** A server that supports nothing newer than TLS 1.1. */
  async function outdatedTls(): Promise<Planted> {
    const { cert, key } = link().own.good;
    const server = createTlsServer({
      cert: readFileSync(cert),
      key: readFileSync(key),
      minVersion: 'TLSv1',
      maxVersion: 'TLSv1.1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    undo.push(() => server.close());
    return { url: `mqtts://localhost:${(server.address() as { port: number }).port}`, mqtt: { caFile: link().ca } };
  }
  function secured({ cert, key }: { cert: string; key: string }, url: string, caFile = link().ca): Planted {
    return { url, mqtt: { caFile, certFile: cert, keyFile: key } };
  }
  const succeeded = () => kept(readFileSync(link().own.expired.cert, 'utf8') + readFileSync(link().ca, 'utf8'));
  function kept(content: string | Buffer): string {
    const path = join(mkdtempSync(join(folder, 'file-')), 'file');
    writeFileSync(path, content);
    return path;
  }
  const inDer = (path: string) => new X509Certificate(readFileSync(path)).raw;
  const inUtf16 = (path: string) => Buffer.from(readFileSync(path, 'utf8'), 'utf16le');
  const swapped = ({ cert, key }: Identity) => ({ cert: key, key: cert });
  const requested = ({ cert, key }: Identity) => ({ cert, key: key.replace(/key$/, 'csr') });
  function locked({ cert, key }: Identity): Identity {
    const pem = createPrivateKey(readFileSync(key)).export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' });
    return { cert, key: kept(pem) };
  }
  function password(text: string): object {
    const passwordFile = join(mkdtempSync(join(folder, 'secret-')), 'password');
    writeFileSync(passwordFile, text);
    return { username: 'post-1', passwordFile };
  }
  async function webServer(): Promise<Planted> {
    const server = createServer((socket) => socket.on('error', () => undefined).end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    undo.push(() => server.close());
    return { url: `mqtt://127.0.0.1:${(server.address() as { port: number }).port}` };
  }
  /** nginx (`stream`) takes the connection, finds no broker behind it, and ends it. */
  async function balancer(): Promise<Planted> {
    const server = createServer((socket) => socket.on('error', () => undefined).once('data', () => socket.end()));
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    undo.push(() => server.close());
    return { url: `mqtts://127.0.0.1:${(server.address() as { port: number }).port}` };
  }
  function fullForAnother(): Promise<Planted> {
    let connections = 0;
    return scripted({ connack: () => (connections++ === 0 ? 0 : 137), puback: () => 0 });
  }
  /** RabbitMQ 3.10 hangs up on MQTT 5. Any other CONNECT is answered: the password is wrong. */
  async function hangsUp(...versions: number[]): Promise<Planted> {
    const server = createServer((socket) =>
      socket
        .on('error', () => undefined)
        .on('data', (connect) => {
          const isRefused = versions.includes(connect[8] as number); // after the fixed header of two bytes and the name
          socket.end(isRefused ? '' : Buffer.from([0x20, 2, 0, 4]));
        }),
    );
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    undo.push(() => server.close());
    return { url: `mqtt://127.0.0.1:${(server.address() as { port: number }).port}` };
  }
  return [
    ['no route', () => ({ url: 'mqtts://192.0.2.1', probes: files({ '/proc/net/route': '', '/proc/net/ipv6_route': '' }) }), 'network', 'fail', 'network.none'],
    ['an unknown name', () => ({ ...away, probes: { ...routed, resolve: () => refuse('ENOTFOUND') } }), 'name', 'fail', 'host.unknown'],
    ['no name server', () => ({ ...away, probes: { ...routed, resolve: () => refuse('EAI_AGAIN') } }), 'name', 'fail', 'host.server'],
    ['no listener on the port', async () => ({ url: `mqtt://127.0.0.1:${await freePort()}` }), 'port', 'fail', 'port.refused'],
    ['a firewall', () => ({ url: 'mqtts://192.0.2.77', probes: { ...routed, reach: unanswered } }), 'port', 'fail', 'port.silent'],
    ['a broker of another certificate authority', () => ({ url: link().brokers.good.url, mqtt: { caFile: link().foreignCa } }), 'tls', 'fail', 'tls.ca'],
    ['a broker certificate for another name', () => ({ url: link().brokers.misnamed.url, mqtt: { caFile: link().ca } }), 'tls', 'fail', 'tls.name'],
    ['a broker certificate for clients', () => ({ url: link().brokers.forClients.url, mqtt: { caFile: link().ca } }), 'tls', 'fail', 'tls.unsuitable'],
    ['an expired broker', () => ({ url: link().brokers.expired.url, mqtt: { caFile: link().ca } }), 'tls', 'fail', 'tls.expired'],
    ['an expired authority of the broker', () => ({ url: link().brokers.good.url, mqtt: { caFile: link().endedCa } }), 'tls', 'fail', 'tls.authority'],
    ['a broker certificate that is not valid yet', () => ({ url: link().brokers.early.url, mqtt: { caFile: link().ca } }), 'tls', 'fail', 'tls.early'],
    ['a broker with outdated TLS', outdatedTls, 'tls', 'fail', 'tls.other'],
    ['no TLS across a network', () => ({ ...openWay(), url: 'mqtt://broker.example.org' }), 'tls', 'warn', 'tls.open'],
    ['TLS to a plain port', () => ({ url: link().brokers.plain.url.replace('mqtt:', 'mqtts:') }), 'tls', 'fail', 'tls.ended'],
    ['TLS to a web server', async () => ({ url: (await webServer()).url?.replace('mqtt:', 'mqtts:') ?? '' }), 'tls', 'fail', 'tls.plain'],
    ['a load balancer without a broker', balancer, 'tls', 'fail', 'tls.ended'],
    ['no CA file', () => ({ url: link().brokers.good.url, mqtt: { caFile: '/nowhere.pem' } }), 'tls', 'fail', 'tls.files'],
    ['a broker that requires a certificate', () => ({ url: link().brokers.demanding.url, mqtt: { caFile: link().ca } }), 'tls', 'fail', 'tls.client'],
    ['a certificate of another authority', () => secured(link().own.foreign, link().brokers.demanding.url), 'tls', 'fail', 'tls.client'],
    [
      'the key of another certificate',
      () => secured({ cert: link().own.good.cert, key: link().own.foreign.key }, link().brokers.demanding.url),
      'tls',
      'fail',
      'tls.key',
    ],
    ['another sensor’s certificate', () => secured(link().own.neighbour, link().brokers.demanding.url), 'tls', 'warn', 'tls.stranger'],
    ['an authority in DER', () => ({ url: link().brokers.good.url, mqtt: { caFile: kept(inDer(link().ca)) } }), 'tls', 'fail', 'tls.notCertificate'],
    ['an authority in UTF-16', () => ({ url: link().brokers.good.url, mqtt: { caFile: kept(inUtf16(link().ca)) } }), 'tls', 'fail', 'tls.notCertificate'],
    ['certificate and key swapped', () => secured(swapped(link().own.good), link().brokers.good.url), 'tls', 'fail', 'tls.notCertificate'],
    ['a key with a passphrase', () => secured(locked(link().own.good), link().brokers.good.url), 'tls', 'fail', 'tls.notKey'],
    ['the request in place of the key', () => secured(requested(link().own.good), link().brokers.good.url), 'tls', 'fail', 'tls.notKey'],
    ['an expired sensor certificate', () => secured(link().own.expired, link().brokers.good.url), 'dates', 'fail', 'dates.expired'],
    ['a sensor certificate that is not valid yet', () => secured(link().own.early, link().brokers.good.url), 'dates', 'fail', 'dates.early'],
    ['no authority file, and no TLS to need it', () => ({ mqtt: { caFile: '/nowhere.pem' } }), 'dates', 'fail', 'dates.absent'],
    ['an authority file without a certificate', () => ({ mqtt: { caFile: scene } }), 'dates', 'fail', 'dates.unreadable'],
    ['an authority whose dates are none', () => ({ mqtt: { caFile: kept(undated(readFileSync(link().ca, 'utf8'))) } }), 'dates', 'fail', 'dates.unreadable'],
    ['an expired authority', () => ({ mqtt: { caFile: link().own.expired.cert } }), 'dates', 'fail', 'dates.expired'],
    ['an expired authority followed by the valid one', () => secured(link().own.good, link().brokers.good.url, succeeded()), 'dates', 'pass', 'dates.ok'],
    ['a sensor certificate that expires soon', () => secured(link().own.soon, link().brokers.good.url), 'dates', 'warn', 'dates.soon'],
    [
      'a clock that is behind',
      () => ({ ...secured(link().own.good, link().brokers.good.url), probes: { clock: { ...clock, wallMs: () => releasedMs + 3_600_000 } } }),
      'dates',
      'fail',
      'dates.early',
    ],
    ['a wrong password', () => ({ url: link().brokers.closed.url, mqtt: password('wrong') }), 'broker', 'fail', 'broker.login'],
    ['no password', () => ({ url: link().brokers.closed.url }), 'broker', 'fail', 'broker.login'],
    ['no password file', () => ({ url: link().brokers.closed.url, mqtt: { username: 'post-1', passwordFile: '/nowhere' } }), 'broker', 'fail', 'broker.files'],
    ['a broker without MQTT 5', () => ({ url: link().brokers.old.url }), 'broker', 'fail', 'broker.version'],
    ['a broker that hangs up on MQTT 5', () => hangsUp(5), 'broker', 'fail', 'broker.version'],
    ['a broker that hangs up on any version', () => hangsUp(4, 5), 'broker', 'fail', 'broker.ended'],
    ['a broker that answers no CONNECT', () => scripted({ connack: () => Buffer.alloc(0), puback: () => 0 }), 'broker', 'fail', 'broker.silent'],
    ['a broker that is full', () => scripted({ connack: () => 137, puback: () => 0 }), 'broker', 'fail', 'broker.busy'],
    ['a broker that sends its clients elsewhere', () => scripted({ connack: () => 157, puback: () => 0 }), 'broker', 'fail', 'broker.code'],
    ['a broker without retained messages', () => ({ url: link().brokers.unretained.url }), 'broker', 'fail', 'broker.retained'],
    ['a broker of small messages', () => ({ url: link().brokers.narrow.url }), 'broker', 'fail', 'broker.size'],
    ['a broker of QoS 0', () => ({ url: link().brokers.unacknowledged.url }), 'broker', 'fail', 'broker.qos'],
    ['a web server instead of a broker', webServer, 'broker', 'fail', 'broker.other'],
    ['MQTT 3.1.1', () => ({ url: link().brokers.plain.url, mqtt: { protocol: '3.1.1' } }), 'acl', 'warn', 'acl.hidden'],
    ['no subscriber to events', () => ({ url: link().brokers.unheard.url, plant: (path) => store(path, false, Date.now()) }), 'acl', 'fail', 'acl.unheard'],
    ['no subscriber to tests, without pending events', () => ({ url: link().brokers.unheard.url }), 'acl', 'warn', 'acl.alone'],
    [
      'no subscriber, and none required',
      () => ({ url: link().brokers.unheard.url, mqtt: { requireSubscriber: false }, plant: (path) => store(path, false, Date.now()) }),
      'acl',
      'pass',
      'acl.ok',
    ],
    ['a broker that acknowledges nothing', () => scripted({ puback: () => undefined }), 'acl', 'fail', 'acl.silent'],
    ['a broker that ends the connection over a message', () => scripted({ puback: () => ({ disconnect: 135 }) }), 'acl', 'fail', 'acl.ended'],
    ['an MQTT 3.1.1 broker that ends the connection over a message', closedAedes, 'acl', 'fail', 'acl.ended'],
    ['a will that may not be published', () => scripted({ connack: (flags) => (flags & 4 ? 144 : 0), puback: () => 0 }), 'acl', 'fail', 'acl.will'],
    ['a broker that is full for a second client', fullForAnother, 'acl', 'pass', 'acl.ok'],
    ['no permission to publish', () => ({ url: link().brokers.statusOnly.url }), 'acl', 'fail', 'acl.refused'],
    [
      'no permission to publish events',
      () => ({ url: link().brokers.testsOnly.url, plant: (path) => store(path, false, Date.now()) }),
      'acl',
      'fail',
      'acl.refused',
    ],
  ];
}

const away: Planted = { url: 'mqtts://broker.example.org' };
function refuse(code: string): Promise<never> {
  return Promise.reject(Object.assign(new Error(code), { code }));
}
/** Never answers until aborted. doctor-link.test.ts has a real one where a namespace can be made. */
function unanswered(_host: string, _port: number, stop: AbortSignal): Promise<never> {
  return new Promise((_, reject) => stop.addEventListener('abort', () => reject(stop.reason)));
}
function execPassword(file: string, user: string, text: string): void {
  expect(spawnSync('mosquitto_passwd', ['-b', file, user, text]).status).toBe(0);
}
