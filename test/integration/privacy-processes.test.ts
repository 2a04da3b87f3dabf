import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { accessOf } from '../../agent/cli/privacy/reach.ts';
import type { VerificationReport } from '../../agent/cli/privacy/report.ts';
import { localServices } from '../../agent/cli/privacy/sockets.ts';
import { verify as verifyMachine } from '../../agent/cli/privacy/verify.ts';
import { missing } from '../support/broker.ts';
import { failing, findingOf, gid, type Halves, listenerUid, openHalves, type Plant, without } from '../support/privacy.ts';

let halves: Halves;
const meddling = ['OPENSSL_CONF', 'OPENSSL_MODULES', 'SSL_CERT_FILE', 'SSL_CERT_DIR', 'MQTTJS_SOCKS_PROXY', 'NODE_EXTRA_CA_CERTS'];

describe.skipIf(without)(`privacy verify with running processes${without ? ` (left out: ${without})` : ''}`, () => {
  beforeAll(async () => {
    halves = await openHalves();
  }, 180_000);
  afterAll(() => halves?.close(), 180_000);

  // Each fault is in one group and absent from another one of the same process; exactly the lines of the group fail.
  const plants: [string, 'listen' | 'deliver', () => Promise<Plant> | Plant, Record<string, string>][] = [
    [
      'the machine’s network, a file open for writing, an extra program, possible new privileges',
      'listen',
      () => ({ leftOut: ['network', 'no-new'], change: { write: halves.at('recording.wav'), child: '60' } }),
      { 'listener.process': 'sleep 60', 'listener.network': '', 'listener.files': 'recording.wav', 'listener.privileges': '' },
    ],
    [
      'an internet socket, reachable programs, core dumps, no system call filter, additional code',
      'listen',
      () => ({
        leftOut: ['hide /run', 'filtered'],
        change: { socket: 'udp', core: '1000000' },
        env: { NODE_OPTIONS: '--no-deprecation', LADSPA_PATH: '/nowhere', XDG_CONFIG_HOME: '/nowhere' },
      }),
      {
        'listener.program': 'NODE_OPTIONS, LADSPA_PATH, XDG_CONFIG_HOME',
        'listener.sockets': 'unknown',
        'listener.calls': '/run/',
        'listener.seccomp': '',
        'listener.core': '1000000',
      },
    ],
    [
      'a device, a listening port, a writable folder, capabilities',
      'deliver',
      () => ({ leftOut: ['keep', 'bounded'], change: { open: '/dev/ptmx', listen: '127.0.0.1:0' } }),
      { 'courier.sockets': 'LISTEN', 'courier.writable': '/', 'courier.devices': '/dev/ptmx', 'courier.capabilities': 'CapBnd' },
    ],
    [
      'a connection to another host, a visible sound device, the user of the listener',
      'deliver',
      async () => ({ change: { connect: await stranger(), devices: 'sound', uid: String(listenerUid) } }),
      {
        'listener.identity': String(listenerUid),
        'courier.sockets': '127.0.0.1',
        'courier.meter': 'meter.sock',
        'courier.reach': '/dev/snd/pcmC0D0c',
        'courier.identity': '',
      },
    ],
    [
      'a ballast with content, a read-only device, environment variables for TLS and a proxy',
      'listen',
      () => ({
        change: { write: beside('.ballast', 'RIFF'), devices: 'sound,kmsg' },
        env: Object.fromEntries(meddling.map((name) => [name, '/dev/null'])),
      }),
      {
        'sensor.access': 'outbox.db.ballast',
        'listener.program': meddling.join(', '),
        'listener.files': 'outbox.db.ballast',
        'listener.reach': '/dev/kmsg',
      },
    ],
    [
      'a file beside the outbox held by an extra program',
      'listen',
      () => ({ change: { write: beside('.new-wal', ''), child: '61' } }),
      { 'listener.process': 'sleep 61', 'listener.files': 'outbox.db.new-wal' },
    ],
    ['a datagram socket connected to another port', 'deliver', () => ({ change: { datagrams: '127.0.0.1:9' } }), { 'courier.sockets': '127.0.0.1:9' }],
  ];
  test.each(plants)('%s: each fault fails its own check', async (_what, half, plant, lines) => {
    const { change, leftOut, env } = await plant();
    if (leftOut?.includes('hide /run')) onTestFinished(await localProgram());
    onTestFinished(() => halves.start(half));
    await halves.start(half, change, leftOut, env);
    const report = await halves.verify();
    expect(failing(report), JSON.stringify(report.checks.filter((line) => line.state === 'fail'))).toEqual(Object.keys(lines));
    for (const [line, found] of Object.entries(lines)) expect(findingOf(report, line)?.found, line).toContain(found);
    expect(report.state).toBe('failed');
  });

  /** Creates a file beside the outbox, like the agent's own, until the test ends. */
  function beside(end: string, content: string): string {
    const path = halves.at('data', `outbox.db${end}`);
    writeFileSync(path, content);
    chmodSync(path, 0o660);
    onTestFinished(() => rmSync(path, { force: true }));
    return path;
  }

  /** A program of the machine that anyone may call through a local socket, such as a resolver. */
  async function localProgram(folder = '/run/systemd'): Promise<() => void> {
    const path = `${folder}/notify-test-${process.pid}`; // begins as the one of systemd
    mkdirSync(folder, { recursive: true });
    const server = createServer().listen(path);
    await new Promise((listening) => server.once('listening', listening));
    chmodSync(path, 0o666);
    return () => void server.close();
  }

  async function stranger(): Promise<string> {
    const server = createServer((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1');
    await new Promise((listening) => server.once('listening', listening));
    onTestFinished(() => void server.close());
    server.unref();
    return `127.0.0.1:${(server.address() as { port: number }).port}`;
  }

  test('a bind mount over the installed code of one process fails the program check', async () => {
    const { installation } = await halves.machineNow();
    const inside = (...command: string[]) => spawnSync('nsenter', ['-t', String(halves.pidOf('listen')), '-m', ...command], { encoding: 'utf8' });
    const over = `${installation}/agent/meter`;
    onTestFinished(await localProgram('/var/run'));
    expect(failing(await halves.verify())).toEqual([]);
    expect(inside('mount', '--bind', halves.at('street'), over).stderr).toBe('');
    onTestFinished(() => void inside('umount', over));
    const report = await halves.verify();
    expect(failing(report)).toEqual(['listener.program']);
    expect(findingOf(report, 'listener.program')?.found).toContain(over);
  });

  test('a kernel fallback tunnel passes while it is down; one that is up, or any other interface, fails', async () => {
    const ip = (...command: string[]) => spawnSync('nsenter', ['-t', String(halves.pidOf('listen')), '-n', 'ip', ...command], { encoding: 'utf8' }).stderr;
    const found = async () => findingOf(await halves.verify(), 'listener.network');
    const add = (name: string, peer: string) => {
      expect(ip('link', 'add', name, 'type', 'veth', 'peer', 'name', peer)).toBe('');
      onTestFinished(() => void ip('link', 'delete', name));
    };
    add('sit0', 'tunl0');
    expect(await found()).toMatchObject({ state: 'pass', found: expect.stringMatching(/sit0.*tunl0|tunl0.*sit0/) });
    expect(ip('link', 'set', 'sit0', 'up')).toBe('');
    expect(await found()).toMatchObject({ state: 'fail', found: expect.stringContaining('sit0') });
    expect(ip('link', 'set', 'sit0', 'down')).toBe('');
    add('other0', 'gre0');
    expect(await found()).toMatchObject({ state: 'fail', found: expect.stringContaining('other0') });
  });

  test("a connection to an address that the broker's name no longer has is unchecked with TLS and fails without TLS", async () => {
    const machine = await halves.machineNow();
    const found = async (scheme: string, port = '$1') => {
      const url = machine.config.mqtt.url.replace(/^mqtt:\/\/.*:(\d+)$/, `${scheme}://broker.example.org:${port}`);
      const config = { ...machine.config, mqtt: { ...machine.config.mqtt, url } };
      const lines = await verifyMachine({ ...machine, config, addressesOf: async () => ['192.0.2.1'] });
      return lines.find(({ check, part }) => check === 'sockets' && part === 'courier')?.found.key;
    };
    expect([await found('mqtts'), await found('mqtt'), await found('mqtts', '1')]).toEqual([
      'privacy.sockets.moved',
      'privacy.sockets.peer',
      'privacy.sockets.peer',
    ]);
  });

  test('a wrong group of the outbox folder fails; an unused datagram socket passes', async () => {
    onTestFinished(() => halves.start('deliver'));
    await halves.start('deliver', { datagrams: '127.0.0.1:0' });
    onTestFinished(() => chownSync(halves.at('data'), 0, gid));
    chownSync(halves.at('data'), 0, gid + 1);
    expect(failing(await halves.verify())).toEqual(['listener.identity', 'courier.identity']);
  });

  // There is no sound card here: a descriptor of a card's node that is not open for reading (O_PATH) stands in for
  // one that is.
  test('a program that holds a sound card and listens on a local socket fails once the courier may open that socket', async () => {
    const [card, socket] = [halves.at('controlC0'), halves.at('asked.sock')]; // for a program that records, see privacy-reach.test.ts
    execFileSync('mknod', [card, 'c', '116', '0']);
    const script =
      'process.umask(0o177); require("fs").openSync(process.argv[1], 0o10000000); require("net").createServer().listen(process.argv[2], () => console.log())';
    const server = spawn(halves.node, ['-e', script, card, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => {
      server.kill('SIGKILL');
      rmSync(card);
      rmSync(socket);
    });
    await new Promise((waiting) => server.stdout.once('data', waiting));
    const found = async () => findingOf(await halves.verify(), 'courier.hearing');
    expect(await found()).toMatchObject({ state: 'pass', found: expect.stringContaining('beside the listener') });
    chownSync(socket, 0, gid);
    chmodSync(socket, 0o660);
    expect(await found()).toMatchObject({ state: 'fail', found: expect.stringContaining(`[${server.pid}] ${socket}`) });
  });

  const noServer = missing('pulseaudio', 'nsenter');
  test.skipIf(noServer)(`a sound server on a port of the courier’s network fails${noServer ? ` (left out: ${noServer})` : ''}`, async () => {
    onTestFinished(() => halves.start('deliver'));
    await halves.start('deliver', { network: 'none' }); // in its own network, so that the courier of no other test sees the port
    const home = halves.at('pulse');
    mkdirSync(home, { mode: 0o700 });
    const inside = ['-t', String(halves.pidOf('deliver')), '-n'];
    const load = ['--load=module-null-sink', '--load=module-native-protocol-tcp auth-anonymous=1 port=4713'];
    const server = spawn('nsenter', [...inside, 'pulseaudio', '-n', '--daemonize=no', '--exit-idle-time=-1', '--use-pid-file=no', ...load], {
      stdio: 'ignore',
      env: { ...halves.environment, HOME: home, XDG_RUNTIME_DIR: home },
    });
    onTestFinished(() => void server.kill('SIGKILL'));
    await vi.waitFor(
      async () => {
        const report = await halves.verify();
        expect(failing(report)).toEqual(['courier.hearing']);
        expect(findingOf(report, 'courier.hearing')?.found).toMatch(/pulseaudio \[\d+\] 0\.0\.0\.0:4713/);
      },
      { timeout: 30_000, interval: 500 },
    );
  });

  test('a process with another configuration file than the verified one fails', async () => {
    const machine = await halves.machineNow();
    const other = halves.at('other.yaml');
    copyFileSync(halves.at('tocsin.yaml'), other);
    onTestFinished(() => rmSync(other));
    const found = await verifyMachine({ ...machine, configPath: other });
    const program = found.filter(({ check, state }) => check === 'program' && state === 'fail');
    expect(program.map(({ part, found }) => [part, found])).toEqual(
      ['listener', 'courier'].map((part) => [part, { key: 'privacy.program.config', values: { path: halves.at('tocsin.yaml'), other } }]),
    );
  });

  test('accessOf counts a folder owned by the user of the process as accessible, whatever its mode', async () => {
    const child = spawn('sleep', ['60'], { uid: 64_003, gid: 64_003, stdio: 'ignore' });
    onTestFinished(() => void child.kill('SIGKILL'));
    await new Promise((started) => child.once('spawn', started));
    const folder = halves.at('closed');
    mkdirSync(folder, { mode: 0o500 });
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const may = () => accessOf(child.pid as number)(folder);
    expect(may()).toBe(false);
    chownSync(folder, 64_003, 0);
    expect(may()).toBe(true);
  });

  test('an outcome that cannot be recorded gives an error; one whose page cannot be written is still recorded and shown', async () => {
    const config = readFileSync(halves.at('tocsin.yaml'), 'utf8');
    const other = halves.at('elsewhere.yaml'); // the configuration in use stays as it is: a file changed since the start is a finding
    onTestFinished(() => rmSync(other));
    const verifyInto = (recordPath: string, ...more: string[]) => {
      writeFileSync(other, config.replace(/recordPath: .*/, `recordPath: ${recordPath}`));
      const { stdout, stderr } = halves.tocsin(...halves.verifyArgs(), '-c', other, ...more);
      return { stderr, failed: (JSON.parse(stdout) as VerificationReport).failed };
    };
    expect(verifyInto('/dev/null/record.json').stderr).toContain('/dev/null/record.json');
    const record = halves.at('record.json');
    const { failed } = verifyInto(record, '--report', '/dev/full');
    expect(JSON.parse(readFileSync(record, 'utf8')).failed).toBe(failed);
  });

  test('local sockets with spaces, line breaks or a carriage return in their path, also in another network namespace, are found', async () => {
    const script = "require('net').createServer().listen(process.argv[1], () => console.log())";
    const away = ['unshare', '--net']; // there it is the last of the table
    const paths = [['/run/tocsin test'], ['/run/tocsin\nbroken\n'], ['/run/tocsin\rreturned'], ['/run/tocsin-away', ...away], ['/run/tocsin-away ', ...away]];
    for (const [path, ...around] of paths as [string, ...string[]][]) {
      const server = spawn([...around, halves.node][0] as string, [...[...around, halves.node].slice(1), '-e', script, path], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      onTestFinished(() => {
        server.kill('SIGKILL');
        rmSync(path, { force: true });
      });
      await new Promise((listening) => server.stdout.once('data', listening));
      expect(localServices()).toContain(path);
    }
  });

  test('NODE_EXTRA_CA_CERTS passes only where the configuration names its own certificate authority', async () => {
    onTestFinished(() => halves.start('deliver'));
    await halves.start('deliver', {}, [], { NODE_EXTRA_CA_CERTS: '/dev/null' });
    const machine = await halves.machineNow();
    const program = async (mqtt: object) =>
      (await verifyMachine({ ...machine, config: { ...machine.config, mqtt: { ...machine.config.mqtt, ...mqtt } } }))
        .filter(({ check, part }) => check === 'program' && part === 'courier')
        .map(({ state }) => state);
    expect(await program({ caFile: 'ca.pem' })).toEqual(['pass']);
    expect(await program({})).toEqual(['fail']);
  });

  test('without root, whatever belongs to other users is unchecked', async () => {
    const args = [halves.program, ...halves.verifyArgs(), '--no-record'];
    const { stdout, stderr, status } = spawnSync(halves.node, args, { encoding: 'utf8', env: halves.environment, uid: 64_003, gid: 64_003 });
    expect(stdout, stderr).not.toBe('');
    const report: VerificationReport = JSON.parse(stdout);
    expect([8, 9]).toContain(status);
    expect(failing(report)).toEqual([]);
    for (const line of ['listener.network', 'listener.sockets', 'listener.files', 'courier.devices', 'courier.sockets', 'sensor.outbox'])
      expect(findingOf(report, line), line).toMatchObject({ state: 'unchecked' });
  });
});
