// What the kernel tells of a process under /proc (proc(5)). Everything throws as the file system does: EACCES without
// root, ENOENT or ESRCH when the process has gone.
import { readdirSync, readFileSync, readlinkSync, realpathSync, type Stats, statSync } from 'node:fs';
import { basename } from 'node:path';
import { hasCode } from '../../lib/errors.ts';
import { ifPossible } from '../../lib/if-possible.ts';

export interface OpenFile {
  readonly pid: number;
  /** The path of the descriptor, or of the mapping, under /proc. */
  readonly place: string;
  /** Where the descriptor leads, as the kernel names it: a path, `socket:[N]`, `anon_inode:...`. */
  readonly target: string;
  readonly kind: 'file' | 'socket' | 'pipe' | 'device' | 'other';
  readonly writable: boolean;
  readonly dev: number;
  readonly ino: number;
  /** Of a device. */
  readonly major: number;
  readonly minor: number;
}

/**
 * The open descriptors of a process, and what it has mapped to write, or of a device, which needs no open descriptor.
 */
export function openFiles(pid: number): OpenFile[] {
  const open = new Map<string, OpenFile>(); // threads share them as a rule
  for (const place of descriptorsOf(pid)) {
    try {
      const target = readlinkSync(place);
      const name = `${basename(place)} ${target}`;
      if (open.has(name)) continue; // what has no path has a number there
      const flags = flagsOf(place);
      const file = describe(pid, place, target, (flags & 3) !== 0);
      open.set(target.startsWith('/') ? `${name} ${flags} ${file.dev}:${file.ino}` : name, file);
    } catch (error) {
      if (!hasCode(error, /^ENOENT$/)) throw error; // closed since it was listed
    }
  }
  const found = [...open.values()];
  for (const { range, permissions, path } of mappings(pid)) {
    const writable = permissions.includes('w') && permissions.includes('s') && path !== '';
    if (!writable && !isNode(path)) continue;
    try {
      const file = describe(pid, `/proc/${pid}/map_files/${range}`, path, writable);
      if (writable || file.kind === 'device') found.push(file);
    } catch (error) {
      if (!hasCode(error, /^ENOENT$/)) throw error;
    }
  }
  return found;
}

/** The descriptors of all its threads. One may have its own (unshare(2)), and the first may end before the others. */
function descriptorsOf(pid: number): string[] {
  const folders = threadsOf(pid).map((thread) => `/proc/${pid}/task/${thread}/fd`);
  return folders.flatMap((folder) => unlessGone(() => readdirSync(folder), []).map((fd) => `${folder}/${fd}`));
}

/** How a descriptor was opened (open(2)), by its path under /proc. */
function flagsOf(descriptor: string): number {
  return Number.parseInt(/^flags:\s*(\d+)/m.exec(readFileSync(descriptor.replace(/fd(?=\/\d+$)/, 'fdinfo'), 'utf8'))?.[1] ?? '', 8);
}

function threadsOf(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`);
}

function describe(pid: number, place: string, target: string, writable: boolean): OpenFile {
  const stats = statSync(place);
  const kind = stats.isFile()
    ? 'file'
    : stats.isSocket()
      ? 'socket'
      : stats.isFIFO()
        ? 'pipe'
        : stats.isCharacterDevice() || stats.isBlockDevice()
          ? 'device'
          : 'other';
  const { dev, ino } = stats;
  return { pid, place, target, kind, writable, dev, ino, ...numbersIn(stats) };
}

/** The numbers of a device (makedev(3)). */
export function numbersIn({ rdev }: Stats): { major: number; minor: number } {
  return { major: (rdev >>> 8) & 0xfff, minor: (rdev & 0xff) | ((rdev >>> 12) & 0xfff00) };
}

/** The mapped regions that have a file or a name behind them. */
export function mappings(pid: number): { range: string; permissions: string; path: string }[] {
  return readFileSync(`/proc/${pid}/maps`, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, start = '', end = '', permissions = '', path = ''] = /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \d+ *(.*)$/s.exec(line) ?? [];
      return permissions === '' ? [] : [{ range: `${trim(start)}-${trim(end)}`, permissions, path }];
    });
}

/** Whether a path may be a device's. Memory that processes share is named as if it were one that is gone. */
const isNode = (path: string) => /^\/dev\/(?!shm\/|zero \(deleted\)$)/.test(path);

/** The names under map_files carry no leading zeros. */
function trim(hex: string): string {
  return hex.replace(/^0+(?=.)/, '');
}

/** A field of /proc/PID/status, or of that of a thread of it. */
export function statusOf(pid: number, thread?: string): (field: string) => string {
  const text = readFileSync(`/proc/${pid}${thread === undefined ? '' : `/task/${thread}`}/status`, 'utf8');
  const lines = text.split('\n'); // the only character of a name that the kernel escapes there
  return (field) =>
    lines
      .find((line) => line.startsWith(`${field}:`))
      ?.slice(field.length + 1)
      .replace(/^[\t ]+/, '') ?? '';
}

/** The same of each thread of processes: users, capabilities and filters are a thread's own. */
export function statusesOf(pids: readonly number[]): ReturnType<typeof statusOf>[] {
  const others = (pid: number) => threadsOf(pid).filter((thread) => thread !== String(pid));
  return pids.flatMap((pid) => [statusOf(pid), ...others(pid).flatMap((thread) => unlessGone(() => [statusOf(pid, thread)], []))]);
}

export function argumentsOf(pid: number): string[] {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
}

export function environmentOf(pid: number): Map<string, string> {
  const pairs = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  return new Map(pairs.filter(Boolean).map((pair) => [pair.split('=', 1)[0] as string, pair.slice(pair.indexOf('=') + 1)]));
}

/** The number of its network namespace, or of that of its shared memory and message queues, or of its mounts. */
export function namespaceOf(pid: number, kind: Namespace = 'net', thread = String(pid)): string {
  return readlinkSync(`/proc/${pid}/task/${thread}/ns/${kind}`);
}
type Namespace = 'net' | 'ipc' | 'mnt';

/** Those of all threads of processes. Without one that ended meanwhile. */
export function namespacesOf(pids: readonly number[], kind: Namespace = 'net'): Set<string> {
  return new Set(pids.flatMap((pid) => threadsOf(pid).flatMap((thread) => unlessGone(() => [namespaceOf(pid, kind, thread)], []))));
}

/** The processes in the namespace of a process, without these. */
export function strangersIn(kind: 'net' | 'ipc', pid: number, own: readonly number[]): number[] {
  const namespace = namespaceOf(pid, kind);
  // one of which none can be read is gone, or process 1 of a container
  return allProcesses().filter((one) => !own.includes(one) && ifPossible(() => namespacesOf([one], kind))?.has(namespace));
}

/** A process in the machine's namespaces: process 1, or this process where process 1 may not be inspected. */
export function machineProcess(): number {
  return ifPossible(() => namespaceOf(1)) === undefined ? process.pid : 1;
}

/**
 * When the process started, in ms since the epoch by the current wall clock. The resolution is 10 ms (the kernel counts
 * clock ticks after boot, 100 a second).
 */
export function startedMs(pid: number): number {
  const ticks = Number(
    readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')[19],
  );
  const upSeconds = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
  return Date.now() - upSeconds * 1000 + ticks * 10;
}

export function allProcesses(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** Returns `look()`, or `gone` where the process or file disappears meanwhile: it then holds and serves nothing. */
export function unlessGone<T>(look: () => T, gone: T): T {
  try {
    return look();
  } catch (error) {
    if (hasCode(error, /^(ENOENT|ESRCH)$/)) return gone;
    throw error;
  }
}

// Opens neither a sound device nor the memory of another process. In a container not even root may inspect it.
const init = 1;

/**
 * Whether `isSo` holds for any descriptor of a process or mapping of a device, given by its path under /proc. Never
 * for process 1.
 */
export function holds(pid: number, isSo: (descriptor: string) => boolean): boolean {
  if (pid === init) return false;
  const mapped = () => mappings(pid).flatMap(({ range, path }) => (isNode(path) ? [`/proc/${pid}/map_files/${range}`] : []));
  return [descriptorsOf, mapped].flatMap((look) => unlessGone(() => look(pid), [])).some((place) => unlessGone(() => isSo(place), false));
}

/** A process and all its running descendants, the process first. */
export function familyOf(pid: number): number[] {
  const children = Map.groupBy(allProcesses(), (one) => ifPossible(() => Number(statusOf(one)('PPid')))); // it may be gone since it was listed
  const family = [pid];
  for (const one of family) family.push(...(children.get(one) ?? []));
  return family;
}

export interface Mount {
  /** Of the file system, `major:minor`, and the folder or file of it that is mounted. */
  readonly device: string;
  readonly root: string;
  readonly point: string;
  readonly type: string;
  readonly writable: boolean;
  /** Where an overlay keeps what is written; empty for others. */
  readonly upper: string;
}

/** The mounts that a process sees. */
export function mountsOf(pid: number): Mount[] {
  return mountsIn(readFileSync(`/proc/${pid}/mountinfo`, 'utf8'));
}

/** The mounts of a `mountinfo` (proc(5)). One is writable when neither the mount nor its file system is read-only. */
export function mountsIn(mountinfo: string): Mount[] {
  return mountinfo
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [before = '', after = ''] = line.split(' - ');
      const [, , device = '', root = '', point = '', options = ''] = before.split(' ');
      const [type = '', , superOptions = ''] = after.split(' ');
      const readOnly = [options, superOptions].some((list) => list.split(',').includes('ro'));
      const upper = /(?:^|,)upperdir=([^,]*)/.exec(superOptions)?.[1] ?? '';
      return { device, root: unescapeOctal(root), point: unescapeOctal(point), type, writable: !readOnly, upper: unescapeOctal(upper) };
    });
}

/** The mount that holds a path: the one with the longest mount point, or the last of several on the same point. */
export function mountOf(path: string, mounts: readonly Mount[]): Mount | undefined {
  const holding = mounts.filter(({ point }) => isWithin(path, point));
  return holding.reduce<Mount | undefined>((most, mount) => (mount.point.length < (most?.point.length ?? 0) ? most : mount), undefined);
}

export const isWithin = (path: string, folder: string): boolean => path === folder || path.startsWith(folder.endsWith('/') ? folder : `${folder}/`);

function unescapeOctal(path: string): string {
  return path.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

/** A path as a process resolves it: a relative one starts at its working folder. */
export function pathOf(pid: number, path: string): string {
  return path.startsWith('/') ? path : `${readlinkSync(`/proc/${pid}/cwd`)}/${path}`;
}

/** Whether a name may not be UTF-8: this character stands for such bytes, and would lead to another file or none. */
export function isNotText(path: string): boolean {
  return path.includes('\ufffd');
}

/** The file behind a script that a process was given; nothing where there is none. */
export function realScript(pid: number, script: string): string {
  return ifPossible(() => realpathSync(pathOf(pid, script))) ?? '';
}

/** Whether `seen`, a path below the root of a process under /proc, is the same file as `path` is here. */
export function isSame(path: string, seen: string): boolean {
  try {
    const [there, here] = [statSync(path), statSync(seen)];
    return there.ino === here.ino && there.dev === here.dev;
  } catch (error) {
    if (hasCode(error, /^(ENOENT|ENOTDIR)$/)) return false;
    throw error;
  }
}
