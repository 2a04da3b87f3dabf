// Whether a process could use a file of this machine, under any path that its own mounts give the file.
import { existsSync, realpathSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { hasAccessList } from '../../lib/libc.ts';
import { isSame, type Mount, mountsOf, statusOf } from './process.ts';

/**
 * Whether the process may write (or read or write) a path, by owner, group and mode. Root always may, and so may the
 * owner, since it can chmod (chmod(2)). An access list counts as granting its mask, which the group bits hold (acl(5)).
 */
export function accessOf(pid: number, what: 'write' | 'read or write' = 'write'): (path: string) => boolean {
  const bits = what === 'write' ? 0o222 : 0o666;
  const field = statusOf(pid);
  const uid = Number(field('Uid').split(/\s+/)[1]);
  const groups = new Set([Number(field('Gid').split(/\s+/)[1]), ...field('Groups').split(/\s+/).filter(Boolean).map(Number)]);
  return (path) => {
    const { mode, uid: owner, gid } = statSync(path);
    if (uid === 0 || owner === uid) return true;
    return (mode & bits & (groups.has(gid) || hasAccessList(path) ? 0o070 : 0o007)) !== 0;
  };
}

/**
 * Whether a process may write to the file that this process sees at a path. Every mount of the process that shows the
 * file is tried, because its unit may mount the file elsewhere.
 */
export function reachOf(pid: number): (path: string) => boolean {
  const [ours, theirs] = [mountsOf(process.pid), mountsOf(pid)];
  const may = accessOf(pid);
  return (path) => {
    if (!existsSync(path)) return false;
    // Links on the way, such as /var/run, are resolved: below /proc/PID/root they would lead out of the process's root.
    const place = realpathSync(path);
    const here = mountWith(place, ours);
    const inside = join(here.root, relative(here.point, place)); // its path within its file system
    return theirs.some(({ device, root, point }) => {
      const seen = `/proc/${pid}/root${join(point, relative(root, inside))}`;
      return device === here.device && isWithin(inside, root) && isSame(place, seen) && may(seen);
    });
  };
}

/** The mount that holds a path: the one with the longest mount point, or the last of several on the same point. */
function mountWith(path: string, mounts: readonly Mount[]): Mount {
  return mounts.filter(({ point }) => isWithin(path, point)).reduce((most, mount) => (mount.point.length < most.point.length ? most : mount));
}

const isWithin = (path: string, folder: string): boolean => path === folder || path.startsWith(folder.endsWith('/') ? folder : `${folder}/`);
