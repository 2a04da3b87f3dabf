import { mountOf, mountsIn } from '../privacy/process.ts';

/**
 * Whether what is written into a folder is gone after a reboot: it is on a tmpfs, or on an overlay that keeps what is
 * written on one (overlayroot). `folder` is without links, and `mountinfo` that of proc(5). Of an overlay whose upper
 * folder is not among these mounts, as in most containers, nothing can be said.
 */
export function isInMemory(folder: string, mountinfo: string): boolean {
  const mounts = mountsIn(mountinfo);
  const mount = mountOf(folder, mounts);
  const below = mount?.type === 'overlay' ? mountOf(mount.upper, mounts) : mount;
  return below?.type === 'tmpfs' || below?.type === 'ramfs';
}
