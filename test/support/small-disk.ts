import { spawnSync } from 'node:child_process';
import { expect, onTestFinished } from 'vitest';

export const run = (command: string, ...args: string[]) => spawnSync(command, args, { encoding: 'utf8' });
export const mount = (...args: string[]) => expect(run('mount', ...args).stderr).toBe('');

/** What a technician does with a file system that was given up: checked, and mounted over the old one, which stays open. */
export function mountAnew(image: string, folder: string): void {
  run('e2fsck', '-fy', image);
  const device = run('losetup', '-f', '--show', image).stdout.trim();
  mount(device, folder);
  onTestFinished(() => {
    run('umount', '-l', folder);
    run('losetup', '-d', device);
  });
}
