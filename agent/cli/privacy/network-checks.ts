// The listener's network, and what either half is connected to.
import { existsSync, readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { brokerAddress } from '../../config/broker-url.ts';
import { meterSocketPath } from '../../config/load-config.ts';
import { shellWord } from '../../lib/shell-word.ts';
import { type Finding, fail, type HalfCheck, listed, pass, procPaths, unchecked } from './check.ts';
import type { Half, Machine } from './machine.ts';
import { allProcesses, holds, isNotText, machineProcess, namespaceOf, namespacesOf, openFiles, strangersIn } from './process.ts';
import { reachOf } from './reach.ts';
import { localServices, plainAddress, type Socket, socketsOf, tablesOf } from './sockets.ts';

const network: HalfCheck = {
  id: 'network',
  only: 'listener',
  byHand: ({ pid }) =>
    `sudo readlink /proc/1/ns/net /proc/${pid}/task/*/ns/net; sudo nsenter -t ${pid} -n ip -brief addr; sudo nsenter -t ${pid} -n ip route; sudo nsenter -t ${pid} -n ss -xanp`,
  run({ pid, processes }) {
    const machines = namespaceOf(machineProcess());
    const own = namespacesOf(processes);
    if (own.has(machines)) return fail('privacy.network.shared');
    if (own.size > 1) return fail('privacy.network.several', { count: own.size });
    const [namespace = ''] = own;
    const { ways, idle } = interfacesOf(pid);
    if (ways.length > 0) return fail('privacy.network.interfaces', { names: listed(ways) });
    const strangers = strangersIn('net', pid, processes);
    if (strangers.length > 0) return fail('privacy.network.strangers', { pids: listed(strangers.map(String)) });
    // a process that left the namespace still answers at the sockets that it made there
    const held = new Set(processes.flatMap(openFiles).map(({ ino }) => ino));
    const left = [...tablesOf(pid)].filter(([inode, { family }]) => inode > 0 && family !== 'netlink' && !held.has(inode));
    if (left.length > 0) return fail('privacy.network.left', { what: listed(left.map(([, socket]) => describe(socket))) });
    return idle.length > 0 ? pass('privacy.network.idle', { namespace, names: listed(idle) }) : pass('privacy.network.ok', { namespace });
  },
};

/**
 * Fallback tunnels that some kernels create, down, in each namespace (net.core.fb_tunnels_only_for_init_net). Only
 * CAP_NET_ADMIN brings one up.
 */
const fallbackTunnels = new Set(['tunl0', 'gre0', 'gretap0', 'erspan0', 'ip_vti0', 'sit0', 'ip6tnl0', 'ip6gre0', 'ip6_vti0']);

/** The interfaces of its network namespace beside lo: those that may lead somewhere, and the kernel's idle tunnels. */
export function interfacesOf(pid: number): { ways: string[]; idle: string[] } {
  const devices = readFileSync(`/proc/${pid}/net/dev`, 'utf8').split('\n').slice(2);
  const names = devices.flatMap((line) => /^ *(.+?):/s.exec(line)?.[1] ?? []);
  const up = interfacesUp(pid);
  const isIdle = (name: string) => fallbackTunnels.has(name) && up !== undefined && !up.has(name);
  // any interface can be renamed to lo; the one that leads nowhere is the first of each namespace
  const isLoopback = (name: string) => name === 'lo' && (up?.get(name) ?? 1) === 1;
  return { ways: names.filter((name) => !isLoopback(name) && !isIdle(name)), idle: names.filter(isIdle) };
}

/**
 * The numbers of the interfaces that are up: each belongs to the all-hosts group (224.0.0.1, RFC 1112), whatever its
 * addresses. Undefined if the kernel does not tell.
 */
function interfacesUp(pid: number): Map<string, number> | undefined {
  const groups = `/proc/${pid}/net/igmp`;
  if (!existsSync(groups)) return undefined;
  const lines = readFileSync(groups, 'utf8').split('\n');
  return new Map(lines.flatMap((line) => [...line.matchAll(/^(\d+)\t(.+?) *:/gs)].map(([, number, name = '']) => [name, Number(number)] as const)));
}

const socketsByHand = ({ pid, processes }: Half) =>
  `sudo ls -l ${procPaths(processes, 'task/*/fd')} | grep socket; sudo nsenter -t ${pid} -n ss -tuwnap | grep -E 'pid=(${processes.join('|')}),' || echo none`;

const listenerSockets: HalfCheck = {
  id: 'sockets',
  only: 'listener',
  byHand: socketsByHand,
  run({ processes }, { config }) {
    const held = processes.flatMap(socketsOf);
    const waiting = held.filter(({ listening, path }) => listening && path !== meterSocketPath(config));
    if (waiting.length > 0) return fail('privacy.sockets.listening', { what: listed(waiting.map(describe)) });
    // what has a name and does not listen takes datagrams, as a socket unit of systemd hands one over
    const wrong = held.filter(({ family, path }) => family !== 'unix' || (path !== undefined && path !== meterSocketPath(config)));
    return wrong.length > 0 ? fail('privacy.sockets.listener', { what: listed(wrong.map(describe)) }) : pass('privacy.sockets.unix', { count: held.length });
  },
};

const courierSockets: HalfCheck = {
  id: 'sockets',
  only: 'courier',
  byHand: socketsByHand,
  async run({ pid, processes }, machine) {
    const all = processes.flatMap(socketsOf);
    const held = all.filter(({ family, path }) => family !== 'unix' || path !== undefined);
    const waiting = all.filter(({ listening }) => listening);
    if (waiting.length > 0) return fail('privacy.sockets.listening', { what: listed(waiting.map(describe)) });
    const { host, port, encrypted, addresses } = await brokerOf(machine);
    const resolvers = resolversOf(pid);
    const wrong = held.filter((socket) => !allowed(socket, { port, addresses: new Set(addresses), resolvers }));
    if (wrong.length === 0) return connected(held, host, port);
    // the name could not be looked up here: whether the far end is the broker cannot be told
    if (addresses.length === 0 && wrong.every(({ family, remote }) => family === 'tcp' && remote?.port === port))
      return unchecked('privacy.sockets.name', { host });
    // large brokers change their addresses; with TLS, the connected peer has proved that it is the broker
    if (encrypted && addresses.length > 0 && wrong.every(({ family, remote }) => family === 'tcp' && remote?.port === port))
      return unchecked('privacy.sockets.moved', { what: listed(wrong.map(describe)), host });
    return fail('privacy.sockets.peer', { what: listed(wrong.map(describe)), host, port });
  },
};

interface Allowed {
  readonly port: number;
  readonly addresses: ReadonlySet<string>;
  readonly resolvers: ReadonlySet<string>;
}

/**
 * The broker; the resolver's questions; and what the C library opens while it resolves a name, with no packet sent: it
 * asks for routes by netlink, and connects a datagram socket to port 0 of each address to find which it would reach it
 * from (getaddrinfo, RFC 6724).
 */
function allowed({ family, remote, local }: Socket, { port, addresses, resolvers }: Allowed): boolean {
  if (family === 'netlink') return true;
  if (family === 'tcp' && remote === undefined && local === undefined) return true; // made, not yet connected
  if (remote === undefined) return false;
  if (remote.port === 53 && resolvers.has(remote.address)) return family === 'udp' || family === 'tcp';
  return addresses.has(remote.address) && ((family === 'tcp' && remote.port === port) || (family === 'udp' && remote.port === 0));
}

function connected(held: readonly Socket[], host: string, port: number): Finding {
  const to = held.filter(({ family, remote }) => family === 'tcp' && remote?.port === port);
  return to.length === 0
    ? pass('privacy.sockets.none')
    : pass('privacy.sockets.broker', { host, port, address: listed(to.map(({ remote }) => remote?.address ?? '')) });
}

async function brokerOf({ config, addressesOf }: Machine) {
  const address = brokerAddress(config.mqtt.url);
  return { ...address, addresses: await addressesOf(address.host).catch(() => []) };
}

function resolversOf(pid: number): Set<string> {
  try {
    const text = readFileSync(`/proc/${pid}/root/etc/resolv.conf`, 'utf8');
    return new Set([...text.matchAll(/^nameserver\s+(\S+)/gm)].map(([, address = '']) => plainAddress(address)));
  } catch {
    return new Set();
  }
}

function describe({ pid, family, listening, local, remote, path }: Omit<Socket, 'pid'> & { pid?: number }): string {
  const at = remote ?? local;
  const where = at ? ` ${at.address.includes(':') ? `[${at.address}]` : at.address}:${at.port}` : path ? ` ${path}` : '';
  return `${family}${where}${listening ? ' (LISTEN)' : ''}${pid === undefined ? '' : ` [${pid}]`}`;
}

/** What the listener may talk to: systemd, about its own state, and the log. */
const harmlessServices = /^\/run\/systemd\/(notify$|journal\/)/;

/**
 * Where systemd tells anybody what a service has told it of itself: `STATUS=`, in any words (sd_notify(3)). Its Varlink
 * sockets all lead to one server.
 */
const told = ['io.systemd.Manager', 'io.systemd.ManagedOOM', 'userdb/io.systemd.DynamicUser', 'unit/io.systemd.Unit']
  .map((name) => `/run/systemd/${name}`)
  .concat('/run/dbus/system_bus_socket');

/** What the meter shows, and the listener's own words, are for people on this machine, not for the half that speaks. */
const meter: HalfCheck = {
  id: 'meter',
  only: 'courier',
  byHand({ pid }, { config }) {
    const path = meterSocketPath(config);
    return `sudo ls -ld ${shellWord(dirname(path))}; sudo find ${[path, ...told].map((one) => shellWord(`/proc/${pid}/root${one}`)).join(' ')} -maxdepth 0 -ls 2>/dev/null; sudo grep -E ${shellWord(`${basename(path)}|system_bus`)} /proc/${pid}/mountinfo || echo none`;
  },
  run({ pid }, { config }) {
    const paths = [meterSocketPath(config), ...told].filter(reachOf(pid));
    return paths.length === 0 ? pass('privacy.meter.ok') : fail('privacy.meter.reachable', { path: listed(paths) });
  },
};

/** The named pipes that other processes hold open: they get what is written there, also where all else is read-only. */
function namedPipes(own: readonly number[]): string[] {
  const found: string[] = [];
  for (const pid of allProcesses())
    if (!own.includes(pid))
      holds(pid, (descriptor) => {
        const path = readlinkSync(descriptor);
        if (path.startsWith('/') && statSync(descriptor).isFIFO()) found.push(path);
        return false;
      });
  return found;
}

/** A program with a network could speak for one without: a resolver, a message bus, a sound server. */
const calls: HalfCheck = {
  id: 'calls',
  only: 'listener',
  byHand: ({ pid }) =>
    `(sudo find /proc/${pid}/root/run /proc/${pid}/root/tmp /proc/${pid}/root/var -type s; sudo awk '{print $5}' /proc/${pid}/mountinfo | xargs -I{} sudo find /proc/${pid}/root{} -maxdepth 0 -type s; sudo find /proc/[0-9]*/task/*/fd -lname '/*' -xtype p -printf '%p %l\\n'; sudo find /proc/[0-9]*/ns/ipc -lname "$(sudo readlink /proc/${pid}/ns/ipc)") 2>/dev/null | grep . || echo none`,
  run({ pid, processes }, { config }) {
    const sharing = strangersIn('ipc', pid, processes);
    if (sharing.length > 0) return fail('privacy.calls.shared', { pids: listed(sharing.map(String)) });
    // as a service may be named by several paths; what cannot be followed may lead to anywhere
    const named = [...localServices(), ...namedPipes(processes)];
    const paths = [...new Set(named.flatMap((path) => (isNotText(path) ? [path] : existsSync(path) ? [realpathSync(path)] : [])))];
    const others = paths.filter((path) => path !== meterSocketPath(config) && (isNotText(path) || !harmlessServices.test(path)));
    const reachable = others.filter(reachOf(pid));
    return reachable.length > 0 ? fail('privacy.calls.reachable', { what: listed(reachable) }) : pass('privacy.calls.ok');
  },
};

export const networkChecks = [network, listenerSockets, courierSockets, calls, meter] as const;
