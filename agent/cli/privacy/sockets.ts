import { existsSync, readFileSync } from 'node:fs';
import { hasCode } from '../../lib/errors.ts';
import { ifPossible } from '../../lib/if-possible.ts';
import { protocolOf } from '../../lib/libc.ts';
import { allProcesses, isNotText, machineProcess, namespaceOf, openFiles } from './process.ts';

export interface Socket {
  readonly pid: number;
  /** tcp, udp, raw, unix, netlink...; `unknown` when no table of the process's network namespace has it. */
  readonly family: string;
  readonly listening: boolean;
  /** Both ends of an internet socket; the far one is empty when there is none. */
  readonly local?: { readonly address: string; readonly port: number };
  readonly remote?: { readonly address: string; readonly port: number };
  /** Of a named AF_UNIX socket, to the first line break. */
  readonly path?: string;
  /** What is there, or may be, under names that go on in the lines below it: any of them may be the socket's. */
  readonly longer?: readonly string[];
}

const internet = ['tcp', 'tcp6', 'udp', 'udp6', 'udplite', 'udplite6', 'raw', 'raw6', 'icmp', 'icmp6'];

/**
 * The sockets that a process holds. They are identified by the tables under /proc/PID/net of its own network namespace
 * and of the machine's, from which systemd hands sockets over. A socket of a family without a table (vsock, alg,
 * bluetooth...), or of a third namespace, is returned as `unknown` and never left out.
 */
export function socketsOf(pid: number): Socket[] {
  const held = openFiles(pid).filter((file) => file.kind === 'socket');
  const [own, machine] = [tablesOf(pid), tablesOf(machineProcess())];
  return held.map(({ ino, place }) => {
    const told = own.get(ino) ?? machine.get(ino) ?? unknown;
    return { pid, ...(told.family === 'unix' && !protocolOf(place).startsWith('UNIX') ? unknown : told) };
  });
}

const unknown = { family: 'unknown', listening: false } as const;

/** The paths of AF_UNIX sockets in every network namespace: a socket with a path can be reached from any of them. */
export function localServices(): string[] {
  const namespaces = new Map<string, number>();
  for (const pid of [...allProcesses(), machineProcess()]) {
    const namespace = ifPossible(() => namespaceOf(pid));
    if (namespace !== undefined) namespaces.set(namespace, pid); // else it is gone, or of the kernel
  }
  return [...new Set([...namespaces.values()].flatMap(localSockets).flatMap(pathsOf))];
}

/** Every path that a socket may have. */
export function pathsOf({ path, longer = [] }: Pick<Socket, 'path' | 'longer'>): string[] {
  return path?.startsWith('/') ? [path, ...longer] : [];
}

/**
 * Every socket of a process's network namespace, by its inode. A line of a local socket may be part of another's name:
 * it counts only where no other table has the inode, and two of one inode contradict each other.
 */
export function tablesOf(pid: number): Map<number, Omit<Socket, 'pid'>> {
  const known = new Map<number, Omit<Socket, 'pid'>>();
  for (const { inode, ...socket } of localSockets(pid)) known.set(inode, known.has(inode) ? unknown : socket);
  for (const family of internet)
    for (const columns of table(pid, family)) {
      const [, local = '', remote = '', state = ''] = columns;
      const listening = family.startsWith('tcp') && state === '0A';
      known.set(Number(columns[9]), { family: family.replace('6', ''), listening, ...end('local', local), ...end('remote', remote) });
    }
  for (const columns of table(pid, 'netlink')) known.set(Number(columns[9]), { family: 'netlink', listening: false });
  for (const columns of table(pid, 'packet')) known.set(Number(columns[8]), { family: 'packet', listening: false });
  return known;
}

/** The lines of the table of AF_UNIX sockets. The kernel prints names as they are, with any line breaks. */
function localSockets(pid: number): (Omit<Socket, 'pid'> & { inode: number })[] {
  const lines = linesOf(pid, 'unix');
  return lines.map((line, i) => {
    const [, flags = '0', inode, path] = /^\S+ \S+ \S+ (\S+) \S+ \S+ +(\d+)(?: (.+))?$/s.exec(line) ?? []; // a path may have any character
    const listening = (Number.parseInt(flags, 16) & 0x10000) !== 0; // __SO_ACCEPTCON
    return { inode: Number(inode), family: 'unix', listening, ...(path ? { path, longer: longerNames(path, lines.slice(i + 1)) } : {}) };
  });
}

const longestName = 108; // bytes (unix(7))

function longerNames(path: string, below: readonly string[]): string[] {
  const found: string[] = [];
  if (!path.startsWith('/')) return found;
  let name = path;
  for (let i = 0; Buffer.byteLength(name) < longestName && !isNotText(name); i++) {
    name += `\n${below[i] ?? ''}`;
    if (existsSync(name) || isNotText(name)) found.push(name);
  }
  return found;
}

function linesOf(pid: number, name: string): string[] {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/net/${name}`, 'utf8');
  } catch (error) {
    if (hasCode(error, /^ENOENT$/)) return []; // a kernel without this family
    throw error;
  }
  return text.replace(/\n$/, '').split('\n').slice(1); // the last name may end with a space
}

function table(pid: number, name: string): string[][] {
  return linesOf(pid, name).map((line) => line.trim().split(/\s+/));
}

function end(which: 'local' | 'remote', hex: string): Partial<Pick<Socket, 'local' | 'remote'>> {
  const [address = '', port = '0'] = hex.split(':');
  const bytes = (address.match(/.{8}/g) ?? []).flatMap((word) => (word.match(/../g) ?? []).reverse().map((byte) => Number.parseInt(byte, 16)));
  if (bytes.every((byte) => byte === 0) && Number.parseInt(port, 16) === 0) return {};
  return { [which]: { address: addressText(bytes), port: Number.parseInt(port, 16) } };
}

/** Dotted, also where IPv6 carries an IPv4 address; else eight groups without leading zeros. */
function addressText(bytes: readonly number[]): string {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255) return bytes.slice(12).join('.');
  return groups(Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] as number) << 8) | (bytes[2 * i + 1] as number)));
}

function groups(words: readonly number[]): string {
  return words.map((word) => word.toString(16)).join(':');
}

/** An address as `addressText` writes it, whatever short form it comes in. */
export function plainAddress(address: string): string {
  if (!address.includes(':')) return address;
  const mapped = /^::ffff:([\d.]+)$/i.exec(address)?.[1];
  if (mapped) return mapped;
  const [before = '', after] = address.replace(/%.*$/, '').split('::');
  const left = before.split(':').filter(Boolean);
  const right = (after ?? '').split(':').filter(Boolean);
  const middle = after === undefined ? [] : Array(8 - left.length - right.length).fill('0');
  return groups([...left, ...middle, ...right].map((word) => Number.parseInt(word, 16)));
}
