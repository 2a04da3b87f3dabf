import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Result, runChecks } from '../../agent/cli/doctor/check.ts';
import { nameOfStranger } from '../../agent/cli/doctor/credential-checks.ts';
import { machineProbes } from '../../agent/cli/doctor/probes.ts';
import { allChecks, toJson } from '../../agent/cli/doctor.ts';
import { openTranslate, text } from '../../agent/cli/translate.ts';
import { missing } from '../support/broker.ts';
import { alsa, clock, cool, examine, expectNamed, files, openDoctorBench, paced, signal, systemctl } from '../support/doctor.ts';
import { courierFaults } from '../support/doctor-courier-faults.ts';
import { type Link, linkFaults, openLink } from '../support/doctor-link-faults.ts';

const without = missing('mosquitto', 'mosquitto_passwd', 'openssl');
const bench = openDoctorBench();
const { folder, writeConfig, standIn } = bench;
let link: Link;

describe.skipIf(without)(`doctor names the fault of the link${without ? ` (left out: ${without})` : ''}`, () => {
  beforeAll(async () => {
    link = await openLink(bench);
  });
  afterAll(() => bench.close());

  test('a sensor without a fault passes every check', async () => {
    const right = standIn(paced('pack("s<*", map { 900*sin($_/7)+rand(9) } 1..1600)'));
    const mqtt = { caFile: link.ca, certFile: link.own.good.cert, keyFile: link.own.good.key };
    const path = writeConfig({ ...alsa(), mqtt }, link.brokers.demanding.url);
    const machine = files({ '/sys/devices/platform/soc/soc:firmware/get_throttled': '0\n', '/proc/self/mountinfo': '' }); // /tmp may be in memory
    const results = await examine(path, { ...systemctl({}, {}), ...cool, ...machine });
    right();
    expect(results.filter(({ state }) => state !== 'pass').map((result) => toJson(result, openTranslate('en')))).toEqual([]);
    expect(results.map(({ check }) => check)).toEqual(allChecks.map(({ id }) => id));
    expect(results.find(({ check }) => check === 'tls')?.found.values).toEqual({ protocol: 'TLSv1.3' });
  });

  const rows = [...linkFaults(bench, () => link), ...courierFaults(bench)];
  test.each(rows)('%s', (...row) => expectNamed(bench, row, link.brokers.plain.url));

  const notRoot = process.getuid?.() !== 0 ? 'needs root, to give it up' : undefined;
  test.skipIf(notRoot)(`an ordinary user gets a hint to use sudo${notRoot ? ` (left out: ${notRoot})` : ''}`, () => {
    chmodSync(folder, 0o755);
    const user = { uid: 65534, gid: 65534, encoding: 'utf8' } as const;
    const inside = join(folder, 'inside');
    mkdirSync(inside, { mode: 0o750 }); // like /var/lib/tocsin
    const path = writeConfig({ outbox: { path: join(inside, 'outbox.db') }, mqtt: { caFile: join(inside, 'ca.pem') } }, link.brokers.good.url);
    const look = () => {
      const { stdout } = spawnSync(process.execPath, ['agent/main.ts', 'doctor', '--json', '-c', path], user);
      const { checks } = JSON.parse(stdout) as { checks: { check: string; state: string; finding: string; found: string; try: string }[] };
      expect(checks.find(({ check }) => check === 'tls')?.found).toMatch(new RegExp(`${join(inside, 'ca.pem')}$|not tried`));
      return checks.filter(({ state }) => state === 'fail').map(({ check, finding, try: hint }) => `${check}: ${finding}: ${hint}`);
    };
    const hint = `sudo tocsin doctor -c ${path}`;
    expect(look()).toEqual([`outbox: outbox.forbidden: ${hint}`, `disk: forbidden: ${hint}`, `tls: forbidden: ${hint}`, `dates: forbidden: ${hint}`]);
    chmodSync(path, 0o600);
    expect(look()).toEqual([`config: forbidden: ${hint}`]);
  });

  test('a certificate that this user may not read is named by its whole path', async () => {
    const denied = () => {
      throw Object.assign(new Error('permission denied'), { code: 'EACCES' });
    };
    const results = await examine(writeConfig({ mqtt: { caFile: 'ca.pem' } }, link.brokers.good.url), { readBytes: denied });
    expect(results.find(({ check }) => check === 'dates')?.found).toEqual({ key: 'doctor.forbidden', values: { path: '/etc/tocsin/credentials/ca.pem' } });
  });

  test('a broker certificate that is not valid now is named by one check: no hint asks the technician to install another', async () => {
    const found = async (broker: 'expired' | 'early') => {
      const results = await examine(writeConfig({ mqtt: { caFile: link.ca } }, link.brokers[broker].url));
      return results.filter(({ state }) => state === 'fail').map((result) => result.found.key);
    };
    expect(await found('expired')).toEqual(['doctor.tls.expired']);
    expect(await found('early')).toEqual(['doctor.tls.early']);
  });

  test('each certificate is looked at, and of an authority that is being replaced the one in force', async () => {
    const { good, expired, early } = link.own;
    const authority = (...certificates: string[]) => {
      const path = join(mkdtempSync(join(folder, 'authority-')), 'ca.pem');
      writeFileSync(path, certificates.map((one) => readFileSync(one, 'utf8')).join(''));
      return path;
    };
    const found = async (caFile: string) => {
      const mqtt = { caFile, certFile: good.cert, keyFile: good.key };
      return (await examine(writeConfig({ mqtt }, link.brokers.good.url))).find(({ check }) => check === 'dates')?.found;
    };
    expect(await found(link.ca)).toMatchObject({ key: 'doctor.dates.ok' });
    expect(await found(authority(expired.cert))).toMatchObject({ key: 'doctor.dates.expired', values: { whose: text('doctor.dates.authority') } });
    expect(await found(authority(early.cert))).toMatchObject({ key: 'doctor.dates.early', values: { whose: text('doctor.dates.authority') } });
    expect(await found(authority(early.cert, good.cert))).toMatchObject({ key: 'doctor.dates.ok' });
  });

  test('what a courier said that runs no more says nothing of the broker', async () => {
    const down = systemctl({}, { ActiveState: 'failed', SubState: 'failed', StatusText: 'broker: certificate_refused' });
    const results = await examine(writeConfig({}, link.brokers.plain.url), down);
    expect(results.flatMap(({ check, found }) => (check === 'services' || check === 'broker' ? [found.key] : []))).toEqual([
      'doctor.broker.ok',
      'doctor.services.down',
    ]);
  });

  test('a certificate without a common name is that of a stranger', () => {
    const [key, cert] = [join(folder, 'nameless.key'), join(folder, 'nameless.pem')];
    const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', '/O=city', '-keyout', key, '-out', cert];
    expect(spawnSync('openssl', request).status).toBe(0);
    expect(nameOfStranger({ cert: readFileSync(cert) }, 'post-1')).toBe('');
    expect(nameOfStranger({ cert: readFileSync(link.own.good.cert) }, 'post-1')).toBeUndefined();
    expect(nameOfStranger({ cert: readFileSync(link.own.good.cert) }, 'post-2')).toBe('post-1');
  });

  test('the end of a broker certificate is told in the month before', async () => {
    const later = { ...clock, wallMs: () => clock.wallMs() + 385 * 86_400_000 };
    const results = await examine(writeConfig({ mqtt: { caFile: link.ca } }, link.brokers.good.url), { clock: later });
    const { state, found } = results.find(({ check }) => check === 'dates') ?? {};
    expect({ state, ...found }).toMatchObject({ state: 'warn', key: 'doctor.dates.soon', values: { whose: text('doctor.dates.broker') } });
  });

  test('the end of an authority that is sent with the sensor certificate is told in the month before', async () => {
    const { cert, key } = link.own.under;
    const certFile = join(mkdtempSync(join(folder, 'chain-')), 'chain.pem');
    writeFileSync(certFile, readFileSync(cert, 'utf8') + readFileSync(link.between, 'utf8'));
    const results = await examine(writeConfig({ mqtt: { caFile: link.ca, certFile, keyFile: key } }, link.brokers.good.url));
    const { state, found } = results.find(({ check }) => check === 'dates') ?? {};
    expect({ state, ...found }).toMatchObject({ state: 'warn', key: 'doctor.dates.soon', values: { whose: text('doctor.dates.between') } });
  });

  test('of what ends within the month, what ends first is told', async () => {
    const { cert, key } = link.own.soon; // ends in 12 days
    const path = writeConfig({ mqtt: { caFile: link.ca, certFile: cert, keyFile: key } }, link.brokers.good.url);
    const inDays = (days: number) => new Date(clock.wallMs() + days * 86_400_000);
    const handshake = async () => ({ protocol: 'TLSv1.3', names: 'localhost', validFrom: inDays(-1), validTo: inDays(2.5) });
    const { state, found } = (await examine(path, { handshake })).find(({ check }) => check === 'dates') ?? {};
    expect({ state, ...found }).toMatchObject({ key: 'doctor.dates.soon', values: { whose: text('doctor.dates.broker'), days: 2 } });
  });

  test('a route counts as one where it leads somewhere, in a network of the site’s own too', async () => {
    const path = writeConfig({ mqtt: { allowPlaintext: true } }, 'mqtt://[fd12::7]');
    const found = async (four: string, six: string) => {
      const routes = files({ '/proc/net/route': `Iface Destination Gateway Flags\n${four}`, '/proc/net/ipv6_route': six });
      const checks = allChecks.filter(({ id }) => id === 'config' || id === 'network').map((check) => ({ ...check, after: [] }));
      const results: Result[] = [];
      for await (const result of runChecks(checks, { ...machineProbes(path, clock), ...routes }, signal)) results.push(result);
      return results.at(-1)?.found;
    };
    const six = (to: string, name: string) => `${to} 40 ${'0'.repeat(32)} 00 ${'0'.repeat(32)} 00000100 00000001 00000000 00000001 ${name}\n`;
    const ways = [
      await found('eth0 00000000 0102A8C0 0003 0 0 100 00000000 0 0 0\n', ''),
      await found('* 00000000 00000000 0201 0 0 4000 00000000 0 0 0\n', six('0'.repeat(32), 'lo')), // ip route add unreachable default
      await found('', six(`fe80${'0'.repeat(28)}`, 'eth0')),
      await found('', six(`fd12${'0'.repeat(28)}`, 'eth0')), // RFC 4193
    ];
    const [ok, none] = [{ key: 'doctor.network.ok', values: { interface: 'eth0' } }, { key: 'doctor.network.none' }];
    expect(ways).toMatchObject([ok, none, none, ok]);
  });

  const swallow =
    'ip link add v0 type veth peer name v1 && ip address add 192.0.2.9/24 dev v0 && ip link set v0 up && ip link set v1 up && ip route add default via 192.0.2.1';
  const noNamespace = spawnSync('unshare', ['-n', 'sh', '-c', swallow]).status !== 0 ? 'needs root, unshare -n and ip' : undefined;
  test.skipIf(noNamespace).each([
    ['without a network', 'true', 'mqtts://broker.example.org', 'network.none'],
    ['whose network drops all packets', swallow, 'mqtts://192.0.2.77', 'port.silent'],
  ])(`a board %s${noNamespace ? ` (left out: ${noNamespace})` : ''}`, (_name, prepare, url, finding) => {
    const path = writeConfig({}, url);
    const script = `${prepare} && exec "$1" agent/main.ts doctor --json -c "$2"`;
    const { stdout } = spawnSync('unshare', ['-n', 'sh', '-c', script, 'sh', process.execPath, path], { encoding: 'utf8' });
    const { checks } = JSON.parse(stdout) as { checks: { check: string; finding: string; state: string }[] };
    expect(checks.filter(({ state }) => state === 'fail').map((check) => check.finding)).toEqual([finding]);
  });
});
