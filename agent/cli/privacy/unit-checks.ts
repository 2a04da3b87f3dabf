// What systemd says that it holds a half to, and what of it can be seen in the kernel.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ifPossible } from '../../lib/if-possible.ts';
import { shellWord } from '../../lib/shell-word.ts';
import { fail, type HalfCheck, listed, pass, procPaths, unchecked } from './check.ts';
import { courierFolder } from './courier-folder.ts';
import { type HalfName, unitNames } from './machine.ts';
import { statusOf } from './process.ts';

/** As `systemctl show` prints them; of what is a list, the words in any order. */
const both: Record<string, string> = {
  NoNewPrivileges: 'yes',
  PrivateUsers: 'yes', // also where other users are let in: `identity`
  PrivateUsersEx: 'self',
  PrivateMounts: 'yes',
  PrivateIPC: 'yes',
  ProtectSystem: 'strict',
  ProtectHome: 'yes',
  CapabilityBoundingSet: '',
  AmbientCapabilities: '',
  DevicePolicy: 'closed',
  OpenFile: '', // of a local socket it would be a connection, to whom no table tells
  StandardInput: 'null',
  StandardOutput: 'journal',
  StandardError: 'inherit',
  LimitCORE: '0',
  LimitCORESoft: '0',
  CoredumpFilter: '0x0',
  MemorySwapMax: '0',
  RestrictNamespaces: 'yes',
  RestrictSUIDSGID: 'yes',
  LockPersonality: 'yes',
  ProtectProc: 'invisible',
  SystemCallArchitectures: 'native',
  TasksMax: '64',
  NeedDaemonReload: 'no', // or the files are not those that systemd has read
};
/** What a release of systemd before 257 does not print: it knows nothing else. */
const alone: Record<string, string> = { PrivateUsersEx: 'self' };
const settings: Record<HalfName, Record<string, string>> = {
  listener: {
    ...both,
    ReadWritePaths: '/var/lib/tocsin',
    PrivateNetwork: 'yes',
    RestrictAddressFamilies: 'AF_UNIX',
    IPAddressDeny: '::/0 0.0.0.0/0',
    IPAddressAllow: '',
    DeviceAllow: 'char-alsa rw',
    LoadCredential: '',
    MemoryMax: String(400 * 2 ** 20),
  },
  courier: {
    ...both,
    ReadWritePaths: `/var/lib/tocsin -${courierFolder}`,
    PrivateDevices: 'yes',
    RestrictAddressFamilies: 'AF_INET AF_INET6 AF_UNIX',
    SocketBindDeny: 'any',
    SocketBindAllow: '',
    DeviceAllow: '',
    MemoryMax: String(300 * 2 ** 20),
  },
};

const words = (value: string) => value.split(' ').sort().join(' ');

/**
 * Denied system calls that would undo the rest: access to another's memory, another view of the file system, a way
 * around the filter, a memory that all users share, a descriptor of another process.
 */
const never = ['ptrace', 'mount', 'io_uring_setup', 'keyctl', 'recvmsg', 'recvmmsg'];

/**
 * systemd writes out the groups of calls, which are other calls from release to release: what must not be there is
 * looked for, not the whole compared. A list that begins with ~ denies what it names and allows all else, where the
 * shipped one allows what it names; a call with an error behind it (`ptrace:EPERM`) is denied.
 */
function wrongCalls(filter: string): string[] {
  const shipped = `@system-service, -${never.join(' -')}`;
  if (filter === '' || filter.startsWith('~')) return [`SystemCallFilter=${filter.slice(0, 60)} (${shipped})`];
  const calls = filter.split(' ');
  const open = never.filter((call) => calls.includes(call));
  return open.length > 0 ? [`SystemCallFilter=${open.join(' ')} (${shipped})`] : [];
}

/** What an administrator may set in a drop-in: it changes nothing of what a half can do. */
const harmless = /^(After|Before|Wants|Requires|Nice|CPUWeight|IOWeight|OOMScoreAdjust|RestartSec|Timeout(Start|Stop)Sec|WatchdogSec|IPAddress(Deny|Allow))$/;

/**
 * The lines of a drop-in that set anything else; what is compared in force is left out. To systemd a carriage return or
 * a NUL ends a line too, also within a comment.
 */
function addedBy(dropIn: string, name: HalfName): string[] {
  const lines = readFileSync(dropIn, 'utf8')
    .split(/[\n\r\0]/)
    .map((line) => line.trim());
  const keyOf = (line: string) => line.split('=', 1)[0]?.trim() ?? '';
  return lines.filter((line) => line !== '' && !/^[#;[]/.test(line) && !harmless.test(keyOf(line)) && !(keyOf(line) in settings[name]));
}

const unit: HalfCheck = {
  id: 'unit',
  byHand: ({ name }, { installation }) =>
    `cmp ${shellWord(join(installation, 'systemd', unitNames[name]))} $(systemctl show -P FragmentPath ${unitNames[name]}); systemctl cat ${unitNames[name]}; systemctl show -p UnitsLoadTimestamp; systemctl show ${[
      ...Object.keys(settings[name]),
      'SystemCallFilter',
      'ExecMainStartTimestamp',
    ]
      .map((key) => `-p ${key}`)
      .join(' ')} ${unitNames[name]}`,
  run({ name, unit: shown }, { installation }) {
    if (shown === undefined) return unchecked('privacy.unit.none');
    const { FragmentPath: path = '', DropInPaths: dropIns = '' } = shown;
    if (path === '' || !readFileSync(path).equals(readFileSync(join(installation, 'systemd', unitNames[name])))) return fail('privacy.unit.file', { path });
    const inForce = (key: string) => (shown[key] ?? alone[key] ?? '').replace(/^char-rtc r(; )?/, ''); // what ProtectClock adds to DeviceAllow: reading the clock
    const others = Object.entries(settings[name]).filter(([key, value]) => words(inForce(key)) !== words(value));
    const added = dropIns
      .split(' ')
      .filter(Boolean)
      .flatMap((dropIn) => addedBy(dropIn, name));
    const wrong = [
      ...wrongCalls(shown.SystemCallFilter ?? ''),
      ...others.map(([key, value]) => `${key}=${inForce(key)} (${value || '-'})`),
      ...added.map((line) => `${line.slice(0, 80)} (-)`),
    ];
    if (wrong.length > 0) return fail('privacy.unit.wrong', { what: listed(wrong) });
    // what it prints is what it has read last, and what runs is held to what it had read by the start
    const isStill = Number(shown.UnitsLoadTimestampMonotonic) < Number(shown.ExecMainStartTimestampMonotonic);
    if (!isStill) return unchecked('privacy.unit.reloaded', { unit: unitNames[name] });
    return pass('privacy.unit.ok', { count: Object.keys(settings[name]).length + 1, dropIns: dropIns || '-' });
  },
};

/** The file of a control group's limit (cgroup v2); undefined where the kernel does not keep it. */
function limitOf(pid: number, name: string): string | undefined {
  const group = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1];
  return ifPossible(() => readFileSync(`/sys/fs/cgroup${group}/${name}`, 'utf8').trim());
}

const limits: HalfCheck = {
  id: 'limits',
  byHand: ({ pid }) => `cd /sys/fs/cgroup$(grep ^0:: /proc/${pid}/cgroup | cut -d: -f3) && head memory.max memory.swap.max pids.max`,
  run({ pid }) {
    const [memory, tasks] = [limitOf(pid, 'memory.max'), limitOf(pid, 'pids.max')];
    if (memory === 'max' || tasks === 'max') return fail('privacy.limits.open', { memory: memory ?? '?', tasks: tasks ?? '?' });
    if (memory === undefined || tasks === undefined) return unchecked('privacy.limits.none');
    return pass('privacy.limits.ok', { megabytes: Math.round(Number(memory) / 1e6), tasks });
  },
};

const swap: HalfCheck = {
  id: 'swap',
  byHand: ({ pid, processes }) =>
    `grep VmSwap ${procPaths(processes, 'status')}; cat /proc/swaps /sys/fs/cgroup$(grep ^0:: /proc/${pid}/cgroup | cut -d: -f3)/memory.swap.max`,
  run({ pid, processes }) {
    const swapped = processes.map((one) => statusOf(one)('VmSwap')).find((size) => size !== '0 kB');
    if (swapped === '') return fail('privacy.gone'); // ended, and nobody has looked at how yet
    if (swapped !== undefined) return fail('privacy.swap.used', { size: swapped });
    if (limitOf(pid, 'memory.swap.max') === '0') return pass('privacy.swap.forbidden');
    const areas = existsSync('/proc/swaps') ? readFileSync('/proc/swaps', 'utf8').trim().split('\n').length - 1 : 0; // a kernel that cannot swap has no list
    return areas === 0 ? pass('privacy.swap.absent') : fail('privacy.swap.allowed', { areas });
  },
};

export const unitChecks = [unit, limits, swap] as const satisfies readonly HalfCheck[];
