// What either half may write to, and which devices it holds or could reach.
import { existsSync, lstatSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { meterSocketPath } from '../../config/load-config.ts';
import { ifPossible } from '../../lib/if-possible.ts';
import { fail, type HalfCheck, listed, pass, procPaths } from './check.ts';
import { courierFolder, unfinishedIn, wrongIn } from './courier-folder.ts';
import type { Half } from './machine.ts';
import { filled, heldEnds } from './outbox-folder.ts';
import { isNotText, type Mount, mountsOf, namespacesOf, numbersIn, type OpenFile, openFiles, statusOf, unlessGone } from './process.ts';
import { accessOf } from './reach.ts';

const fdByHand = ({ processes }: Half) => `sudo ls -l ${procPaths(processes, 'task/*/fd')}`;

const files: HalfCheck = {
  id: 'files',
  byHand: fdByHand,
  run({ name, pid, processes }, { config }) {
    const own = new Set(heldEnds.flatMap((end) => identityOf(`${config.outbox.path}${end}`)));
    for (const place of filled(config)) for (const identity of identityOf(place)) own.delete(identity);
    if (name === 'courier')
      for (const path of ifPossible(() => unfinishedIn(`/proc/${pid}/root${courierFolder}`)) ?? []) for (const identity of identityOf(path)) own.add(identity);
    const writable = processes
      .flatMap(openFiles)
      .filter((file) => file.writable && (file.kind === 'file' || (file.kind === 'pipe' && file.target.startsWith('/'))));
    // The capture program has the sound and must not write to the outbox.
    const wrong = writable.filter((file) => file.pid !== pid || !own.has(`${file.dev}:${file.ino}`));
    if (wrong.length > 0) return fail('privacy.files.wrong', { what: listed(wrong.map(({ target, pid }) => `${target} [${pid}]`)) });
    return pass('privacy.files.ok', { what: listed(writable.map(({ target }) => target)) || '-' });
  },
};

function identityOf(path: string): string[] {
  const found = ifPossible(() => lstatSync(path));
  return found ? [`${found.dev}:${found.ino}`] : [];
}

/** Kernel interfaces, not files on a disk. The user and capabilities of a process rule what it may do there. */
const kernelFiles = new Set([
  'proc',
  'sysfs',
  'mqueue',
  'cgroup',
  'cgroup2',
  'securityfs',
  'debugfs',
  'tracefs',
  'configfs',
  'fusectl',
  'bpf',
  'pstore',
  'efivarfs',
  'autofs',
  'binfmt_misc',
  'hugetlbfs',
  'nsfs',
  'rpc_pipefs',
  'selinuxfs',
]);

const writable: HalfCheck = {
  id: 'writable',
  byHand: ({ pid }) => `sudo awk '$6 ~ /^rw/ {print $5}' /proc/${pid}/mountinfo`,
  run({ name, pid, processes }, machine) {
    const views = namespacesOf(processes, 'mnt').size;
    if (views > 1) return fail('privacy.writable.several', { count: views });
    const folder = dirname(machine.config.outbox.path);
    const place = realpathSync(folder); // as mounts are named
    // A folder in memory that holds only the meter's socket. It is allowed to the listener alone.
    const meter = name === 'listener' ? dirname(meterSocketPath(machine.config)) : undefined;
    const isMeter = ({ point, type }: Mount) =>
      point === meter && type === 'tmpfs' && readdirSync(`/proc/${pid}/root${point}`).every((one) => one === 'meter.sock');
    const isCouriers = ({ point }: Mount) => name === 'courier' && point === courierFolder;
    const may = accessOf(pid);
    const open = topMounts(mountsOf(pid)).filter((mount) => mount.writable && !kernelFiles.has(mount.type) && mount.point !== place);
    const own = open.filter(isCouriers).map(({ point }) => point);
    const wrong = [
      ...open.filter((mount) => !isCouriers(mount) && !isMeter(mount) && !closed(pid, mount, may)).map(({ point }) => point),
      ...own
        .flatMap((point) => wrongIn(`/proc/${pid}/root${point}`, Number(statusOf(pid)('Uid').split(/\s+/)[1])))
        .map((path) => path.replace(`/proc/${pid}/root`, '')),
    ];
    return wrong.length > 0
      ? fail('privacy.writable.wrong', { what: listed(wrong), folder: [folder, ...own].join(', ') })
      : pass('privacy.writable.ok', { folder: [folder, ...own].join(', ') });
  },
};

/** The mounts that are not covered: of several on one point, the last covers the others. */
function topMounts(mounts: readonly Mount[]): Mount[] {
  return [...new Map(mounts.map((mount) => [mount.point, mount])).values()];
}

const walked = 5000; // entries of a mount that are looked at; a larger one counts as open

/** Whether the process can write nothing in a writable mount: it is hidden, or all its entries are others'. */
function closed(pid: number, { point, type }: Mount, may: (path: string) => boolean): boolean {
  const root = `/proc/${pid}/root${point}`;
  if (type === 'devpts') return !existsSync(`${root}/ptmx`); // anybody may make a terminal there, and open it to the other half
  if (isNotText(root)) return false; // what is there cannot be looked at
  const top = statSync(root, { throwIfNoEntry: false });
  if (top === undefined) return true; // covered by another mount, or gone meanwhile
  if ((top.mode & 0o777) === 0) return !may(root);
  let left = walked;
  const folders = [root];
  for (const path of folders) {
    if (isNotText(path)) return false;
    const stats = lstatSync(path, { throwIfNoEntry: false });
    // Skips another mount, which is judged by itself, and devices and sockets.
    if (stats?.dev !== top.dev || (!stats.isDirectory() && !stats.isFile())) continue;
    if (unlessGone(() => may(path), false) || left-- === 0) return false;
    if (stats.isDirectory()) folders.push(...unlessGone(() => readdirSync(path), []).map((name) => `${path}/${name}`));
  }
  return true;
}

/** The memory devices that hold nothing: null, zero, full, random, urandom. */
const harmless = ({ major, minor }: Pick<OpenFile, 'major' | 'minor'>) => major === 1 && [3, 5, 7, 8, 9].includes(minor);
export const isSound = ({ major }: Pick<OpenFile, 'major'>) => major === 116 || major === 14; // ALSA, OSS

const devices: HalfCheck = {
  id: 'devices',
  byHand: (half) => `${fdByHand(half)} | grep /dev/`,
  run({ name, processes }) {
    const held = processes.flatMap(openFiles).filter(({ kind }) => kind === 'device');
    const wrong = held.filter((device) => !harmless(device) && !(name === 'listener' && isSound(device)));
    if (wrong.length > 0) return fail('privacy.devices.wrong', { what: listed(wrong.map(({ target, pid }) => `${target} [${pid}]`)) });
    const sound = held.filter(isSound);
    return sound.length > 0 ? pass('privacy.devices.sound', { what: listed(sound.map(({ target }) => target)) }) : pass('privacy.devices.none');
  },
};

/** A terminal's devices are no microphone, but a /dev without them is the courier's. */
const terminal = ({ major }: Pick<OpenFile, 'major'>) => major === 5 || major === 136;

const reach: HalfCheck = {
  id: 'reach',
  byHand: ({ pid, unit }) =>
    `sudo find /proc/${pid}/root/dev -type c -o -type b | xargs -r sudo ls -l${unit ? '; systemctl show -p DevicePolicy -p DeviceAllow tocsin-listener tocsin-courier' : ''}`,
  run({ name, pid, unit }) {
    const root = `/proc/${pid}/root/dev`;
    const may = accessOf(pid, 'read or write'); // reading is enough to use a camera
    const nodes = readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isCharacterDevice() || entry.isBlockDevice())
      .map((entry) => `${entry.parentPath}/${entry.name}`)
      .map((path) => ({ path, ...numbersOf(path) }))
      .filter((node) => !harmless(node) && !terminal(node));
    if (name === 'courier') return nodes.length > 0 ? fail('privacy.reach.courier', { what: short(nodes, root) }) : pass('privacy.reach.none');
    const others = nodes.filter((node) => !isSound(node) && may(node.path));
    const held = unit?.DevicePolicy === 'closed' && unit.DeviceAllow?.replace(/^char-rtc r; /, '') === 'char-alsa rw';
    if (others.length > 0 && !held) return fail('privacy.reach.listener', { what: short(others, root) });
    return others.length > 0 ? pass('privacy.reach.policy', { what: short(others, root) }) : pass('privacy.reach.sound');
  },
};

export const numbersOf = (path: string) => numbersIn(statSync(path));

function short(nodes: readonly { path: string }[], root: string): string {
  return listed(nodes.map(({ path }) => `/dev${path.slice(root.length)}`));
}

export const fileChecks = [files, writable, devices, reach] as const satisfies readonly HalfCheck[];
