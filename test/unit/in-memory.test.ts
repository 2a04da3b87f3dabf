import { expect, test } from 'vitest';
import { isInMemory } from '../../agent/cli/doctor/in-memory.ts';

const folder = '/var/lib/tocsin';
const overlay = (point: string, upper: string) => `${point} overlay rw,lowerdir=/media/root-ro,upperdir=${upper},workdir=/media/root-rw/work`;
const disk = '/ ext4 rw';
const hidden = '/media/root-rw tmpfs rw';

test.each<[string, boolean, readonly string[]]>([
  ['a card', false, [disk, '/run tmpfs rw', '/var/lib/to tmpfs rw', '/var/lib/tocsin/below tmpfs rw']],
  ['a tmpfs above the folder', true, [disk, '/var/lib tmpfs rw']],
  ['a ramfs', true, [disk, '/var/lib/tocsin ramfs rw']],
  ['a card mounted over a tmpfs', false, [disk, '/var/lib/tocsin tmpfs rw', '/var/lib/tocsin ext4 rw']],
  ['a tmpfs mounted over a card', true, [disk, '/var/lib/tocsin ext4 rw', '/var/lib/tocsin tmpfs rw']],
  ['overlayroot', true, [hidden, overlay('/', '/media/root-rw/overlay')]],
  ['overlayroot whose name has a space', true, ['/media/root\\040rw tmpfs rw', overlay('/', '/media/root\\040rw/overlay')]],
  ['overlayroot on a partition', false, ['/media/root-rw ext4 rw', overlay('/', '/media/root-rw/overlay')]],
  ['overlayroot with a card at /var', false, [hidden, overlay('/', '/media/root-rw/overlay'), '/var ext4 rw']],
  ['overlayroot with an overlay at /var as well', true, [hidden, overlay('/', '/media/root-rw/overlay'), overlay('/var', '/media/root-rw/overlay/var')]],
  ['a container, whose upper folder lies outside of it', false, [overlay('/', '/var/lib/docker/overlay2/1/diff'), '/dev tmpfs rw']],
  ['an overlay that only reads', false, [disk, '/var/lib/tocsin overlay ro,lowerdir=/a:/b']],
  ['no mounts that can be read', false, []],
])('%s: whether what is written to the folder is gone after a reboot', (_name, inMemory, mounts) => {
  const lines = mounts.map((mount, number) => {
    const [point, type, options] = mount.split(' ');
    return `${number + 20} 1 0:${number} / ${point} rw,relatime shared:1 - ${type} none ${options}\n`;
  });
  expect(isInMemory(folder, lines.join(''))).toBe(inMemory);
});
