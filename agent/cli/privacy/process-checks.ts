// What runs, as whom, and what it may still ask of the kernel.
import { existsSync, readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { serviceConfig } from '../../config/load-config.ts';
import type { Config } from '../../config/schema.ts';
import { hasCode } from '../../lib/errors.ts';
import { readText } from '../../lib/kernel-files.ts';
import { shellWord } from '../../lib/shell-word.ts';
import { fail, type HalfCheck, listed, pass, procPaths, unchecked } from './check.ts';
import { unitNames } from './machine.ts';
import {
  allProcesses,
  argumentsOf,
  environmentOf,
  holds,
  isSame,
  mappings,
  mountsOf,
  openFiles,
  pathOf,
  realScript,
  statusesOf,
  statusOf,
  unlessGone,
} from './process.ts';

const commands = { listener: 'listen', courier: 'deliver' } as const;
const captures = ['arecord', 'aplay']; // one program of alsa-utils under two names

const process: HalfCheck = {
  id: 'process',
  byHand: ({ name, processes, unit }) => `${unit ? `systemctl show -p MainPID ${unitNames[name]}; ` : ''}ps -o pid,ppid,user,args -p ${processes.join(',')}`,
  run({ name, pid, processes, hidden }, { installation }) {
    if (hidden) return unchecked('privacy.process.hidden');
    const strangers = processes.filter((one) => one !== pid && !(name === 'listener' && isCapture(one, installation)));
    if (strangers.length > 0)
      return fail('privacy.process.strangers', { what: listed(strangers.map((one) => `${argumentsOf(one).join(' ').slice(0, 60)} [${one}]`)) });
    return processes.length > 1 ? pass('privacy.process.ok', { pid, count: processes.length - 1 }) : pass('privacy.process.alone', { pid });
  },
};

/** arecord, or the package's Node with nothing but our web-audio capture. */
export function isCapture(pid: number, installation: string): boolean {
  const exe = readlinkSync(`/proc/${pid}/exe`).replace(/ \(deleted\)$/, ''); // an upgrade of alsa-utils replaced the file
  const [, script = ''] = argumentsOf(pid);
  const isOurs =
    exe.startsWith(`${realpathSync(installation)}/`) && realScript(pid, script) === realpathSync(`${installation}/agent/audio/web-audio-capture.ts`);
  return captures.includes(basename(exe)) || isOurs;
}

/**
 * Environment variables that change which code Node, its OpenSSL, the loader or ALSA runs, whom it trusts, its proxy,
 * or who can inspect it.
 */
const meddling =
  /^(NODE_(?!ENV$)\w+|LD_\w+|OPENSSL_\w+|SSL_CERT_(FILE|DIR)|SSLKEYLOGFILE|MQTTJS_SOCKS_PROXY|ALSA_\w+|LADSPA_PATH|XDG_CONFIG_HOME|GCONV_PATH|MALLOC_\w+|GLIBC_TUNABLES)$/;

const program: HalfCheck = {
  id: 'program',
  byHand: ({ pid }) =>
    `sudo readlink /proc/${pid}/exe; sudo cat /proc/${pid}/cmdline /proc/${pid}/environ | tr '\\0' '\\n'; sudo grep ' r-xp ' /proc/${pid}/maps; sudo cat /proc/${pid}/root/etc/ld.so.preload 2>/dev/null || echo none`,
  run({ name, pid, processes }, { installation, config, configPath }) {
    const exe = readlinkSync(`/proc/${pid}/exe`);
    const inside = (path: string) => path.startsWith(`${realpathSync(installation)}/`);
    if (!inside(exe) || !isSame(exe, `/proc/${pid}/exe`)) return fail('privacy.program.exe', { exe });
    const [, script = '', command = '', ...rest] = argumentsOf(pid);
    const given =
      rest.length === 0 || (rest.length === 2 && /^(-c|--config)$/.test(rest[0] as string)) || (rest.length === 1 && /^--config=/.test(rest[0] as string));
    if (realScript(pid, script) !== realScript(pid, `${installation}/agent/main.ts`) || command !== commands[name] || !given)
      return fail('privacy.program.arguments', { what: listed([argumentsOf(pid).slice(1).join(' ').slice(0, 120)]) });
    const hidden = mountedOver(
      pid,
      [installation, config.model.path].filter(existsSync).map((path) => realpathSync(path)),
    );
    if (hidden.length > 0) return fail('privacy.program.mounted', { what: listed(hidden) });
    const settings = settingsOf(pid, rest);
    if (!isSame(configPath, `/proc/${pid}/root${settings}`)) return fail('privacy.program.config', { path: settings, other: configPath });
    // authorities beside Node's own are asked only where the configuration names none
    const harmless = (key: string) => key === 'NODE_EXTRA_CA_CERTS' && config.mqtt.caFile !== undefined;
    const variables = processes.flatMap((one) => [...environmentOf(one).keys()].filter((key) => meddling.test(key) && !harmless(key)));
    if (variables.length > 0) return fail('privacy.program.environment', { what: listed(variables) });
    const foreign = processes.flatMap((one) => codeOf(one).filter((path) => !inside(path) && (!ofTheSystem.test(path) || isOther(one, path))));
    if (foreign.length > 0) return fail('privacy.program.code', { what: listed(foreign) });
    const loaded = preloadedBy(pid);
    if (loaded !== '') return fail('privacy.program.preload', { what: loaded });
    return pass('privacy.program.ok', { exe });
  },
};

const ofTheSystem = /^\/(usr\/)?(lib|lib64|bin|sbin|libexec)\//;

function codeOf(pid: number): string[] {
  return mappings(pid).flatMap(({ permissions, path }) => (permissions.includes('x') && path !== '' && !path.startsWith('[') ? [path] : []));
}

/**
 * Whether a path leads a process to another file than it leads here. A file that an upgrade replaced after it was
 * mapped counts as the same.
 */
function isOther(pid: number, path: string): boolean {
  const place = path.replace(/ \(deleted\)$/, '');
  const seen = `/proc/${pid}/root${place}`;
  return existsSync(seen) && !isSame(place, seen);
}

/** What the loader adds to every program (ld.so(8)), as LD_PRELOAD does to one. */
function preloadedBy(pid: number): string {
  const list = unlessGone(() => readFileSync(`/proc/${pid}/root/etc/ld.so.preload`, 'utf8'), '');
  const files = list.replace(/#.*$/gm, '').trim();
  return files
    .split(/[\s:]+/)
    .join(', ')
    .slice(0, 120);
}

/**
 * The folders, and mount points below them, where a process sees something else than is here: its unit may mount other
 * files over them.
 */
function mountedOver(pid: number, folders: readonly string[]): string[] {
  const below = mountsOf(pid).flatMap(({ point }) => (folders.some((folder) => point.startsWith(`${folder}/`)) ? [point] : []));
  return [...folders, ...below].filter((path) => !isSame(path, `/proc/${pid}/root${path}`));
}

/** The file of settings that a half reads, as its arguments, its environment or the default name it. */
function settingsOf(pid: number, rest: readonly string[]): string {
  return pathOf(pid, rest.at(-1)?.replace(/^--config=/, '') ?? environmentOf(pid).get('TOCSIN_CONFIG') ?? serviceConfig);
}

const core: HalfCheck = {
  id: 'core',
  byHand: ({ pid }) =>
    `grep core /proc/${pid}/limits; cat /proc/${pid}/coredump_filter /proc/sys/kernel/core_pattern; cat /sys/kernel/kexec_crash_loaded 2>/dev/null || echo none`,
  run({ processes }) {
    const limits = processes.map((pid) => /^Max core file size\s+(\S+)\s+(\S+)/m.exec(readFileSync(`/proc/${pid}/limits`, 'utf8'))?.slice(1) ?? []);
    const most = limits.flat().find((limit) => limit !== '0');
    if (most !== undefined) return fail('privacy.core.limit', { limit: most });
    // A limit of 0 prevents core files, but not a program named in core_pattern (core(5)); only an empty filter
    // withholds memory from that.
    const filters = processes.map(coreFilterOf);
    const open = filters.find((filter) => Number.parseInt(filter, 16) !== 0);
    const pattern = readFileSync('/proc/sys/kernel/core_pattern', 'utf8').trim();
    if (open !== undefined && /^[|@]/.test(pattern)) return fail('privacy.core.pipe', { pattern: pattern.split(' ')[0] as string, filter: open });
    if (readText('/sys/kernel/kexec_crash_loaded').trim() === '1') return fail('privacy.core.kernel');
    return pass('privacy.core.ok', { filter: filters[0] as string });
  },
};

/** What of a process a dump would hold; nothing where the kernel makes none. */
function coreFilterOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/coredump_filter`, 'utf8').trim();
  } catch (error) {
    if (hasCode(error, /^ENOENT$/) && existsSync(`/proc/${pid}`)) return '0';
    throw error;
  }
}

const privileges: HalfCheck = {
  id: 'privileges',
  byHand: ({ processes }) => `grep NoNewPrivs ${procPaths(processes, 'task/*/status')}`,
  run({ processes }) {
    return statusesOf(processes).every((of) => of('NoNewPrivs') === '1') ? pass('privacy.privileges.ok') : fail('privacy.privileges.wrong');
  },
};

const sets = ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'] as const;

const capabilities: HalfCheck = {
  id: 'capabilities',
  byHand: ({ processes }) => `grep ^Cap ${procPaths(processes, 'task/*/status')}`,
  run({ processes }) {
    const held = statusesOf(processes).flatMap((of) => sets.flatMap((set) => (/^0+$/.test(of(set)) ? [] : [`${set} ${of(set)} [${of('Pid')}]`])));
    return held.length > 0 ? fail('privacy.capabilities.wrong', { what: listed(held) }) : pass('privacy.capabilities.ok');
  },
};

const seccomp: HalfCheck = {
  id: 'seccomp',
  byHand: ({ processes }) =>
    `grep Seccomp ${procPaths(processes, 'task/*/status')}; sudo ls -l ${procPaths(processes, 'task/*/fd')} | grep io_uring || echo none`,
  run({ processes }) {
    const filters = Math.min(...statusesOf(processes).map((of) => (of('Seccomp') === '2' ? Number(of('Seccomp_filters') || 1) : 0)));
    // what goes through a ring is not filtered (io_uring(7))
    const rings = processes.filter((pid) => openFiles(pid).some(({ target }) => target.includes('[io_uring]')));
    if (filters > 0 && rings.length > 0) return fail('privacy.seccomp.rings', { pids: listed(rings.map(String)) });
    return filters > 0 ? pass('privacy.seccomp.ok', { filters }) : fail('privacy.seccomp.wrong');
  },
};

const identity: HalfCheck = {
  id: 'identity',
  byHand: ({ processes }, { config }) =>
    `grep -E '^(Uid|Gid|Groups)' ${procPaths(processes, 'task/*/status')}; getent group tocsin audio tocsin-meter; stat -c '%g %n' ${shellWord(dirname(config.outbox.path))}`,
  run({ name, processes }, { halves, config }) {
    const threads = statusesOf(processes);
    const ids = new Set(threads.flatMap((of) => of('Uid').split(/\s+/)));
    const [uid = ''] = ids;
    if (ids.has('0')) return fail('privacy.identity.root');
    if (ids.size > 1) return fail('privacy.identity.several', { what: listed([...ids]) });
    const other = halves[name === 'listener' ? 'courier' : 'listener'];
    if (typeof other !== 'string' && statusOf(other.pid)('Uid').split(/\s+/).includes(uid)) return fail('privacy.identity.same', { uid });
    const groups = [...new Set(threads.flatMap((of) => [...of('Gid').split(/\s+/), ...of('Groups').split(/\s+/)]))].filter(Boolean);
    const audio = groupNumber('audio');
    if (groups.includes('0')) return fail('privacy.identity.groups', { groups: listed(groups) });
    // the outbox's group alone; the listener has those of the sound cards and of its meter besides
    const own = [audio, groupNumber('tocsin-meter')];
    const besides = groups.filter((group) => !own.includes(group) || name === 'courier');
    if (besides.some((group) => group !== outboxGroup(config)) || (name === 'courier' && audio !== undefined && groups.includes(audio)))
      return fail('privacy.identity.groups', { groups: listed(groups) });
    return pass('privacy.identity.ok', { uid, groups: listed(groups) });
  },
};

/** Of the folder of the outbox; for the package's folder by name, that a change of its group does not go unseen. */
function outboxGroup({ outbox }: Config): string {
  const folder = dirname(resolve(outbox.path));
  const named = folder === '/var/lib/tocsin' ? groupNumber('tocsin') : undefined;
  return named ?? String(statSync(folder).gid);
}

function groupNumber(name: string): string | undefined {
  return new RegExp(`^${name}:[^:]*:(\\d+):`, 'm').exec(readFileSync('/etc/group', 'utf8'))?.[1];
}

const traced: HalfCheck = {
  id: 'traced',
  byHand: ({ processes }) =>
    `grep TracerPid ${procPaths(processes, 'task/*/status')}; sudo find /proc/[0-9]*/task/*/fd -lname '*/mem' -printf '%p %l\\n' 2>/dev/null`,
  run({ processes }) {
    // each thread has a tracer of its own, and each sees the memory of all (ptrace(2))
    const tracers = statusesOf(processes).map((of) => of('TracerPid'));
    const memory = new RegExp(`/(${processes.join('|')})/(task/\\d+/)?mem$`);
    const readers = allProcesses().filter((one) => holds(one, (descriptor) => memory.test(readlinkSync(descriptor))));
    const wrong = [...tracers.filter((tracer) => tracer !== '0'), ...readers.map(String)];
    return wrong.length > 0 ? fail('privacy.traced.wrong', { pids: listed(wrong) }) : pass('privacy.traced.ok');
  },
};

export const processChecks = [process, program, identity, privileges, capabilities, seccomp, traced, core] as const satisfies readonly HalfCheck[];
