import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, copyFileSync, existsSync, linkSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import type { Half } from '../../agent/cli/privacy/machine.ts';
import { verify as verifyMachine } from '../../agent/cli/privacy/verify.ts';
import { allowUser } from '../support/access-list.ts';
import { missing } from '../support/broker.ts';
import { courierUid, failing, findingOf, gid, type Halves, listenerUid, openHalves, without } from '../support/privacy.ts';

// Uncommon ways out of a process, while everything else is correct. These tests are not in test/integration, since
// sockets opened by access lists would count as open for processes of parallel tests.
let halves: Halves;

describe.skipIf(without)(`privacy verify on uncommon ways out${without ? ` (left out: ${without})` : ''}`, () => {
  beforeAll(async () => {
    halves = await openHalves();
  }, 180_000);
  afterAll(() => halves?.close(), 180_000);

  const inside = (half: 'listen' | 'deliver', ...command: string[]) => {
    expect(spawnSync('nsenter', ['-t', String(halves.pidOf(half)), '-m', ...command], { encoding: 'utf8' }).stderr).toBe('');
  };
  /** Moves a file to another path for one process alone, until the test ends. */
  function moveFor(half: 'listen' | 'deliver', folder: string, name: string): void {
    const place = '/etc/hostname'; // any existing file
    inside(half, 'mount', '--bind', `${folder}/${name}`, place);
    onTestFinished(() => inside(half, 'umount', place));
    inside(half, 'mount', '-t', 'tmpfs', '-o', 'ro', 'hidden', folder);
    onTestFinished(() => inside(half, 'umount', folder));
  }
  /** A program that listens on a local socket which only root may open. */
  async function program(path: string): Promise<string> {
    const server = createServer().listen(path);
    await new Promise((listening) => server.once('listening', listening));
    onTestFinished(() => void server.close());
    chmodSync(path, 0o600);
    return path;
  }

  test("finds a program's socket moved within the listener's mounts, and the meter socket within the courier's", async () => {
    mkdirSync(halves.at('asked'));
    const called = await program(halves.at('asked', 'asked.sock'));
    moveFor('listen', halves.at('asked'), 'asked.sock');
    moveFor('deliver', halves.at('data'), 'meter.sock');
    expect(failing(await halves.verify())).toEqual([]); // accessible to root alone
    const meter = halves.at('data', 'meter.sock');
    for (const socket of [called, meter]) {
      chownSync(socket, socket === meter ? listenerUid : 0, gid); // not accessible to everyone, since processes of other tests run at the same time
      chmodSync(socket, 0o660);
    }
    onTestFinished(() => chmodSync(meter, 0o600));
    const report = await halves.verify();
    expect(failing(report)).toEqual(['listener.calls', 'courier.meter']);
    expect(findingOf(report, 'listener.calls')?.found).toContain(called);
  });

  test.each(['/run/dbus/system_bus_socket', '/run/systemd/userdb/io.systemd.DynamicUser'])(
    'finds %s, where everyone can read what the listener tells systemd',
    async (socket) => {
      if (!existsSync(socket)) {
        mkdirSync(dirname(socket), { recursive: true });
        chmodSync(await program(socket), 0o666);
      }
      expect(failing(await halves.verify())).toEqual([]);
      onTestFinished(() => halves.start('deliver'));
      await halves.start('deliver', {}, ['hide /run']);
      const report = await halves.verify();
      expect(failing(report)).toEqual(['courier.meter']);
      expect(findingOf(report, 'courier.meter')?.found).toContain(socket);
    },
  );

  test('finds pseudo-terminals, in which one half could write for the other', async () => {
    expect(failing(await halves.verify())).toEqual([]);
    inside('listen', 'mount', '-t', 'devpts', 'devpts', '/mnt');
    onTestFinished(() => inside('listen', 'umount', '/mnt'));
    const report = await halves.verify();
    expect(failing(report)).toEqual(['listener.writable']);
    expect(findingOf(report, 'listener.writable')?.found).toContain('/mnt');
  });

  test('finds a named pipe from which another program could read what the listener writes', async () => {
    const pipe = halves.at('asked.pipe');
    expect(spawnSync('mkfifo', ['-m', '600', pipe]).status).toBe(0);
    const other = spawn('sh', ['-c', 'exec 3<>"$0"; echo open; exec sleep 60', pipe], { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void other.kill('SIGKILL'));
    await new Promise((opened) => other.stdout.once('data', opened));
    expect(failing(await halves.verify())).toEqual([]); // accessible to root alone
    chownSync(pipe, 0, gid);
    chmodSync(pipe, 0o660);
    const report = await halves.verify();
    expect(failing(report)).toEqual(['listener.calls']);
    expect(findingOf(report, 'listener.calls')?.found).toContain(pipe);
  });

  test('a socket open to all in a folder that the listener may not enter passes; with a second name elsewhere it fails', async () => {
    const folder = halves.at('closed');
    mkdirSync(folder);
    const called = await program(`${folder}/open.sock`);
    chownSync(called, 0, gid); // not accessible to everyone: see above
    chmodSync(called, 0o660);
    expect(failing(await halves.verify())).toEqual(['listener.calls']);
    chmodSync(folder, 0o700);
    expect(failing(await halves.verify())).toEqual([]);
    linkSync(called, halves.at('second.sock'));
    expect(failing(await halves.verify())).toEqual(['listener.calls']);
    rmSync(halves.at('second.sock'));
    chownSync(folder, 0, gid);
    chmodSync(folder, 0o710);
    expect(failing(await halves.verify())).toEqual(['listener.calls']);
  });

  test('finds a socket whose name holds line breaks, and goes on in the table where the name of another seems to end', async () => {
    await program(halves.at('broken'));
    const called = `${halves.at('broken')}\n0000000000000000: 00000002 00000000 00010000 0001 01 1 asked\n`;
    const script = "process.title = 'snapserver'; require('net').createServer().listen(process.argv[1], () => console.log())";
    const server = spawn(halves.node, ['-e', script, called], { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void server.kill('SIGKILL'));
    await new Promise((listening) => server.stdout.once('data', listening));
    chmodSync(called, 0o600);
    expect(failing(await halves.verify())).toEqual([]);
    chownSync(called, 0, gid);
    chmodSync(called, 0o660);
    const report = await halves.verify();
    expect(failing(report)).toEqual(['listener.calls', 'courier.hearing']);
    expect(findingOf(report, 'listener.calls')?.found).toContain('0001 01 1 asked');
  });

  const withoutPerl = missing('perl');
  test.skipIf(withoutPerl)(
    `a socket or a named pipe whose name is not UTF-8 counts as within reach${withoutPerl ? ` (left out: ${withoutPerl})` : ''}`,
    async () => {
      const inJournal = 'mount -t tmpfs none /run && mkdir -p /run/systemd/journal && exec perl -e "$0" "$1"'; // a folder that this machine may not have
      // the byte stands in the first line of a name, or below it; and in one that begins as those of the journal
      for (const [begin, end] of [
        ['', '\\xff'],
        ['', '\\n\\xff'],
        ['/run/systemd/journal/../../..', '.\\xff'],
      ] as const) {
        const script = `use Socket; $0 = 'snapserver'; socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, sockaddr_un($ARGV[0] . "${end}")) or die; listen(S, 1); $| = 1; print "\\n"; sleep 60`;
        const server = spawn('unshare', ['-m', 'sh', '-c', inJournal, script, `${begin}${halves.at('asked')}`], { stdio: ['ignore', 'pipe', 'inherit'] });
        const ended = once(server, 'exit');
        await once(server.stdout, 'data');
        const namesake = halves.at(end.includes('n') ? 'asked\n\ufffd' : 'asked\ufffd'); // closed to both halves
        writeFileSync(namesake, '', { mode: 0o600 });
        const report = await halves.verify();
        rmSync(namesake);
        server.kill('SIGKILL');
        await ended;
        expect(failing(report), `${begin} ${end}`).toEqual(['listener.calls', 'courier.hearing']);
        expect(findingOf(report, 'listener.calls')?.found).toContain('asked');
      }
      const opened = 'pipe=$(printf "%s\\377" "$0"); mkfifo "$pipe"; exec 3<>"$pipe"; echo; exec sleep 60';
      const other = spawn('sh', ['-c', opened, halves.at('asked.pipe')], { stdio: ['ignore', 'pipe', 'inherit'] });
      onTestFinished(() => void other.kill('SIGKILL'));
      await once(other.stdout, 'data');
      const report = await halves.verify();
      expect(failing(report)).toEqual(['listener.calls']);
      expect(findingOf(report, 'listener.calls')?.found).toContain('asked.pipe\ufffd');
    },
  );

  test('finds sockets that are closed by mode and opened by an access list', async () => {
    const called = await program(halves.at('asked.sock'));
    expect(failing(await halves.verify())).toEqual([]);
    allowUser(called, listenerUid);
    expect(failing(await halves.verify())).toEqual(['listener.calls']);
    allowUser(halves.at('data', 'meter.sock'), courierUid);
    onTestFinished(() => halves.start('listen'));
    expect(failing(await halves.verify())).toEqual(['listener.calls', 'courier.meter']);
  });

  test('finds an outbox file that an access list opens to a person', async () => {
    const beside = halves.at('data', 'outbox.db.damaged-1');
    writeFileSync(beside, '', { mode: 0o600 });
    onTestFinished(() => rmSync(beside));
    expect(failing(await halves.verify())).toEqual([]);
    allowUser(beside, 64_009);
    const report = await halves.verify();
    expect(failing(report)).toEqual(['sensor.access']);
    expect(findingOf(report, 'sensor.access')?.found).toContain(beside);
  });

  test('finds a system library replaced for the listener alone, and one preloaded into every program', async () => {
    const library = /\S+\/libm\S*$/m.exec(readFileSync(`/proc/${halves.pidOf('listen')}/maps`, 'utf8'))?.[0] as string;
    const other = halves.at('libm');
    copyFileSync(library, other);
    inside('listen', 'mount', '--bind', other, library);
    const mounted = await halves.verify();
    inside('listen', 'umount', library);
    expect(failing(mounted)).toEqual(['listener.program']);
    expect(findingOf(mounted, 'listener.program')?.found).toContain(library);

    mkdirSync(halves.at('etc'));
    writeFileSync(halves.at('etc', 'ld.so.preload'), `# to look on\n${library}\n`);
    inside('listen', 'mount', '--bind', halves.at('etc'), '/etc');
    onTestFinished(() => inside('listen', 'umount', '/etc'));
    expect(findingOf(await halves.verify(), 'listener.program')).toMatchObject({ finding: 'program.preload', found: expect.stringContaining(library) });
  });

  test('accepts the capture program of the package, but not programs that only name it', async () => {
    const { halves: found, ...machine } = await halves.machineNow();
    const processes = async (...command: [string, ...string[]]) => {
      const other = spawn(command[0], command.slice(1), { stdio: 'ignore' });
      onTestFinished(() => void other.kill('SIGKILL'));
      await new Promise((started) => other.once('spawn', started));
      other.kill('SIGSTOP'); // there is no microphone here
      const listener = { ...(found.listener as Half), processes: [halves.pidOf('listen'), other.pid as number] };
      const lines = await verifyMachine({ ...machine, halves: { ...found, listener } });
      return lines.find(({ check }) => check === 'process')?.state;
    };
    const capture = `${machine.installation}/agent/audio/web-audio-capture.ts`;
    expect(await processes(halves.node, capture, 'default', '16000')).toBe('pass');
    expect(await processes('tail', '-f', capture)).toBe('fail');
    expect(await processes(halves.node, '-e', '0', capture)).toBe('fail');
  });

  // There is no sound card here: a descriptor of a microphone's node that is not open for reading (O_PATH) stands in
  // for one that is.
  test('finds another program that records, unless it is the recorder of a listener without a network', async () => {
    const microphone = halves.at('pcmC0D0c');
    expect(spawnSync('mknod', [microphone, 'c', '116', '24']).status).toBe(0);
    const hold = "require('fs').openSync(process.argv[1], 0o10000000); console.log(process.pid); setInterval(() => 0, 1000)";
    const preload = halves.at('preload.mjs');
    writeFileSync(
      preload,
      `const { spawn } = await import('node:child_process');
       spawn(process.execPath, ['-e', ${JSON.stringify(hold)}, ${JSON.stringify(microphone)}], { stdio: 'inherit', env: {} });
       await new Promise((never) => setInterval(never, 1e9));`,
    );
    const found = async (args: string[], env = {}, command = halves.node) => {
      const other = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], env: { ...halves.environment, ...env }, detached: true });
      const recorder = await new Promise((holding) => other.stdout.once('data', (said) => holding(String(said).trim())));
      const { found: said, finding } = findingOf(await halves.verify(), 'courier.hearing') ?? {};
      process.kill(-(other.pid as number), 'SIGKILL');
      return [finding, said?.includes(`[${recorder}]`)];
    };
    expect(await found(['-e', hold, microphone])).toEqual(['hearing.recording', true]);
    copyFileSync(halves.node, halves.at('arecord')); // by its name, the recorder of the person who verifies
    chmodSync(halves.at('arecord'), 0o755);
    const beside = expect.stringMatching(/^hearing\.(none|apart)$/); // the machine may have a sound server
    expect(await found(['-e', hold, microphone], {}, halves.at('arecord'))).toEqual([beside, false]);
    const preloaded = { NODE_OPTIONS: `--import=${pathToFileURL(preload)}` };
    expect(await found([halves.program, 'deliver'], preloaded)).toEqual(['hearing.recording', true]);
    expect(await found([halves.program, 'listen'], preloaded), 'started by hand').toEqual(['hearing.recording', true]);
    expect(await found(['--net', halves.node, halves.program, 'listen'], preloaded, 'unshare')).toEqual(['hearing.apart', false]);
    copyFileSync(halves.node, halves.at('elsewhere')); // with its mode
    const named = await found(['--net', halves.at('elsewhere'), halves.program, 'listen'], preloaded, 'unshare');
    expect(named, 'by its arguments alone').toEqual(['hearing.recording', true]);
    const connected = 'ip link add out0 type veth peer name out1 && exec "$@"';
    const args = ['--net', 'sh', '-c', connected, 'sh', halves.node, halves.program, 'listen'];
    expect(await found(args, preloaded, 'unshare'), 'in another network').toEqual(['hearing.recording', true]);
  });

  test('finds what one thread of a process has for itself, also where the first thread has ended', async () => {
    const [threads, recording] = [halves.at('threads'), halves.at('data', 'recording.raw')];
    onTestFinished(() => rmSync(recording, { force: true }));
    execFileSync('gcc', ['-pthread', '-o', threads, 'test/support/threads.c']);
    const started = async (...command: [string, ...string[]]) => {
      const child = spawn(command[0], command.slice(1), { stdio: 'pipe', env: { ...process.env, TEST_UID: `${listenerUid}`, TEST_GID: `${gid}` } });
      const other = Number(String((await once(child.stdout, 'data'))[0]));
      onTestFinished(() => void spawnSync('kill', ['-KILL', String(other)]));
      return other;
    };
    const stranger = createServer((socket) => socket.on('error', () => undefined)).listen(0);
    onTestFinished(() => void stranger.close());
    const port = `${(stranger.address() as { port: number }).port}`;
    const other = await started('nsenter', '-t', pid(), '-n', '-i', '-m', threads, `/proc/${process.pid}/ns/net`, port, recording);
    const { halves: found, ...machine } = await halves.machineNow();
    found.listener = { ...(found.listener as Half), processes: [halves.pidOf('listen'), other] };
    const lines = await verifyMachine({ ...machine, halves: found });
    const wrong = ['network', 'sockets', 'files', 'writable', 'identity', 'privileges', 'capabilities', 'seccomp'];
    for (const check of wrong) expect(lines).toContainEqual(expect.objectContaining({ part: 'listener', check, state: 'fail' }));
    for (const [name, ...numbers] of [['pcmC1D0c', '116', '56'] as const, ['dsp', '14', '3'] as const]) {
      execFileSync('mknod', [halves.at(name), 'c', ...numbers]);
      const recorder = await started('setsid', '--fork', threads, halves.at(name)); // a child of this process could be its own recorder
      expect(findingOf(await halves.verify(), 'courier.hearing')?.found, name).toMatch(`other programs record: threads [${recorder}]`);
      process.kill(recorder, 'SIGKILL');
    }
  });

  const pid = () => String(halves.pidOf('listen'));
  test.each([
    ['a program that traces the listener', () => ['strace', '-f', '-e', 'trace=none', '-p', pid()]],
    ['a program that traces a thread of the listener', () => ['strace', '-e', 'trace=none', '-p', readdirSync(`/proc/${pid()}/task`).at(-1) as string]],
    ['a program that holds the listener’s memory open', () => ['sh', '-c', 'exec 3<"$0"; echo open >&2; exec sleep 60', `/proc/${pid()}/mem`]],
  ])('finds %s', async (_who, command) => {
    const [name = '', ...rest] = command();
    const other = spawn(name, rest, { stdio: ['ignore', 'ignore', 'pipe'] });
    onTestFinished(() => void other.kill('SIGKILL'));
    await new Promise((looking) => other.stderr.once('data', looking));
    const report = await halves.verify();
    expect(failing(report)).toEqual(['listener.traced']);
    expect(findingOf(report, 'listener.traced')?.found).toMatch(new RegExp(`\\b${other.pid}$`));
  });
});
