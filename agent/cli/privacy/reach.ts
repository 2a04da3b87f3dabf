// Whether a process could use a file of this machine, under any path that its own mounts give the file.
import { existsSync, realpathSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { hasAccessList } from '../../lib/libc.ts';
import { isNotText, isSame, isWithin, type Mount, mountOf, mountsOf, statusOf } from './process.ts';

const bitsOf = { write: 0o222, 'read or write': 0o666, enter: 0o111 } as const;

/**
 * Whether the process may write (or read or write, or enter) a path, by owner, group and mode. Root always may, and so
 * may the owner, since it can chmod (chmod(2)). An access list counts as granting its mask, which the group bits hold
 * (acl(5)).
 */
export function accessOf(pid: number, what: keyof typeof bitsOf = 'write'): (path: string) => boolean {
  const bits = bitsOf[what];
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
 * file is tried, because its unit may mount the file elsewhere. A name that is not UTF-8, of the file or of where it is
 * mounted, counts as within reach.
 */
export function reachOf(pid: number): (path: string) => boolean {
  const [ours, theirs] = [mountsOf(process.pid), mountsOf(pid)];
  const [may, enters] = [accessOf(pid), accessOf(pid, 'enter')];
  // a second name of the file may lie in another folder
  const isClosed = (root: string, place: string) => statSync(`${root}${place}`).nlink === 1 && foldersOf(place).some((folder) => !enters(`${root}${folder}`));
  return (path) => {
    if (isNotText(path)) return true;
    if (!existsSync(path)) return false;
    // Links on the way, such as /var/run, are resolved: below /proc/PID/root they would lead out of the process's root.
    const place = realpathSync(path);
    const here = mountOf(place, ours) as Mount; // the root at least
    const inside = join(here.root, relative(here.point, place)); // its path within its file system
    return theirs.some(({ device, root, point }) => {
      const [top, seen] = [`/proc/${pid}/root`, join(point, relative(root, inside))];
      if (device !== here.device || !isWithin(inside, root)) return false;
      return isNotText(point) || (isSame(place, `${top}${seen}`) && may(`${top}${seen}`) && !isClosed(top, seen));
    });
  };
}

/** The folders on the way to a path. */
function foldersOf(path: string): string[] {
  const folder = dirname(path);
  return folder === path ? [] : [...foldersOf(folder), folder];
}
