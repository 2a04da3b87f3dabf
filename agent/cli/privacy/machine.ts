import { lookup } from 'node:dns/promises';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { installation, loadConfig } from '../../config/load-config.ts';
import type { Config } from '../../config/schema.ts';
import { systemctlShow } from '../service.ts';
import { familyOf } from './process.ts';
import { plainAddress } from './sockets.ts';

export type HalfName = 'listener' | 'courier';

/** One half of the running agent: its main process and every process that it has started. */
export interface Half {
  readonly name: HalfName;
  readonly pid: number;
  readonly processes: readonly number[];
  /** Its control group holds a process that cannot be seen from here (of another PID namespace). */
  readonly hidden: boolean;
  /** What systemd says of its unit; nothing where the process was named by its number. */
  readonly unit?: Readonly<Record<string, string>>;
}

/** The sensor as it is found. A half that does not run says why. */
export interface Machine {
  readonly configPath: string;
  readonly config: Config;
  readonly installation: string;
  /** The list of the package's files, and the settings that the operator has published. */
  readonly packageList: string;
  /** sha256 of the release's list, as it was published; nothing where the caller does not know it. */
  readonly packageDigest: string | undefined;
  readonly publishedManifest: string;
  readonly halves: Record<HalfName, Half | 'down' | 'unknown'>;
  /** The addresses of a name. */
  readonly addressesOf: (host: string) => Promise<string[]>;
}

interface Where {
  readonly configPath: string;
  readonly packageList?: string | undefined;
  readonly packageDigest?: string | undefined;
  readonly publishedManifest?: string | undefined;
  readonly pids?: { readonly [name in HalfName]?: number | undefined };
}

const lookupMs = 3000; // the resolver itself may wait for half a minute, and `doctor` does not

export const unitNames: Record<HalfName, string> = { listener: 'tocsin-listener.service', courier: 'tocsin-courier.service' };

export async function findMachine({ configPath, packageList, packageDigest, publishedManifest, pids = {} }: Where): Promise<Machine> {
  const [listener, courier] = await Promise.all([findHalf('listener', pids.listener), findHalf('courier', pids.courier)]);
  return {
    configPath: resolve(configPath), // the commands by hand are for whoever reads them, wherever
    config: loadConfig(configPath),
    installation,
    packageList: resolve(packageList ?? `${installation}/tocsin.sha256`),
    packageDigest,
    publishedManifest: resolve(publishedManifest ?? '/etc/tocsin/privacy-manifest.json'),
    halves: { listener, courier },
    addressesOf: async (host) => {
      const asked = lookup(host, { all: true });
      const none = sleep(lookupMs, [], { ref: false });
      return (await Promise.race([asked, none])).map(({ address }) => plainAddress(address));
    },
  };
}

/** The halves that run. */
export function halvesOf({ halves }: Pick<Machine, 'halves'>): Half[] {
  return [halves.listener, halves.courier].filter((half) => typeof half !== 'string');
}

/** `unknown` where no systemd runs that could name the process. */
async function findHalf(name: HalfName, pid: number | undefined): Promise<Half | 'down' | 'unknown'> {
  if (pid !== undefined) return existsSync(`/proc/${pid}`) ? { name, pid, processes: familyOf(pid), hidden: false } : 'down';
  if (!existsSync('/run/systemd/system')) return 'unknown';
  const unit = await showUnit(unitNames[name]);
  const main = Number(unit?.MainPID ?? 0);
  if (unit === undefined) return 'unknown';
  if (main === 0) return 'down';
  const group = inGroup(unit.ControlGroup);
  const processes = new Set([...familyOf(main), ...group.filter((one) => one > 0)]);
  return { name, pid: main, processes: [...processes], hidden: group.includes(0), unit };
}

/**
 * Every process that the unit has started, also in groups below its own and also those that have left their parent.
 * Holds 0 for what cannot be seen from here.
 */
function inGroup(group: string | undefined): number[] {
  if (!group) return [0];
  const folder = `/sys/fs/cgroup${group}`;
  try {
    const groups = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.name === 'cgroup.procs');
    return groups.flatMap((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8').trim().split('\n').filter(Boolean).map(Number));
  } catch {
    return [0];
  }
}

/** What systemd says of a unit, and when it last read its units. */
async function showUnit(unit: string): Promise<Record<string, string> | undefined> {
  const [properties, manager] = await Promise.all([systemctlShow([unit]), systemctlShow(['--property=UnitsLoadTimestampMonotonic'])]);
  return properties && { ...properties, ...manager };
}
