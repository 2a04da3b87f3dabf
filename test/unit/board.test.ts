import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { boardTemperature, readBoard } from '../../agent/lib/board.ts';
import { mountExt4, run } from '../support/small-disk.ts';

test('a zone whose sensor is off or broken does not tell the temperature of the board', () => {
  const sys = mkdtempSync(join(tmpdir(), 'tocsin-sys-'));
  const zone = (name: string, value: string) => {
    mkdirSync(join(sys, 'class/thermal', name), { recursive: true });
    writeFileSync(join(sys, 'class/thermal', name, 'temp'), value);
  };
  zone('thermal_zone0', '-274000\n');
  zone('thermal_zone1', '4294967295\n');
  zone('thermal_zone2', '');
  expect(boardTemperature(sys)).toBeUndefined(); // a health message with such a value would be refused as a whole
  zone('thermal_zone3', '48312\n');
  zone('cooling_device0', '90000\n');
  expect(boardTemperature(sys)).toBe(48.3);
});

const noMounts = userInfo().uid !== 0 ? 'needs root to mount a file system' : spawnSync('mkfs.ext4', ['-V']).error ? 'needs mkfs.ext4' : undefined;
test.skipIf(noMounts)(`the free space leaves out what ext4 keeps for root${noMounts ? ` (left out: ${noMounts})` : ''}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-card-'));
  mountExt4(folder);
  const { bfree, bsize } = statfsSync(folder);
  const { freeDiskMegabytes = 0 } = readBoard(folder, '/nowhere');
  expect(freeDiskMegabytes).toBe(Math.round(Number(run('df', '-B1', '--output=avail', folder).stdout.split('\n')[1]) / 1e6));
  expect(freeDiskMegabytes).toBeLessThan(Math.round((bfree * bsize) / 1e6));
});
