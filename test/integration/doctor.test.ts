import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { type CheckId, type Result, runChecks, type State } from '../../agent/cli/doctor/check.ts';
import { machineProbes, type Probes } from '../../agent/cli/doctor/probes.ts';
import { allChecks, showResult, toJson } from '../../agent/cli/doctor.ts';
import { catalogue, openTranslate, text } from '../../agent/cli/translate.ts';
import { systemClock } from '../../agent/lib/clock.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { type Broker, freePort, missing, openEmbeddedBroker, openMosquitto } from '../support/broker.ts';
import { openAuthority } from '../support/certificates.ts';
import { openScriptedBroker } from '../support/faults.ts';
import { limits, recordedEvent } from '../support/samples.ts';

const signal = new AbortController().signal;
const without = missing('mosquitto', 'mosquitto_passwd', 'openssl');
const folder = mkdtempSync(join(tmpdir(), 'tocsin-doctor-'));
const scene = resolve('test/demo/scene.flac');
const clock = { ...systemClock(), synchronised: () => true };

type Overrides = { microphone?: object; model?: object; outbox?: object; mqtt?: object; site?: string };
let count = 0;
function writeConfig({ mqtt, ...overrides }: Overrides, url: string): string {
  const home = join(folder, String(++count));
  mkdirSync(home);
  const path = join(home, 'tocsin.yaml');
  openSqliteOutbox(join(home, 'outbox.db'), limits).close();
  const config = { site: 'test', sensor: 'post-1', microphone: { adapter: 'file', file: scene }, outbox: { path: join(home, 'outbox.db') }, ...overrides };
  writeFileSync(path, stringify({ ...config, mqtt: { url, ...mqtt } }));
  return path;
}

async function examine(path: string, change: Partial<Probes> = {}): Promise<Result[]> {
  const results: Result[] = [];
  for await (const result of runChecks(allChecks, { ...machineProbes(path, clock), ...change }, signal)) results.push(result);
  return results;
}

/** The machine's files, with some in place of its own. */
const files = (replaced: Record<string, string>): Partial<Probes> => ({
  read: (path) => replaced[path] ?? machineProbes('', clock).read(path),
});
const cool = { '/sys/class/thermal/thermal_zone0/temp': '40000' };
/** What `systemctl show` says of two units. It cannot show what systemd does with them. */
const systemctl = (listener: object, courier: object): Partial<Probes> => ({
  command: async (name) => {
    const unit = (id: string, change: object) => {
      const shown = { Id: id, LoadState: 'loaded', ActiveState: 'active', SubState: 'running', NRestarts: 0, ...change };
      return Object.entries(shown)
        .map(([key, value]) => `${key}=${value}\n`)
        .join('');
    };
    const stdout = `${unit('tocsin-listener.service', listener)}\n${unit('tocsin-courier.service', courier)}`;
    return name === 'systemctl' ? { code: 0, stdout, stderr: '' } : { code: 127, stdout: '', stderr: '' };
  },
  ...verified('pass'),
});
/** The one line that `privacy verify` is asked for; what it finds on real processes is shown by its own tests. */
function verified(state: 'pass' | 'fail' | 'unchecked'): Partial<Probes> {
  const found = { pass: text('privacy.network.ok', { namespace: 'net:[1]' }), fail: text('privacy.network.shared'), unchecked: text('privacy.notAllowed') }[
    state
  ];
  const line = { check: 'network', part: 'listener', what: text('privacy.what.network'), how: text('privacy.how.network'), byHand: 'ip link' } as const;
  return { verifyPrivacy: async () => [{ ...line, state, found }] };
}
/** A program that stands for arecord where no device can be broken on purpose: it says and writes what arecord would. */
function standIn(script: string): () => void {
  const bin = mkdtempSync(join(folder, 'bin-'));
  writeFileSync(join(bin, 'arecord'), `#!/bin/sh\n${script}\n`);
  chmodSync(join(bin, 'arecord'), 0o755);
  const { PATH } = process.env;
  process.env.PATH = `${bin}:${PATH}`;
  return () => {
    process.env.PATH = PATH;
  };
}
const alsa = (device = 'default') => ({ microphone: { adapter: 'alsa', device, sampleRateHz: 16000 } });
const pcm = (perl: string) => `exec perl -MTime::HiRes=time,sleep -e '$|=1; ${perl}'`;
/** 16 kHz against the clock, as a sound card does: a pause of the machine is caught up. */
const paced = (samples: string, share = 1) =>
  pcm(`$t = time; for (1..200) { print ${samples}; $t += ${0.1 / share}; $rest = $t - time; sleep($rest) if $rest > 0; }`);

interface Planted extends Overrides {
  readonly url?: string;
  readonly probes?: Partial<Probes>;
  /** Does something to the configured sensor before the examination, and may return how to undo it. */
  readonly plant?: (path: string) => (() => void) | undefined;
}
type Row = [name: string, plant: () => Promise<Planted> | Planted, check: CheckId, state: State, finding: string];

let brokers: Record<'plain' | 'closed' | 'statusOnly' | 'testsOnly' | 'good' | 'expired' | 'early' | 'misnamed' | 'demanding', Broker> & { old: Broker };
let ca = '';
let foreignCa = '';
let own: Record<'good' | 'soon' | 'expired' | 'early' | 'foreign', { cert: string; key: string }>;
const undo: (() => Promise<unknown> | unknown)[] = [];

describe.skipIf(without)(`doctor names the fault${without ? ` (left out: ${without})` : ''}`, () => {
  beforeAll(async () => {
    const authority = openAuthority(folder, 'authority');
    const foreign = openAuthority(folder, 'foreign');
    [ca, foreignCa] = [authority.ca, foreign.ca];
    own = {
      good: authority.issue('post-1', 400),
      soon: authority.issue('post-1', 12),
      expired: authority.issue('post-1', -1),
      early: authority.issueEarly('post-1'),
      foreign: foreign.issue('stranger', 400),
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
      const broker = await start(undefined, ['allow_anonymous true', `cafile ${ca}`, `certfile ${cert}`, `keyfile ${key}`, ...more]);
      return { ...broker, url: broker.url.replace('mqtt://127.0.0.1', 'mqtts://localhost') };
    };
    const passwords = join(folder, 'passwords');
    writeFileSync(passwords, '', { mode: 0o600 });
    execPassword(passwords, 'post-1', 'right');
    const old = await openEmbeddedBroker();
    undo.push(() => old.close());
    brokers = {
      old,
      plain: await start(undefined, open),
      closed: await start(undefined, ['allow_anonymous false', `password_file ${passwords}`]),
      statusOnly: await start('topic write tocsin/v1/test/post-1/status\n', open),
      testsOnly: await start('topic write tocsin/v1/test/post-1/selftest\n', open),
      good: await secure(authority.issue('localhost', 400)),
      expired: await secure(authority.issue('localhost', -1)),
      early: await secure(authority.issueEarly('localhost')),
      misnamed: await secure(authority.issue('other.example', 400)),
      demanding: await secure(authority.issue('localhost', 399), ['require_certificate true']),
    };
  });
  afterAll(async () => {
    for (const step of undo) await step();
    rmSync(folder, { recursive: true, force: true });
  });

  test('a sensor with nothing wrong passes every check', async () => {
    const right = standIn(paced('pack("s<*", map { 900*sin($_/7)+rand(9) } 1..1600)'));
    const mqtt = { caFile: ca, certFile: own.good.cert, keyFile: own.good.key };
    const path = writeConfig({ ...alsa(), mqtt }, brokers.demanding.url);
    const results = await examine(path, { ...systemctl({}, {}), ...files({ ...cool, '/sys/devices/platform/soc/soc:firmware/get_throttled': '0\n' }) });
    right();
    expect(results.filter(({ state }) => state !== 'pass').map((result) => toJson(result, openTranslate('en')))).toEqual([]);
    expect(results.map(({ check }) => check)).toEqual(allChecks.map(({ id }) => id));
  });

  const rows: Row[] = [
    ['no configuration', () => ({ plant: (path) => void rmSync(path) }), 'config', 'fail', 'config.wrong'],
    ['a wrong key in it', () => ({ site: 'Vieux Port' }), 'config', 'fail', 'config.wrong'],
    ['a hot board', () => ({ probes: files({ '/sys/class/thermal/thermal_zone0/temp': '83500' }) }), 'board', 'warn', 'board.hot'],
    ['little memory', () => ({ probes: files({ ...cool, '/proc/meminfo': 'MemAvailable:  60000 kB\n' }) }), 'board', 'warn', 'board.small'],
    ['under-voltage', () => ({ probes: files({ '/sys/devices/platform/soc/soc:firmware/get_throttled': '50005' }) }), 'power', 'fail', 'power.now'],
    ['throttled before', () => ({ probes: files({ '/sys/devices/platform/soc/soc:firmware/get_throttled': '20000' }) }), 'power', 'warn', 'power.since'],
    ['the clock at 1970', () => ({ probes: { clock: { ...clock, wallMs: () => 60_000 } } }), 'clock', 'fail', 'clock.unset'],
    ['a clock nobody set', () => ({ probes: { clock: { ...clock, synchronised: () => false } } }), 'clock', 'warn', 'clock.unsynchronised'],
    ['no such microphone', () => alsa('plughw:CARD=Nowhere,DEV=0'), 'microphone', 'fail', missing('arecord') ? 'microphone.tool' : 'microphone.absent'],
    [
      'no arecord',
      () => {
        const { PATH } = process.env;
        process.env.PATH = '/nowhere';
        const back = () => {
          process.env.PATH = PATH;
        };
        return { ...alsa(), plant: () => back };
      },
      'microphone',
      'fail',
      'microphone.tool',
    ],
    ['a busy microphone', standing('echo "arecord: main:831: audio open error: Device or resource busy" >&2; exit 1'), 'microphone', 'fail', 'microphone.busy'],
    ['a forbidden one', standing('echo "arecord: main:831: audio open error: Permission denied" >&2; exit 1'), 'microphone', 'fail', 'microphone.forbidden'],
    ['one that gives nothing', standing('exec sleep 60'), 'microphone', 'fail', 'microphone.stalled'],
    ['half the samples', standing(paced('pack("s<*", map { 900*sin($_/7)+rand(9) } 1..1600)', 0.5)), 'microphone', 'fail', 'microphone.slow'],
    [
      'a capture that fails otherwise',
      standing('echo "arecord: set_params:1416: Unable to install hw params" >&2; exit 1'),
      'microphone',
      'fail',
      'microphone.other',
    ],
    ['a file instead of a microphone', () => ({}), 'microphone', 'warn', 'microphone.file'],
    ['exact zeros', standing(paced('"\\0" x 3200')), 'level', 'fail', 'level.zeros'],
    ['a constant', standing(paced('pack("s<*", (700) x 1600)')), 'level', 'fail', 'level.flat'],
    ['a covered microphone', standing(paced('pack("s<*", map { int(rand(4)) } 1..1600)')), 'level', 'warn', 'level.quiet'],
    ['clipping', standing(paced('pack("s<*", map { $_ % 40 < 20 ? 32767 : -32768 } 1..1600)')), 'level', 'warn', 'level.clipped'],
    ['no model', () => ({ model: { path: join(folder, 'no-model') } }), 'model', 'fail', 'model.missing'],
    ['a changed model', () => ({ model: { path: changedModel() } }), 'model', 'fail', 'model.wrong'],
    ['a slow board', () => ({ probes: { tryModel: async () => ({ name: 'street', version: '1', costMs: 900 }) } }), 'model', 'fail', 'model.slow'],
    ['a damaged outbox', () => ({ plant: damage }), 'outbox', 'fail', 'outbox.damaged'],
    ['no outbox', () => ({ plant: (path) => void rmSync(outboxOf(path)) }), 'outbox', 'warn', 'outbox.none'],
    ['events that wait', () => ({ plant: store }), 'outbox', 'warn', 'outbox.late'],
    ['events that expired', () => ({ plant: (path) => store(path, true) }), 'outbox', 'warn', 'outbox.lost'],
    ['a small disk', () => ({ probes: { freeMegabytes: () => 60 } }), 'disk', 'warn', 'disk.low'],
    ['no folder for it', () => ({ outbox: { path: join(folder, 'nowhere', 'outbox.db') } }), 'disk', 'fail', 'disk.absent'],
    [
      'no way out',
      () => ({ url: 'mqtts://192.0.2.1', probes: files({ '/proc/net/route': '', '/proc/net/ipv6_route': '' }) }),
      'network',
      'fail',
      'network.none',
    ],
    ['an unknown name', () => ({ ...away, probes: { ...routed, resolve: () => refuse('ENOTFOUND') } }), 'name', 'fail', 'host.unknown'],
    ['no name server', () => ({ ...away, probes: { ...routed, resolve: () => refuse('EAI_AGAIN') } }), 'name', 'fail', 'host.server'],
    ['nothing on the port', async () => ({ url: `mqtt://127.0.0.1:${await freePort()}` }), 'port', 'fail', 'port.refused'],
    ['a firewall', () => ({ url: 'mqtts://192.0.2.77', probes: { ...routed, reach: unanswered } }), 'port', 'fail', 'port.silent'],
    ['another authority', () => ({ url: brokers.good.url, mqtt: { caFile: foreignCa } }), 'tls', 'fail', 'tls.ca'],
    ['another name', () => ({ url: brokers.misnamed.url, mqtt: { caFile: ca } }), 'tls', 'fail', 'tls.name'],
    ['an expired broker', () => ({ url: brokers.expired.url, mqtt: { caFile: ca } }), 'tls', 'fail', 'tls.expired'],
    ['a broker whose day has not come', () => ({ url: brokers.early.url, mqtt: { caFile: ca } }), 'tls', 'fail', 'tls.early'],
    ['a broker with TLS of the last century', outdatedTls, 'tls', 'fail', 'tls.other'],
    ['no TLS across a network', () => ({ ...openWay, url: 'mqtt://broker.example.org' }), 'tls', 'warn', 'tls.open'],
    ['TLS to a plain port', () => ({ url: brokers.plain.url.replace('mqtt:', 'mqtts:') }), 'tls', 'fail', 'tls.plain'],
    ['no CA file', () => ({ url: brokers.good.url, mqtt: { caFile: '/nowhere.pem' } }), 'tls', 'fail', 'tls.files'],
    ['a certificate demanded', () => ({ url: brokers.demanding.url, mqtt: { caFile: ca } }), 'tls', 'fail', 'tls.client'],
    ['a stranger’s certificate', () => secured(own.foreign, brokers.demanding.url), 'tls', 'fail', 'tls.client'],
    ['a key of another', () => secured({ cert: own.good.cert, key: own.foreign.key }, brokers.demanding.url), 'tls', 'fail', 'tls.key'],
    ['our certificate expired', () => secured(own.expired, brokers.good.url), 'dates', 'fail', 'dates.expired'],
    ['our certificate of tomorrow', () => secured(own.early, brokers.good.url), 'dates', 'fail', 'dates.early'],
    ['an authority that is no certificate', () => ({ mqtt: { caFile: scene } }), 'dates', 'fail', 'dates.unreadable'],
    ['our certificate ends soon', () => secured(own.soon, brokers.good.url), 'dates', 'warn', 'dates.soon'],
    [
      'a clock behind',
      () => ({ ...secured(own.good, brokers.good.url), probes: { clock: { ...clock, wallMs: () => Date.UTC(2026, 1, 1) } } }),
      'dates',
      'fail',
      'dates.early',
    ],
    ['a wrong password', () => ({ url: brokers.closed.url, mqtt: password('wrong') }), 'broker', 'fail', 'broker.login'],
    ['no password', () => ({ url: brokers.closed.url }), 'broker', 'fail', 'broker.login'],
    ['no password file', () => ({ url: brokers.closed.url, mqtt: { username: 'post-1', passwordFile: '/nowhere' } }), 'broker', 'fail', 'broker.files'],
    ['a broker without MQTT 5', () => ({ url: brokers.old.url }), 'broker', 'fail', 'broker.version'],
    ['a broker that is full', () => scripted({ connack: () => 137, puback: () => 0 }), 'broker', 'fail', 'broker.busy'],
    ['no broker but a web server', webServer, 'broker', 'fail', 'broker.other'],
    ['MQTT 3.1.1', () => ({ url: brokers.plain.url, mqtt: { protocol: '3.1.1' } }), 'acl', 'warn', 'acl.hidden'],
    ['a broker that acknowledges nothing', () => scripted({ puback: () => undefined }), 'acl', 'fail', 'acl.silent'],
    ['no right to publish', () => ({ url: brokers.statusOnly.url }), 'acl', 'fail', 'acl.refused'],
    ['no right to publish events', () => ({ url: brokers.testsOnly.url, plant: (path) => store(path, false, Date.now()) }), 'acl', 'fail', 'acl.refused'],
    ['a service down', () => ({ probes: systemctl({}, { ActiveState: 'failed', SubState: 'failed' }) }), 'services', 'fail', 'services.down'],
    ['a service not installed', () => ({ probes: systemctl({ LoadState: 'not-found' }, {}) }), 'services', 'fail', 'services.missing'],
    ['a service that dies', () => ({ probes: systemctl({ NRestarts: 7 }, {}) }), 'services', 'warn', 'services.restarts'],
    ['a listener with a network', () => ({ probes: { ...systemctl({}, {}), ...verified('fail') } }), 'privacy', 'fail', 'privacy.open'],
    ['privacy that cannot be seen', () => ({ probes: { ...systemctl({}, {}), ...verified('unchecked') } }), 'privacy', 'warn', 'privacy.unchecked'],
  ];

  test.each(rows)('%s', async (_name, plant, check, state, finding) => {
    const { url, probes, plant: act, ...overrides } = await plant();
    const path = writeConfig(overrides, url ?? brokers.plain.url);
    const back = act?.(path);
    const results = await examine(path, probes).finally(() => back?.());
    const named = results.find((result) => result.check === check);
    expect({ state: named?.state, finding: named?.found.key }).toEqual({ state, finding: `doctor.${finding}` });
    // what fails first in the order of the data's way is the fault itself
    if (state === 'fail') expect(results.find((result) => result.state === 'fail')?.check).toBe(check);
    else expect(results.filter((result) => result.state === 'fail')).toEqual([]);
    for (const result of results) if (result.state === 'warn' || result.state === 'fail') expect(result.hint, result.found.key).toBeDefined();
    for (const language of ['en', 'fr'] as const)
      for (const line of results.flatMap((result) => showResult(result, openTranslate(language), narrow).split('\n')))
        if (line.trim().includes(' ') && !/\/tmp|tocsin\/v1/.test(line)) expect(line.length, line).toBeLessThanOrEqual(60);
  });

  test('every finding that has a hint is planted', () => {
    const elsewhere = ['disk.full', 'disk.readOnly', 'forbidden', 'outbox.forbidden', 'timeout', 'defect']; // below; a defect is none of the machine
    const planted = new Set([...rows.map(([, , , , finding]) => finding), 'microphone.absent', 'microphone.tool', ...elsewhere]);
    const hinted = Object.keys(catalogue).flatMap((key) => /^doctor\.(.+)\.try$/.exec(key)?.[1] ?? []);
    expect(hinted.filter((finding) => !planted.has(finding))).toEqual([]);
    expect(planted.size).toBeGreaterThanOrEqual(20);
  });

  const notRoot = process.getuid?.() !== 0 ? 'needs root, to give it up' : undefined;
  test.skipIf(notRoot)(`an ordinary user is told to come back with sudo${notRoot ? ` (left out: ${notRoot})` : ''}`, () => {
    chmodSync(folder, 0o755);
    const user = { uid: 65534, gid: 65534, encoding: 'utf8' } as const;
    const inside = join(folder, 'inside');
    mkdirSync(inside, { mode: 0o750 }); // as /var/lib/tocsin
    const path = writeConfig({ outbox: { path: join(inside, 'outbox.db') }, mqtt: { caFile: join(inside, 'ca.pem') } }, brokers.good.url);
    const look = () => {
      const { stdout } = spawnSync(process.execPath, ['agent/main.ts', 'doctor', '--json', '-c', path], user);
      const { checks } = JSON.parse(stdout) as { checks: { check: string; state: string; finding: string; try: string }[] };
      return checks.filter(({ state }) => state === 'fail').map(({ check, finding, try: hint }) => `${check}: ${finding}: ${hint}`);
    };
    const hint = 'sudo tocsin doctor';
    expect(look()).toEqual([`outbox: outbox.forbidden: ${hint}`, `disk: forbidden: ${hint}`, `tls: forbidden: ${hint}`, `dates: forbidden: ${hint}`]);
    chmodSync(path, 0o600);
    expect(look()).toEqual([`config: forbidden: ${hint}`]);
  });

  const unmountable = process.getuid?.() !== 0 || spawnSync('unshare', ['-m', 'true']).status !== 0 ? 'needs root and mount' : undefined;
  test.skipIf(unmountable).each([
    ['a full disk', 'mount -t tmpfs -o size=20m none "$1" && head -c 12000000 /dev/zero > "$1"/filler', 'disk.full'],
    ['a read-only disk', 'mount -t tmpfs -o size=400m none "$1" && mount -o remount,ro "$1"', 'disk.readOnly'],
  ])(`%s${unmountable ? ` (left out: ${unmountable})` : ''}`, (_name, mount, finding) => {
    const disk = join(folder, finding);
    mkdirSync(disk);
    const path = writeConfig({ outbox: { path: join(disk, 'outbox.db') } }, brokers.plain.url);
    const script = `${mount} && exec "$2" agent/main.ts doctor --json -c "$3"`;
    const { stdout, status } = spawnSync('unshare', ['-m', 'sh', '-c', script, 'sh', disk, process.execPath, path], { encoding: 'utf8' });
    const { healthy, checks } = JSON.parse(stdout) as { healthy: boolean; checks: { check: string; finding: string }[] };
    expect(checks.find(({ check }) => check === 'disk')?.finding).toBe(finding);
    expect({ healthy, status }).toEqual({ healthy: false, status: 8 });
  });

  const swallow =
    'ip link add v0 type veth peer name v1 && ip address add 192.0.2.9/24 dev v0 && ip link set v0 up && ip link set v1 up && ip route add default via 192.0.2.1';
  const noNamespace = spawnSync('unshare', ['-n', 'sh', '-c', swallow]).status !== 0 ? 'needs root, unshare -n and ip' : undefined;
  test.skipIf(noNamespace).each([
    ['without a network', 'true', 'mqtts://broker.example.org', 'network.none'],
    ['whose network swallows everything', swallow, 'mqtts://192.0.2.77', 'port.silent'],
  ])(`a board %s${noNamespace ? ` (left out: ${noNamespace})` : ''}`, (_name, prepare, url, finding) => {
    const path = writeConfig({}, url);
    const script = `${prepare} && exec "$1" agent/main.ts doctor --json -c "$2"`;
    const { stdout } = spawnSync('unshare', ['-n', 'sh', '-c', script, 'sh', process.execPath, path], { encoding: 'utf8' });
    const { checks } = JSON.parse(stdout) as { checks: { check: string; finding: string; state: string }[] };
    expect(checks.filter(({ state }) => state === 'fail').map((check) => check.finding)).toEqual([finding]);
  });

  test('a check that hangs is cut off, and all of them stay under 15 s', async () => {
    const hang = () => new Promise<never>(() => undefined);
    const began = performance.now();
    const path = writeConfig(alsa(), 'mqtts://broker.example.org');
    const results = await examine(path, { ...routed, listen: hang, tryModel: hang, command: hang, resolve: async () => '192.0.2.1', reach: hang });
    expect(performance.now() - began).toBeLessThan(15_000);
    expect(results.filter(({ found }) => found.key === 'doctor.timeout').map(({ check }) => check)).toEqual([
      'power',
      'microphone',
      'model',
      'port',
      'services',
    ]);
    // the budget of all together cuts the rest short
    const late = performance.now();
    for await (const _result of runChecks(allChecks, { ...machineProbes(path, clock), ...routed, listen: hang, command: hang, resolve: hang }, signal, 200));
    expect(performance.now() - late).toBeLessThan(2500);
  });
});

const narrow = { columns: 60, colours: { green: String, yellow: String, red: String, dim: String, cyan: String, bold: String } as never };
const away: Planted = { url: 'mqtts://broker.example.org' };
const routed: Partial<Probes> = { ...files({ '/proc/net/route': 'Iface Destination Gateway Flags\neth0 00000000 010200C0 0003\n' }) };

/** A broker somewhere else, without TLS: its name and port lead to the one here. */
const openWay: Planted = {
  mqtt: { allowPlaintext: true },
  probes: {
    ...routed,
    resolve: async () => '192.0.2.1',
    reach: async () => undefined,
    openLink: (mqtt, ...rest) => machineProbes('', clock).openLink({ ...mqtt, url: brokers.plain.url }, ...rest),
  },
};
async function scripted(answer: Parameters<typeof openScriptedBroker>[0]): Promise<Planted> {
  const broker = await openScriptedBroker(answer);
  undo.push(() => broker.close());
  return { url: broker.url };
}
/** Speaks nothing newer than TLS 1.1, which nobody should. */
async function outdatedTls(): Promise<Planted> {
  const { cert, key } = own.good;
  const server = createTlsServer({
    cert: readFileSync(cert),
    key: readFileSync(key),
    minVersion: 'TLSv1',
    maxVersion: 'TLSv1.1',
    ciphers: 'DEFAULT@SECLEVEL=0',
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  undo.push(() => server.close());
  return { url: `mqtts://localhost:${(server.address() as { port: number }).port}`, mqtt: { caFile: ca } };
}
function standing(script: string): () => Planted {
  return () => {
    const back = standIn(script);
    return { ...alsa(), plant: () => back };
  };
}
function refuse(code: string): Promise<never> {
  return Promise.reject(Object.assign(new Error(code), { code }));
}
/** Never answers, until given up on. A real one is below, where a namespace can be made. */
function unanswered(_host: string, _port: number, stop: AbortSignal): Promise<never> {
  return new Promise((_, reject) => stop.addEventListener('abort', () => reject(stop.reason)));
}
function secured({ cert, key }: { cert: string; key: string }, url: string): Planted {
  return { url, mqtt: { caFile: ca, certFile: cert, keyFile: key } };
}
function password(text: string): object {
  const passwordFile = join(mkdtempSync(join(folder, 'secret-')), 'password');
  writeFileSync(passwordFile, text);
  return { username: 'post-1', passwordFile };
}
function execPassword(file: string, user: string, text: string): void {
  expect(spawnSync('mosquitto_passwd', ['-b', file, user, text]).status).toBe(0);
}
function outboxOf(path: string): string {
  return join(path, '..', 'outbox.db');
}
function changedModel(): string {
  const copy = join(mkdtempSync(join(folder, 'model-')), 'street');
  cpSync('models/street', copy, { recursive: true });
  const file = openSync(join(copy, 'model.onnx'), 'r+');
  writeSync(file, 'x', 1000);
  return copy;
}
function damage(path: string): undefined {
  const bytes = readFileSync(outboxOf(path));
  bytes.fill(0x55, 1024, 8 * 1024);
  writeFileSync(outboxOf(path), bytes);
}
function store(path: string, expired = false, onsetWallMs = Date.now() - 3_600_000): undefined {
  const outbox = openSqliteOutbox(outboxOf(path), limits);
  for (let i = 0; i < 3; i++) outbox.append(recordedEvent(i, { onsetWallMs }));
  if (expired) outbox.expire({ ...systemClock(), monotonicMs: 0, wallMs: Date.now() }, 1000);
  outbox.close();
}
async function webServer(): Promise<Planted> {
  const server = createServer((socket) => socket.on('error', () => undefined).end('HTTP/1.1 400 Bad Request\r\n\r\n'));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  undo.push(() => server.close());
  return { url: `mqtt://127.0.0.1:${(server.address() as { port: number }).port}` };
}
