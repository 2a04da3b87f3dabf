import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { missing } from '../support/broker.ts';

const units = ['listener', 'courier'] as const;
const unitText = (half: string) => readFileSync(`systemd/tocsin-${half}.service`, 'utf8');

const withoutSystemd = missing('systemd-analyze');
describe.skipIf(withoutSystemd)(`the units under systemd-analyze${withoutSystemd ? ` (left out: ${withoutSystemd})` : ''}`, () => {
  /** The exposure level of a unit's text, from 0 to 10. */
  function exposure(half: string, text = unitText(half)): number {
    const path = join(mkdtempSync(join(tmpdir(), 'tocsin-units-')), `tocsin-${half}.service`);
    writeFileSync(path, text);
    const { stdout, stderr } = spawnSync('systemd-analyze', ['security', '--offline=true', '--no-pager', path], { encoding: 'utf8' });
    const level = /Overall exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1];
    expect(stderr, 'systemd knows every line').not.toMatch(/Unknown|Failed to parse/);
    return Number(level);
  }

  test.each([
    ['listener', 0.5],
    ['courier', 1.1],
  ] as const)('the exposure level of the %s is at most %f', (half, most) => {
    expect(exposure(half)).toBeLessThanOrEqual(most);
  });

  test.each([
    ['listener', 'PrivateNetwork=yes'],
    ['listener', 'RestrictAddressFamilies=AF_UNIX'],
    ['listener', 'DevicePolicy=closed'],
    ['listener', 'ProtectSystem=strict'],
    ['courier', 'PrivateDevices=yes'],
    ['courier', 'User=tocsin-courier'],
    ['courier', 'NoNewPrivileges=yes'],
  ])('the exposure level of the %s is higher without %s', (half, line) => {
    const text = unitText(half);
    expect(text).toContain(`\n${line}\n`);
    expect(exposure(half, text.replace(`\n${line}\n`, '\n'))).toBeGreaterThan(exposure(half));
  });
});

test('systemd/README.md explains every line of the units, and the units contain lines that the exposure level ignores', () => {
  const readme = readFileSync('systemd/README.md', 'utf8');
  for (const half of units) {
    const lines = unitText(half)
      .split('\n')
      .filter((line) => /^\w+=/.test(line) && !line.startsWith('Description='));
    expect(lines.length).toBeGreaterThan(30);
    for (const line of lines) expect(readme, line).toContain(`\`${line.split('=')[0]}`);
    for (const [, unit = ''] of unitText(half).matchAll(/^After=(.+)$/gm)) expect(readme).toContain(`\`Wants=\`, \`After=${unit}\``);
    for (const line of ['LimitCORE=0', 'MemorySwapMax=0', 'StartLimitIntervalSec=0', 'Restart=always', 'Type=notify', 'LogRateLimitBurst=60'])
      expect(lines).toContain(line);
  }
  expect(unitText('courier')).not.toMatch(/SupplementaryGroups|char-alsa/);
  expect(unitText('listener')).not.toMatch(/AF_INET|LoadCredential/);
  // nothing of another program: the folder of chrony would hold a socket
  expect(unitText('listener')).toMatch(/^BindReadOnlyPaths=\/run\/systemd\/notify -\/run\/systemd\/timesync$/m);
});

test('the listener may open a sound card that is plugged in later, since the sound module is loaded first', () => {
  // observed in a virtual machine (systemd/README.md); a container cannot show it, since its devices are the host's
  const listener = unitText('listener');
  expect(listener).toContain('\nDeviceAllow=char-alsa rw\n');
  for (const line of ['Wants=modprobe@snd.service', 'After=modprobe@snd.service']) expect(listener).toContain(`\n${line}\n`);
});

const notRoot = process.getuid?.() === 0 ? undefined : 'needs root to become two users';
const asUser = (uid: number, script: string) =>
  spawnSync(process.execPath, ['--input-type=module', '-e', script], { uid, gid: 64_007, encoding: 'utf8', env: { PATH: process.env.PATH } });
const unreadable =
  notRoot ??
  (asUser(64_001, `await import(${JSON.stringify(resolve('agent/outbox/sqlite-outbox.ts'))})`).status === 0
    ? undefined
    : 'other users may not read this checkout');
test.skipIf(unreadable)(
  `the users of listener and courier share the outbox, and other users may not read it${unreadable ? ` (left out: ${unreadable})` : ''}`,
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'tocsin-shared-'));
    chownSync(folder, 0, 64_007);
    chmodSync(folder, 0o2770);
    const path = join(folder, 'outbox.db');
    const [sqlite, samples] = ['agent/outbox/sqlite-outbox.ts', 'test/support/samples.ts'].map((file) => JSON.stringify(resolve(file)));
    const script = (work: string) => `
    process.umask(0o077);
    const { openSqliteOutbox } = await import(${sqlite});
    const { limits, recordedEvent } = await import(${samples});
    const outbox = openSqliteOutbox(${JSON.stringify(path)}, limits, { repair: true });
    ${work}`;
    const listener = (i: number) => asUser(64_001, script(`console.log(outbox.append(recordedEvent(${i})));`));
    const courier = asUser(
      64_002,
      script('outbox.acknowledge(outbox.pending(0, 9).map((e) => e.sequence)); console.log(outbox.fates().sent); outbox.close();'),
    );
    expect(courier.stdout.trim(), courier.stderr).toBe('0'); // the first of the two creates the file
    const first = listener(0); // ends without closing: -wal and -shm remain, and belong to the listener
    expect(first.stdout.trim(), first.stderr).toBe('stored');
    for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).mode & 0o777, name).toBe(0o660);
    const second = asUser(64_002, script('outbox.acknowledge(outbox.pending(0, 9).map((e) => e.sequence)); console.log(outbox.fates().sent);'));
    expect(second.stdout.trim(), second.stderr).toBe('1');
    expect(listener(1).stdout.trim()).toBe('stored');
    const stranger = spawnSync(process.execPath, ['-e', `require('node:fs').readFileSync(${JSON.stringify(path)})`], {
      uid: 64_003,
      gid: 64_003,
      encoding: 'utf8',
    });
    expect(stranger.stderr).toContain('EACCES');
  },
);

test('neither half sees a place in memory in which both could write', () => {
  // a container shows that systemd hides them (test/system)
  for (const half of units) {
    const hidden = [...unitText(half).matchAll(/^InaccessiblePaths=(.*)$/gm)].flatMap(([, paths = '']) => paths.split(' '));
    expect(hidden, half).toEqual(expect.arrayContaining(['-/dev/shm', '-/dev/mqueue', '-/dev/hugepages', '-/dev/pts']));
  }
});

test('neither half can keep a key of the kernel, which all other users of the machine could read', () => {
  // keyrings(7): permissions alone protect a key, and no namespace does; PrivateUsers= and KeyringMode= do not hide it
  for (const half of units) expect(unitText(half)).toMatch(/^SystemCallFilter=~.*@keyring\b/m);
});

test('neither half can take a descriptor from the other', () => {
  // over a local socket in the folder that they share; test/system tries it
  for (const half of units) expect(unitText(half)).toContain('\nSystemCallFilter=~recvmsg recvmmsg\n');
});

test('the courier cannot ask systemd what the listener told it, and can listen on no port', () => {
  const courier = unitText('courier');
  const hidden = [...courier.matchAll(/^InaccessiblePaths=(.*)$/gm)].flatMap(([, paths = '']) => paths.split(' '));
  // the message bus, and the Varlink sockets of systemd, which lead to one server (systemd 261, src/core/varlink.c)
  for (const path of ['dbus', 'systemd/userdb', 'systemd/unit', 'systemd/io.systemd.Manager', 'systemd/io.systemd.ManagedOOM'])
    expect(hidden).toContain(`-/run/${path}`);
  // SocketBindDeny= sees no socket that listens without a port of its own choice
  for (const line of ['SocketBindDeny=any', 'SystemCallFilter=~listen']) expect(courier).toContain(`\n${line}\n`);
});

const withoutTmpfiles = notRoot ?? missing('systemd-tmpfiles');
test.skipIf(withoutTmpfiles)(
  `an outbox kept from another installation is given to the present group${withoutTmpfiles ? ` (left out: ${withoutTmpfiles})` : ''}`,
  () => {
    const root = mkdtempSync(join(tmpdir(), 'tocsin-kept-'));
    const [outbox, other] = ['outbox.db', 'other'].map((name) => join(root, 'var/lib/tocsin', name)) as [string, string];
    for (const folder of ['etc', 'var/lib/tocsin', 'run']) mkdirSync(join(root, folder), { recursive: true });
    writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\ntocsin-listener:x:64001:64008::/:/bin/sh\ntocsin-courier:x:64002:64007::/:/bin/sh\n');
    writeFileSync(join(root, 'etc/group'), 'root:x:0:\ntocsin:x:64007:\ntocsin-meter:x:64008:\n');
    for (const path of [outbox, `${outbox}-wal`, other]) {
      writeFileSync(path, '', { mode: 0o640 });
      chownSync(path, 64_011, 64_017);
    }
    const { status, stderr } = spawnSync('systemd-tmpfiles', ['--create', `--root=${root}`, resolve('systemd/tocsin.tmpfiles.conf')], { encoding: 'utf8' });
    expect(status, stderr).toBe(0);
    const groups = [dirname(outbox), outbox, `${outbox}-wal`, other].map((path) => statSync(path).gid);
    expect(groups).toEqual([64_007, 64_007, 64_007, 64_017]);
    expect(statSync(outbox).mode & 0o777).toBe(0o640);
  },
);

test("the group and the folder of the meter socket are not accessible to the courier's unit", () => {
  const [listener, courier] = [unitText('listener'), unitText('courier')];
  for (const line of ['Group=tocsin-meter', 'RuntimeDirectory=tocsin', 'RuntimeDirectoryMode=0750', 'RuntimeDirectoryPreserve=yes', 'UMask=0077'])
    expect(listener).toContain(`\n${line}\n`);
  expect(courier).toMatch(/^InaccessiblePaths=\/run\/tocsin$/m); // without "-": the courier does not start where the folder is missing
  expect(courier).toMatch(/^InaccessiblePaths=-\/dev\/snd -\/proc\/asound /m);
  expect(courier).toMatch(/^InaccessiblePaths=.* -\/var\/lib\/alsa$/m); // alsactl keeps there what any user of a card has added to it
  expect(courier).toMatch(/^Group=tocsin$/m);
  expect(courier).not.toContain('tocsin-meter');
  expect(readFileSync('systemd/tocsin.tmpfiles.conf', 'utf8')).toMatch(/^d \/run\/tocsin 0750 tocsin-listener tocsin-meter -$/m);
  const sysusers = readFileSync('systemd/tocsin.sysusers.conf', 'utf8');
  expect(sysusers).toMatch(/^g tocsin-meter/m);
  expect(sysusers).not.toMatch(/tocsin-courier tocsin-meter/);
});

test.skipIf(unreadable)(
  `the user of the courier cannot open the meter socket, and the meter group can${unreadable ? ` (left out: ${unreadable})` : ''}`,
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tocsin-run-')); // as RuntimeDirectory= creates it
    const [listener, courier, outboxGroup, meterGroup] = [64_001, 64_002, 64_007, 64_008];
    chownSync(folder, listener, meterGroup);
    chmodSync(folder, 0o750);
    const path = join(folder, 'meter.sock');
    const module = (file: string) => JSON.stringify(resolve(file));
    const script = `
    process.umask(0o077);
    const { openMeterSocket } = await import(${module('agent/meter/socket.ts')});
    const { meterReading, silentLogger } = await import(${module('test/support/samples.ts')});
    openMeterSocket(${JSON.stringify(path)}, meterReading, () => undefined, { ...silentLogger, warn: console.error });
    setTimeout(() => process.exit(), 60_000);`;
    const hears = spawn(process.execPath, ['--input-type=module', '-e', script], { uid: listener, gid: meterGroup, stdio: ['ignore', 'inherit', 'inherit'] });
    onTestFinished(() => void hears.kill('SIGKILL'));
    await vi.waitFor(() => expect(statSync(path).mode & 0o777).toBe(0o660), { timeout: 20_000 });
    expect(statSync(path)).toMatchObject({ uid: listener, gid: meterGroup });
    const call = (uid: number, gid: number) =>
      spawnSync(
        process.execPath,
        [
          '-e',
          `require('node:net').connect(${JSON.stringify(path)}).on('error', (e) => console.log(e.code)).once('data', (d) => { console.log(String(d.length)); process.exit() })`,
        ],
        { uid, gid, encoding: 'utf8' },
      ).stdout.trim();
    expect(call(courier, outboxGroup)).toBe('EACCES');
    expect(call(64_003, 64_003)).toBe('EACCES');
    expect(call(64_003, meterGroup)).toBe('83');
    expect(call(0, 0)).toBe('83');
  },
);
