import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { holds, openFiles } from '../../agent/cli/privacy/process.ts';

// A disk stands in for a microphone: it can be mapped without a driver of sound.
const disk = readdirSync('/sys/block')
  .map((name) => `/dev/${name}`)
  .find((path) => existsSync(path) && statSync(path).isBlockDevice());
const without = process.getuid?.() === 0 ? (disk === undefined ? 'needs a block device' : undefined) : 'needs root to open a device';
const script = `
const [{ default: koffi }, { closeSync, openSync }] = await Promise.all([import('koffi'), import('node:fs')]);
const file = openSync(process.argv[1], 'r');
const mmap = koffi.load(null).func('uint64_t mmap(uint64_t at, size_t size, int protection, int flags, int fd, long offset)');
if (BigInt.asIntN(64, BigInt(mmap(0, 4096, 1, 1, file, 0))) === -1n) throw new Error('not mapped');
closeSync(file);
console.log('mapped');
setInterval(() => 0, 1000);`;

test.skipIf(without)(`a device that stays mapped once its descriptor is closed is found${without ? ` (left out: ${without})` : ''}`, async () => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', script, disk as string], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  const pid = child.pid as number;
  const device = statSync(disk as string).rdev;
  expect(openFiles(pid)).toContainEqual(expect.objectContaining({ kind: 'device', target: disk, writable: false }));
  expect(holds(pid, (place) => statSync(place).rdev === device)).toBe(true);
});
