// Networks, and the ways into and out of them. Other programs stand in for the two halves: each check is asked by
// itself.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Finding } from '../../agent/cli/privacy/check.ts';
import { hearingChecks } from '../../agent/cli/privacy/hearing-checks.ts';
import type { Half, Machine } from '../../agent/cli/privacy/machine.ts';
import { networkChecks } from '../../agent/cli/privacy/network-checks.ts';
import { missing } from '../support/broker.ts';
import { halfOf, inThread, started, startedScript } from '../support/started.ts';

const without = process.getuid?.() === 0 ? missing('unshare', 'nsenter') : 'needs root to make namespaces';

describe.skipIf(without)(`privacy verify: the network of a process${without ? ` (left out: ${without})` : ''}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-network-'));
  const idle = ['sh', '-c', 'echo; exec sleep 60'] as const;
  const alone = () => started('unshare', '-n', ...idle);
  const network = (half: Half) => networkChecks[0].run(half, {} as Machine) as Finding;

  test('another program in the network of the listener fails, also with one thread', async () => {
    const pid = await alone();
    expect(network(halfOf('listener', pid))).toMatchObject({ state: 'pass', found: { key: 'privacy.network.ok' } });
    const enter = `if (libc.func('int setns(int fd, int kind)')(fs.openSync('/proc/${pid}/ns/net'), 0x40000000) !== 0) throw new Error('setns')`;
    const thread = await startedScript(inThread(enter));
    expect(network(halfOf('listener', pid))).toMatchObject({ state: 'fail', found: { key: 'privacy.network.strangers', values: { pids: `${thread}` } } });
    process.kill(thread, 'SIGKILL');
    const other = await started('nsenter', '-t', `${pid}`, '-n', ...idle);
    await expect.poll(() => network(halfOf('listener', pid)).found).toMatchObject({ key: 'privacy.network.strangers', values: { pids: `${other}` } });
    expect(network(halfOf('listener', pid, other))).toMatchObject({ state: 'pass' });
  });

  test('a listener that has a second network fails, in a thread or in another of its processes', async () => {
    const leave = `if (libc.func('int unshare(int flags)')(0x40000000) !== 0) throw new Error('unshare')`;
    const divided = await startedScript(inThread(leave), [], ['unshare', '-n']);
    const several = { state: 'fail', found: { key: 'privacy.network.several' } };
    expect(network(halfOf('listener', divided))).toMatchObject(several);
    expect(network(halfOf('listener', await alone(), await alone()))).toMatchObject(several);
    expect(network(halfOf('listener', await alone(), await started(...idle)))).toMatchObject({ state: 'fail', found: { key: 'privacy.network.shared' } });
  });

  const sockets = (half: Half, url = 'mqtt://192.0.2.1') => {
    const machine = { config: { mqtt: { url } }, addressesOf: async () => ['192.0.2.1'] } as unknown as Machine;
    return networkChecks[2].run(half, machine);
  };

  test('the courier may ask the name servers that its own resolver names, and nobody else on their port', async () => {
    const servers = join(folder, 'resolv.conf');
    writeFileSync(servers, 'nameserver 127.9.9.53\n# nameserver 127.9.9.54\nnameserver ::1\n');
    const asking = (address: string, kind: 'udp4' | 'udp6') =>
      startedScript(
        `const socket = require('node:dgram').createSocket(process.argv[2]);
         socket.connect(53, process.argv[1]);
         await new Promise((done) => socket.once('connect', done))`,
        [address, kind],
        ['unshare', '-m', 'sh', '-c', `mount --bind '${servers}' /etc/resolv.conf && exec "$@"`, 'sh'],
      );
    const asks = async (address: string, kind: 'udp4' | 'udp6' = 'udp4') => {
      const [pid, first] = [await asking(address, kind), await started(...idle)];
      const { state } = await sockets(halfOf('courier', pid));
      expect((await sockets(halfOf('courier', first, pid))).state, 'from another of its processes').toBe(address === '127.9.9.53' ? 'fail' : state);
      return state;
    };
    expect(await asks('127.9.9.53')).toBe('pass');
    expect(await asks('127.9.9.54')).toBe('fail');
    expect(await asks('127.9.9.55')).toBe('fail');
  });

  test('the courier may connect to the broker alone, on its port alone', async () => {
    const server = createServer((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1');
    await new Promise((listening) => server.once('listening', listening));
    onTestFinished(() => void server.close());
    const { port } = server.address() as { port: number };
    const pid = await startedScript(
      `const socket = require('node:net').connect(process.argv[1], '127.0.0.1'); await new Promise((done) => socket.once('connect', done))`,
      [`${port}`],
    );
    const at = async (host: string, number: number) => {
      const machine = { config: { mqtt: { url: `mqtt://${host}:${number}` } }, addressesOf: async (name: string) => [name] } as unknown as Machine;
      return (await networkChecks[2].run(halfOf('courier', pid), machine)).found.key;
    };
    expect(await at('127.0.0.1', port)).toBe('privacy.sockets.broker');
    expect(await at('127.0.0.1', 1)).toBe('privacy.sockets.peer');
    expect(await at('192.0.2.1', port)).toBe('privacy.sockets.peer');
  });

  const hearing = (courier: number) =>
    hearingChecks[0].run(halfOf('courier', courier), { halves: { listener: 'down' }, installation: resolve('.') } as never) as Finding;
  const reachable = (courier: number) => {
    const { found } = hearing(courier);
    return found.key === 'privacy.hearing.reachable' ? String(found.values.what) : found.key;
  };

  test.each(['pulseaudio', 'pipewire', 'pipewire-pulse', 'jackd', 'sndiod'])(
    '%s at a name without a path is reachable from its own network alone',
    async (name) => {
      const courier = await alone();
      const inside = ['nsenter', '-t', `${courier}`, '-n'];
      const server = await startedScript(
        `process.title = '${name}'; const server = require('node:net').createServer().listen('\\0' + process.argv[1]); await new Promise((done) => server.once('listening', done))`,
        [`tocsin-${name}`],
        inside,
      );
      expect(reachable(courier)).toBe(`${name} [${server}] @tocsin-${name}`);
      expect(reachable(await alone())).not.toContain(`[${server}]`);
    },
  );

  test('the recorder of a listener that shares the network of the courier records for the courier', async () => {
    const [microphone, preload] = [join(folder, 'pcmC0D0c'), join(folder, 'preload.mjs')];
    execFileSync('mknod', [microphone, 'c', '116', '24']);
    const hold = "require('fs').openSync(process.argv[1], 0o10000000); console.log(process.pid); setInterval(() => 0, 1000)"; // O_PATH
    writeFileSync(
      preload,
      `const { spawn } = await import('node:child_process');
       spawn(process.execPath, ['-e', ${JSON.stringify(hold)}, ${JSON.stringify(microphone)}], { stdio: ['ignore', 'inherit', 'ignore'], env: {}, detached: true });
       await new Promise((never) => setInterval(never, 1e9));`,
    );
    const courier = await alone();
    const listener = ['env', `NODE_OPTIONS=--import=${pathToFileURL(preload)}`, process.execPath, resolve('agent/main.ts'), 'listen'];
    const other = join(folder, 'other.mjs');
    writeFileSync(other, ''); // with the program of the package, and a script of somebody else's
    const recording = () => hearing(courier).found;
    const foreign = await started('unshare', '-n', ...listener.map((word) => (word.endsWith('main.ts') ? other : word)));
    const [own, shared] = [await started('unshare', '-n', ...listener), await started('nsenter', '-t', `${courier}`, '-n', ...listener)];
    const recorderOf = (pid: number) => Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'));
    for (const pid of [own, shared, foreign].map(recorderOf)) onTestFinished(() => void process.kill(pid, 'SIGKILL'));
    expect(recording()).toMatchObject({ key: 'privacy.hearing.recording', values: { what: expect.stringContaining(`[${recorderOf(shared)}]`) } });
    expect(recording()).toMatchObject({ values: { what: expect.stringContaining(`[${recorderOf(foreign)}]`) } });
    expect(recording()).not.toMatchObject({ values: { what: expect.stringContaining(`[${recorderOf(own)}]`) } });
  });
});
