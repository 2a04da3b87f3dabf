// Both real processes while the kernel refuses what they need at their start: each starts, or ends with a reason and a
// hint that fits. A library in between stands for the kernel, a card and a network disk.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, cpSync, mkdtempSync, readdirSync, realpathSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { bundledModel } from '../../agent/config/load-config.ts';
import { systemClock } from '../../agent/lib/clock.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { missing } from '../support/broker.ts';
import { soon } from '../support/courier.ts';
import { fakeArecord } from '../support/fake-arecord.ts';
import { startHalf } from '../support/half.ts';
import { openNotifySocket } from '../support/notify-socket.ts';
import { hearingRecord, limits } from '../support/samples.ts';

const groups = '/sys/fs/cgroup/pids';
const without = (() => {
  try {
    accessSync(join(groups, 'cgroup.procs'), constants.W_OK);
    return '';
  } catch {
    return ' (left out: needs root and control groups of the first version)';
  }
})();

test.skipIf(without)(`a listener with too few tasks says so, with 6 as with 13${without}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-tasks-'));
  const group = mkdtempSync(join(groups, 'tocsin-'));
  onTestFinished(() => {
    rmdirSync(group);
    rmSync(folder, { recursive: true });
  });
  writeFileSync(
    join(folder, 'tocsin.yaml'),
    stringify({ site: 'test', sensor: 'post-1', outbox: { path: join(folder, 'outbox.db') }, mqtt: { url: 'mqtt://127.0.0.1:1' } }),
  );
  const outbox = openSqliteOutbox(join(folder, 'outbox.db'), limits);
  for (const tasks of [6, 13]) {
    outbox.writeHearing(hearingRecord({ bootId: systemClock().bootId, state: 'stopped' }));
    writeFileSync(join(group, 'pids.max'), String(tasks));
    const script = 'echo $$ > "$1/cgroup.procs"; exec "$2" agent/main.ts listen -c "$3/tocsin.yaml"';
    const { status, stderr } = spawnSync('sh', ['-c', script, 'sh', group, process.execPath, folder], { encoding: 'utf8', timeout: 60_000 });
    expect([status, ...stderr.trim().split('\n').slice(-2)]).toEqual([
      1,
      `Error: Expected a limit of at least 14 tasks for this service, got ${tasks}`,
      'Try: raise TasksMax in the unit: sudo systemctl edit tocsin-listener',
    ]);
    expect(outbox.readHearing()?.state, 'a start that fails is no longer a stop').toBe('starting');
  }
  outbox.close();
});

const reason = missing('gcc');
describe.skipIf(reason)(`a start at which the kernel refuses something${reason ? ` (left out: ${reason})` : ''}`, () => {
  let folder: string;
  const at = (name: string) => join(folder, name);
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tocsin-refused-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    execFileSync('gcc', ['-shared', '-fPIC', '-O1', '-Wall', '-o', at('refuse-calls.so'), 'test/reliability/refuse-calls.c', '-ldl']);
    cpSync(bundledModel, at('model'), { recursive: true });
    writeFileSync(at('password'), 'secret');
    const mqtt = { url: 'mqtt://127.0.0.1:1', username: 'post-1', passwordFile: at('password') };
    writeFileSync(at('tocsin.yaml'), stringify({ site: 'test', sensor: 'post-1', outbox: { path: at('outbox.db') }, model: { path: at('model') }, mqtt }));
  });
  const environment = (refused: object) => ({ ...fakeArecord('sound').env, LD_PRELOAD: at('refuse-calls.so'), ...refused });
  const ends = (half: 'listen' | 'deliver', refused: object) => {
    const args = ['agent/main.ts', half, '-c', at('tocsin.yaml')];
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', env: environment(refused), timeout: 60_000 });
    return [status, ...stderr.trim().split('\n')];
  };
  const failing = expect.stringMatching(/^Try: start it again; if that does not help, the disk is failing/);

  test.each(['listen', 'deliver'] as const)('%s: the id of the boot', (half) => {
    const restart = expect.stringMatching(/^Try: start it again; if that does not help, restart the board/);
    const boot = expect.stringContaining('Error: Expected the id of this boot in /proc/sys/kernel/random/boot_id, got: EIO');
    expect(ends(half, { TOCSIN_REFUSED: '/proc/sys/kernel/random/boot_id' })).toEqual([1, boot, restart]);
  });

  test.each([
    ['the kernel does not tell how much memory it has', () => '/proc/self/stat'],
    ['the disk does not set the mode of its meter socket', () => at('meter.sock')],
  ])('the listener hears where %s', async (_, refused) => {
    const listener = startHalf('listen', at('tocsin.yaml'), environment({ TOCSIN_REFUSED: refused() }));
    await soon(() => expect(listener.said()).toContain('"msg":"hearing"'));
    listener.child.kill('SIGTERM');
    expect(await listener.ended).toBe(0);
  });

  test.each([
    ['listen', 'tocsin.yaml', 3],
    ['deliver', 'tocsin.yaml', 3],
    ['deliver', 'password', 3],
    ['listen', 'model/manifest.json', 5],
    ['listen', 'model/model.onnx', 5],
  ] as const)('%s: %s on a block that the disk cannot read (EIO)', (half, name, code) => {
    expect(ends(half, { TOCSIN_REFUSED: at(name) })).toEqual([code, expect.stringContaining('EIO: i/o error'), failing]);
  });

  test('deliver: a file of the installation that the privacy message tells of', async () => {
    const courier = startHalf('deliver', at('tocsin.yaml'), environment({ TOCSIN_REFUSED: resolve('agent/outbox/migrations/000001.sql') }));
    await soon(() => expect(courier.said()).toMatch(/"reason":"EIO: .*the privacy message is not published/));
    await soon(() => expect(courier.said()).toContain('not connected; events are kept'));
    courier.child.kill('SIGTERM');
    expect(await courier.ended).toBe(0);
  });

  test.each(['listen', 'deliver'] as const)('%s: no descriptor for the socket to systemd at first, which would end what never gets ready', async (half) => {
    const systemd = openNotifySocket();
    onTestFinished(systemd.close);
    startHalf(half, at('tocsin.yaml'), environment({ TOCSIN_WITHOUT_SOCKET: '1', NOTIFY_SOCKET: systemd.path, WATCHDOG_USEC: '30000000' }));
    await soon(() => expect(systemd.messages.map(({ text }) => text)).toEqual(expect.arrayContaining(['READY=1', 'WATCHDOG=1'])));
  });

  // it would never load it again, and not connect before its next start
  test.each(['mqtt', 'lib/connect/ws', 'lib/connect/tcp'])('deliver: a part of the MQTT client, %s, that cannot be read', (part) => {
    const file = join(realpathSync('node_modules/mqtt/build'), `${part}.js`);
    expect(ends('deliver', { TOCSIN_REFUSED: file })).toEqual([1, `Error: Expected to load the MQTT client, got: EIO: i/o error, open '${file}'`, failing]);
  });

  test.each([0, 1])('run: no memory for more than %i of its processes: it says so, and none is left behind', async (forks) => {
    const run = spawn(process.execPath, ['agent/main.ts', 'run', '-c', at('tocsin.yaml')], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: environment({ TOCSIN_FORKS: String(forks) }),
      detached: true,
    });
    const signal = (which: NodeJS.Signals | 0) => process.kill(-(run.pid as number), which);
    onTestFinished(() => void (run.exitCode ?? signal('SIGKILL')));
    let said = '';
    run.stderr.on('data', (text) => {
      said += text;
    });
    expect(await new Promise((done) => run.once('close', done))).toBe(1);
    expect(said).toBe('Error: Expected both processes to run, got spawn ENOMEM from one\nTry: start again\n');
    expect(() => signal(0)).toThrow('ESRCH');
  });

  test.each(['listen', 'deliver'] as const)('%s: a disk that cannot lock is not taken for another process that runs', (half) => {
    const local = expect.stringMatching(/^Try: put outbox\.path on a disk of the board itself/);
    const unlocked = `Error: Expected a disk that can lock files in ${folder}, got one that cannot`;
    expect(ends(half, { TOCSIN_WITHOUT_LOCKS: '1' })).toEqual([6, unlocked, local]);
    expect(readdirSync(folder).filter((name) => /lock\.\d+/.test(name))).toEqual([]);
  });

  test.each(['listen', 'deliver'] as const)('%s: another one that runs is not taken for a disk that cannot lock', async (half) => {
    const first = startHalf(half, at('tocsin.yaml'), environment({}));
    await soon(() => expect(readdirSync(folder)).toContain('outbox.db-wal'));
    expect(ends(half, {})).toEqual([6, expect.stringMatching(/^Error: Expected to be the only (listener|courier) of /), expect.anything()]);
    expect(first.child.exitCode).toBeNull();
  });
});
