import { spawnSync } from 'node:child_process';
import { mkdtempSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';

export const run = (command: string, ...args: string[]) => spawnSync(command, args, { encoding: 'utf8' });
export const mount = (...args: string[]) => expect(run('mount', ...args).stderr).toBe('');

/** Mounts a separate ext4 of 64 MB on `folder`; returns its image. */
export function mountExt4(folder: string): string {
  const image = join(mkdtempSync(join(tmpdir(), 'tocsin-card-')), 'image');
  writeFileSync(image, '');
  truncateSync(image, 64_000_000);
  expect(run('mkfs.ext4', '-q', '-F', image).status).toBe(0);
  mount('-o', 'loop', image, folder);
  onTestFinished(() => void run('umount', '-l', folder));
  return image;
}

/** Checks a failed file system and mounts it over the old one, which stays open, as a technician does. */
export function mountAnew(image: string, folder: string): void {
  run('e2fsck', '-fy', image);
  const device = run('losetup', '-f', '--show', image).stdout.trim();
  mount(device, folder);
  onTestFinished(() => {
    run('umount', '-l', folder);
    run('losetup', '-d', device);
  });
}
