// Where a process could write, and whom it could call. A program in a root of its own stands in for a half: there all is
// read-only but the folder of the outbox and what is planted.
import { chmodSync, existsSync, lstatSync, mkdirSync, mkdtempSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Finding } from '../../agent/cli/privacy/check.ts';
import { fileChecks } from '../../agent/cli/privacy/file-checks.ts';
import type { HalfName, Machine } from '../../agent/cli/privacy/machine.ts';
import { networkChecks } from '../../agent/cli/privacy/network-checks.ts';
import { mountsIn } from '../../agent/cli/privacy/process.ts';
import { missing } from '../support/broker.ts';
import { halfOf, started } from '../support/started.ts';

const without = process.getuid?.() === 0 ? missing('unshare', 'chroot') : 'needs root to make namespaces';

describe.skipIf(without)(`privacy verify: where a process could write${without ? ` (left out: ${without})` : ''}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-mounts-'));
  const data = join(folder, 'data');
  mkdirSync(data);
  const machine = { config: { outbox: { path: join(data, 'outbox.db') }, meter: { socket: '/meter/meter.sock' } } } as Machine;
  const system = ['/usr', '/bin', '/lib', '/lib64'].filter((path) => existsSync(path) && !lstatSync(path).isSymbolicLink());
  const links = ['/bin', '/lib', '/lib64'].filter((path) => existsSync(path) && lstatSync(path).isSymbolicLink());

  /** What a process finds below $R is planted by a script; user, group and a group besides are 64005, 64006 and 64007. */
  async function planted(plant: string): Promise<number> {
    const root = mkdtempSync(join(folder, 'root-'));
    const script = [
      'set -e; mount -t tmpfs -o mode=755 root "$R"; mkdir -p "$R$D" "$R/a" "$R/b" "$R/meter"',
      ...system.map((path) => `mkdir "$R${path}"; mount --bind ${path} "$R${path}"; mount -o remount,bind,ro "$R${path}"`),
      ...links.map((path) => `ln -s usr${path} "$R${path}"`),
      `mount --bind "$D" "$R$D"; ${plant}; mount -o remount,ro "$R"`,
      'exec chroot --userspec=64005:64006 --groups=64007 "$R" /bin/sh -c "echo; exec sleep 60"',
    ].join('\n');
    return started('env', `R=${root}`, `D=${data}`, 'unshare', '-m', '-i', 'sh', '-c', script);
  }
  const whatOf = ({ state, found }: Finding) => (state === 'pass' ? 'pass' : String(found.values.what ?? found.values.path));
  const writable = async (plant: string, name: HalfName = 'listener') =>
    whatOf((await fileChecks[1].run(halfOf(name, await planted(plant)), machine)) as Finding);
  const memory = (options: string, at = '/a') => `mount -t tmpfs -o ${options} none "$R${at}"`;

  test.each([
    ['with the outbox alone', 'true'],
    ['a folder of root, with what others may read', `${memory('mode=755')}; touch "$R/a/file"; mkdir "$R/a/folder"`],
    ['a folder that nobody may enter, as systemd mounts over what it hides', memory('mode=000')],
    ['a folder of many files of root', `${memory('mode=755')}; cd "$R/a"; seq 4900 | xargs touch`],
    ['an open folder that another mount covers', `mkdir "$R/a/below"; ${memory('mode=1777', '/a/below')}; ${memory('mode=755,ro')}`],
    ['an open folder with another mounted over it', `${memory('mode=1777')}; ${memory('mode=1777,ro')}`],
    ['an open folder below it that only reads', `${memory('mode=755')}; mkdir "$R/a/below"; ${memory('mode=1777,ro', '/a/below')}`],
    ['the folder of the meter', `${memory('mode=1777', '/meter')}; touch "$R/meter/meter.sock"`],
  ])('passes %s', async (_what, plant) => {
    expect(await writable(plant)).toBe('pass');
  });

  test.each([
    ['an open folder', memory('mode=1777'), '/a'],
    ['an open folder, mounted over one that only reads', `${memory('mode=1777,ro')}; ${memory('mode=1777')}`, '/a'],
    ['an open folder deep in one of root', `${memory('mode=755')}; mkdir -p "$R/a/b/c"; chmod 1777 "$R/a/b/c"`, '/a'],
    ['an open file in a folder of root', `${memory('mode=755')}; touch "$R/a/file"; chmod 666 "$R/a/file"`, '/a'],
    ['a file of its own that is closed', `${memory('mode=755')}; touch "$R/a/file"; chmod 0 "$R/a/file"; chown 64005 "$R/a/file"`, '/a'],
    ['a file of its group', `${memory('mode=755')}; touch "$R/a/file"; chmod 660 "$R/a/file"; chown :64006 "$R/a/file"`, '/a'],
    ['a file of a group besides', `${memory('mode=755')}; touch "$R/a/file"; chmod 660 "$R/a/file"; chown :64007 "$R/a/file"`, '/a'],
    ['a folder of its own that nobody may enter', memory('mode=000,uid=64005'), '/a'],
    ['more files than are looked at', `${memory('mode=755')}; cd "$R/a"; seq 5100 | xargs touch`, '/a'],
    ['a mount whose name begins like that of the outbox', `mkdir "$R$D-archive"; ${memory('mode=1777', '$D-archive')}`, `${data}-archive`],
    ['two open folders', `${memory('mode=1777')}; ${memory('mode=1777', '/b')}`, '/a, /b'],
    ['a folder of the meter with a file more', `${memory('mode=1777', '/meter')}; touch "$R/meter/meter.sock" "$R/meter/sound"`, '/meter'],
    ['a folder of the meter that is not in bounded memory', 'mount -t ramfs -o mode=1777 none "$R/meter"', '/meter'],
  ])('fails %s', async (_what, plant, said) => {
    expect(await writable(plant)).toBe(said);
  });

  async function service(path: string): Promise<void> {
    mkdirSync(dirname(path), { recursive: true });
    const server = createServer().listen(path);
    await new Promise((listening) => server.once('listening', listening));
    onTestFinished(() => void server.close());
    chmodSync(path, 0o666);
  }

  test('fails the listener with a service beside the outbox, also one that names itself as of the journal', async () => {
    const calls = async () => whatOf((await networkChecks[3].run(halfOf('listener', await planted('true')), machine)) as Finding);
    mkdirSync('/run/systemd/journal', { recursive: true });
    expect(await calls()).toBe('pass');
    await service(`/run/systemd/journal/../../..${data}/a.sock`);
    expect(await calls()).toBe(join(data, 'a.sock'));
  });

  test.each(['io.systemd.Manager', 'io.systemd.ManagedOOM', 'userdb/io.systemd.DynamicUser', 'unit/io.systemd.Unit'])(
    'fails the courier with %s, where systemd tells what a service says of itself',
    async (name) => {
      const socket = `/run/systemd/${name}`;
      if (!existsSync(socket)) await service(socket);
      const meter = async (plant: string) => whatOf((await networkChecks[4].run(halfOf('courier', await planted(plant)), machine)) as Finding);
      expect(await meter('true')).toBe('pass');
      expect((await meter('mount --bind /run/systemd "$R/a"')).split(', ')).toContain(socket);
    },
  );

  test('fails the courier with the folder of the meter', async () => {
    expect(await writable(memory('mode=1777', '/meter'), 'courier')).toBe('/meter');
  });
});

test.each([
  ['a card', 'rw,relatime', 'rw,errors=remount-ro', true],
  ['a card that only reads', 'rw,relatime', 'ro,errors=continue', false],
  ['a mount of a card that only reads', 'ro,relatime', 'rw', false],
])('%s: whether its mount is writable', (_what, mount, superOptions, is) => {
  expect(mountsIn(`29 1 179:2 / / ${mount} shared:1 - ext4 /dev/root ${superOptions}\n`)).toMatchObject([{ point: '/', writable: is }]);
});
