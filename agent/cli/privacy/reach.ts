// Whether a process could use what lies on this machine, by whatever path it sees it.
import { existsSync, realpathSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { hasAccessList } from '../../lib/libc.ts';
import { isSame, type Mount, mountsOf, statusOf } from './process.ts';

/**
 * Whether the user and groups of a process may write to a path, or else do either, by its mode; what is its own it may give itself (chmod(2)).
 * Of a file with an access list the bits of the group are the most that the list gives to anyone (acl(5)): to this process too, it is taken.
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

/** Whether a process may write to the file that is here at a path, by whatever path it sees it: its unit may mount it elsewhere for it. */
export function reachOf(pid: number): (path: string) => boolean {
  const [ours, theirs] = [mountsOf(process.pid), mountsOf(pid)];
  const may = accessOf(pid);
  return (path) => {
    if (!existsSync(path)) return false;
    const place = realpathSync(path); // without the links on the way, such as /var/run, which would lead out of its root
    const here = mountWith(place, ours);
    const inside = join(here.root, relative(here.point, place)); // its path in its file system
    return theirs.some(({ device, root, point }) => {
      const seen = `/proc/${pid}/root${join(point, relative(root, inside))}`;
      return device === here.device && isWithin(inside, root) && isSame(place, seen) && may(seen);
    });
  };
}

/** Where a path lies: the mount with the longest point, of several on one the last. */
function mountWith(path: string, mounts: readonly Mount[]): Mount {
  return mounts.filter(({ point }) => isWithin(path, point)).reduce((most, mount) => (mount.point.length < most.point.length ? most : mount));
}

const isWithin = (path: string, folder: string): boolean => path === folder || path.startsWith(folder.endsWith('/') ? folder : `${folder}/`);
