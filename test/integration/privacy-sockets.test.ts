// Sockets that a process holds or can reach, and what disguises them.
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { descriptorsOf, failing, findingOf, gid, type Halves, linkOf, openHalves, without } from '../support/privacy.ts';

let halves: Halves;
const name = `@tocsin-test-${process.pid}`;

describe.skipIf(without)(`privacy verify on sockets${without ? ` (left out: ${without})` : ''}`, () => {
  beforeAll(async () => {
    halves = await openHalves();
  }, 180_000);
  afterAll(() => halves?.close(), 180_000);

  async function listening(server: Server, at: string | number): Promise<Server> {
    server.listen(at);
    await new Promise((done) => server.once('listening', done));
    onTestFinished(() => void server.close());
    return server;
  }
  const socketsOf = (pid: number) => descriptorsOf(pid).flatMap((fd) => /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${fd}`))?.[1] ?? []);
  /** Names whose second line reads like one of the table of local sockets: a connected one without a name. */
  async function disguise(inode: string, ...names: string[]): Promise<void> {
    for (const one of names) await listening(createServer(), `\0${one}\n0000000000000000: 00000002 00000000 00000000 0001 03 ${inode}`);
  }

  test('a datagram socket with a name, which systemd would hand over for a socket unit, fails in either half', async () => {
    for (const [half, part] of [
      ['listen', 'listener'],
      ['deliver', 'courier'],
    ] as const) {
      onTestFinished(() => halves.start(half));
      await halves.start(half, { named: `${name}-${half}` });
      expect(findingOf(await halves.verify(), `${part}.sockets`)).toMatchObject({ state: 'fail', found: expect.stringContaining(`unix ${name}-${half} [`) });
    }
    expect(failing(await halves.verify())).toEqual(['listener.sockets', 'courier.sockets']);
  });

  test('a connection to another host, an unconnected internet socket and a socket with a name fail, although names of others read like lines on them', async () => {
    const stranger = await listening(
      createServer((socket) => socket.on('error', () => undefined)),
      0,
    );
    const { port } = stranger.address() as { port: number };
    onTestFinished(() => halves.start('listen'));
    onTestFinished(() => halves.start('deliver'));
    await halves.start('listen', { socket: 'udp' });
    await halves.start('deliver', { connect: `127.0.0.1:${port}` });
    const local = new Set(readFileSync('/proc/net/unix', 'utf8').match(/(?<= )\d+(?= |$)/gm));
    const others = [halves.pidOf('listen'), halves.pidOf('deliver')].flatMap(socketsOf).filter((inode) => !local.has(inode));
    for (const inode of others) await disguise(inode, 'a');
    const report = await halves.verify();
    expect(failing(report)).toEqual(['listener.sockets', 'courier.sockets']);
    expect(findingOf(report, 'listener.sockets')?.found).toContain('unknown [');
    expect(findingOf(report, 'courier.sockets')?.found).toContain(`127.0.0.1:${port}`);
    await halves.start('deliver', { named: name });
    for (const inode of socketsOf(halves.pidOf('deliver'))) await disguise(inode, ...'abcdefgh'); // in which order the lines come follows from the names
    expect(failing(await halves.verify())).toEqual(['listener.sockets', 'courier.sockets']);
  });

  test('a socket that a program made in the network namespace of the listener fails, also after the program has left that namespace', async () => {
    expect(failing(await halves.verify())).toEqual([]);
    const network = `/proc/${halves.pidOf('listen')}/ns/net`;
    const other = spawn(halves.at('sandbox'), ['left', network, '--', '/bin/sh', '-c', 'echo; exec sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void other.kill('SIGKILL'));
    await new Promise((done) => other.stdout.once('data', done));
    const report = await halves.verify();
    expect(failing(report)).toEqual(['listener.network']);
    expect(findingOf(report, 'listener.network')?.found).toContain('unix @left (LISTEN)');
  });

  test('an interface that is called lo, but is not the one of the kernel, fails', async () => {
    onTestFinished(() => halves.start('listen'));
    const ip = (...command: string[]) => spawnSync('nsenter', ['-t', String(halves.pidOf('listen')), '-n', 'ip', ...command], { encoding: 'utf8' }).stderr;
    const found = async () => findingOf(await halves.verify(), 'listener.network');
    expect(ip('link', 'set', 'lo', 'up')).toBe('');
    expect(await found()).toMatchObject({ state: 'pass', found: expect.stringContaining('lo alone') });
    expect(ip('link', 'set', 'lo', 'down') + ip('link', 'set', 'lo', 'name', 'sit0')).toBe('');
    expect(ip('link', 'add', 'lo', 'type', 'veth', 'peer', 'name', 'tunl0') + ip('link', 'set', 'lo', 'up')).toBe('');
    expect(await found()).toMatchObject({ state: 'fail', found: 'it has interfaces: lo' });
  });

  test('what is mounted where the name is not UTF-8 counts as within reach, and as open to be written', async () => {
    const place = 'mkdir -p "$0$(printf "\\377")" && nsenter -t "$1" -m sh -c "$2" "$0$(printf "\\377")" "$3"';
    const mounted = (command: string) =>
      spawnSync('sh', ['-c', place, halves.at('place'), String(halves.pidOf('listen')), command, halves.at('asked')], { encoding: 'utf8' }).stderr;
    onTestFinished(() => void spawnSync('sh', ['-c', 'rmdir "$0$(printf "\\377")"', halves.at('place')]));
    onTestFinished(() => halves.start('listen'));
    mkdirSync(halves.at('asked'));
    await listening(createServer(), halves.at('asked', 'asked.sock'));
    chownSync(halves.at('asked', 'asked.sock'), 0, gid); // not open to all: processes of other tests run at the same time
    chmodSync(halves.at('asked', 'asked.sock'), 0o660);
    expect(mounted('mount -t tmpfs -o ro hidden "$1"')).toBe('');
    expect(failing(await halves.verify())).toEqual([]);
    expect(mounted('umount "$1" && mount --bind "$1" "$0" && mount -t tmpfs -o ro hidden "$1"')).toBe('');
    expect(failing(await halves.verify())).toEqual(['listener.calls']);
    expect(mounted('umount "$0" && mount -t tmpfs -o mode=1777 open "$0"')).toBe('');
    expect(failing(await halves.verify())).toEqual(['listener.writable']);
    // one such name must not end the search for what is open beside it
    const beside = 'mount -t tmpfs -o mode=755 part "$1" && mkdir -m 1777 "$1/open" && touch "$1/a$(printf "\\377")"';
    expect(mounted(`umount "$0" && ${beside}`)).toBe('');
    expect(failing(await halves.verify())).toEqual(['listener.writable']);
    expect(mounted('rmdir "$1/open" && rm "$1"/a* && mkdir -m 1777 "$1/a$(printf "\\377")"')).toBe('');
    expect(failing(await halves.verify())).toEqual(['listener.writable']);
  });

  test('a program that shares memory and message queues with the listener fails', async () => {
    const other = spawn('nsenter', ['-t', String(halves.pidOf('listen')), '-i', 'sh', '-c', 'echo; exec sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void other.kill('SIGKILL'));
    await new Promise((done) => other.stdout.once('data', done));
    const report = await halves.verify();
    expect(failing(report)).toEqual(['listener.calls']);
    expect(findingOf(report, 'listener.calls')?.found).toContain(String(other.pid));
  });
});
