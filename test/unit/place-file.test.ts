import { execFileSync, spawnSync } from 'node:child_process';
import { lstatSync, mkdtempSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { giveRights, placeFile, placeNewFile, syncFolderOf } from '../../agent/lib/place-file.ts';
import { missing } from '../support/broker.ts';

test('placeFile writes the file even if an earlier attempt with the same process number left a temporary file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-place-'));
  const path = join(folder, 'sensor.key');
  writeFileSync(`${path}.${process.pid}.tmp`, 'half');
  placeFile(path, 'whole', 0o640);
  placeFile(path, 'again', 0o600);
  expect(readFileSync(path, 'utf8')).toBe('again');
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder)).toEqual(['sensor.key', `sensor.key.${process.pid}.tmp`]);
});

test('placeFile leaves a pipe or a device in its place, and nothing beside it; a link is replaced', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-place-'));
  const [pipe, link] = [join(folder, 'pipe'), join(folder, 'link')];
  execFileSync('mkfifo', [pipe]);
  symlinkSync(pipe, link);
  expect(() => placeFile(pipe, 'whole', 0o644)).toThrow('a pipe or a device');
  placeFile(link, 'whole', 0o644);
  expect(readFileSync(link, 'utf8')).toBe('whole');
  expect(lstatSync(pipe).isFIFO()).toBe(true);
  expect(readdirSync(folder)).toEqual(['link', 'pipe']);
});

test('placeNewFile keeps the first of two files placed at the same path', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-place-')), 'sensor.key');
  expect(placeNewFile(path, 'first', 0o600)).toBe(true);
  expect(placeNewFile(path, 'second', 0o600)).toBe(false);
  expect(readFileSync(path, 'utf8')).toBe('first');
  expect(readdirSync(dirname(path))).toEqual(['sensor.key']);
});

test('giveRights changes a file or a folder, and nothing that a link leads to', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-place-'));
  const [file, link] = [join(folder, 'file'), join(folder, 'link')];
  writeFileSync(file, '', { mode: 0o600 });
  symlinkSync(file, link);
  expect(() => giveRights(link, 0o644)).toThrow(/ELOOP/);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  giveRights(file, 0o640, statSync(file));
  giveRights(folder, 0o755);
  expect([file, folder].map((path) => statSync(path).mode & 0o777)).toEqual([0o640, 0o755]);
});

test('a folder that cannot be synced does not stay open', () => {
  const open = () => readdirSync('/proc/self/fd').length;
  const before = open();
  expect(() => syncFolderOf('/proc/self/status')).toThrow(/EINVAL/); // the kernel syncs no folder of /proc
  expect(open()).toBe(before);
});

test.skipIf(missing('strace'))(
  'a key is never open to others, and is on the disk before it has its name, which a power cut does not undo (needs strace)',
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'tocsin-place-'));
    const trace = join(mkdtempSync(join(tmpdir(), 'tocsin-trace-')), 'trace');
    const script = `import { placeFile, placeNewFile } from './agent/lib/place-file.ts';
placeFile(${JSON.stringify(join(folder, 'placed'))}, 'x', 0o600); placeNewFile(${JSON.stringify(join(folder, 'new'))}, 'x', 0o600);`;
    const strace = ['-f', '-y', '-e', 'trace=openat,fsync,fdatasync,rename,link,unlink', '-o', trace];
    const { status, stderr } = spawnSync('strace', [...strace, process.execPath, '--input-type=module', '-e', script], { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const calls = Array.from(readFileSync(trace, 'utf8').matchAll(/^\d+ +(\w+)\((.*)\) += /gm), ([, call, given = '']) => `${call} ${given}`);
    const told = calls
      .filter((call) => call.includes(folder) && !/O_RDONLY/.test(call))
      .map((call) =>
        call
          .replaceAll(folder, '')
          .replace(/\.[0-9a-f-]{36}\.tmp/g, '.OWN')
          .replace(/AT_FDCWD(<[^>]*>)?, |\b\d+(?=<)/g, '')
          .replace(/O_[A-Z|_]*O_EXCL[A-Z|_]*/, 'O_EXCL'),
      );
    const made = (name: string) => [`openat "/${name}.OWN", O_EXCL, 0600`, `fsync </${name}.OWN>`];
    expect(told).toEqual([
      ...[...made('placed'), 'rename "/placed.OWN", "/placed"', 'fsync <>'],
      ...[...made('new'), 'link "/new.OWN", "/new"', 'unlink "/new.OWN"', 'fsync <>'],
    ]);
  },
);
