// What the agent itself makes in the folder of the outbox (agent/outbox, the meter, selftest), and what lies there
// besides.
import { closeSync, constants, lstatSync, openSync, readdirSync, readSync, type Stats, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { meterSocketPath } from '../../config/load-config.ts';
import type { Config } from '../../config/schema.ts';
import { hasCode } from '../../lib/errors.ts';
import { hasAccessList, userAttributes } from '../../lib/libc.ts';
import { ballastBytes } from '../../outbox/ballast.ts';
import { isFalseNote } from '../../outbox/schema-note.ts';
import { halvesOf, type Machine } from './machine.ts';
import { isNotText, statusOf } from './process.ts';

/**
 * The files that a half may hold open: the outbox and SQLite's files beside it, and each half's own lock. The ballast,
 * the note of the schema, the lock and the new file of a repair are open only for moments.
 */
export const heldEnds = ['', '-wal', '-shm', '.ballast', '.schema', '.lock', '.listener.lock', '.courier.lock', '.new', '.new-wal', '.new-shm'] as const;
const restingEnds = /^(|-wal|-shm|\.ballast|\.schema|\.lock|\.(listener|courier)\.lock|\.new(-wal|-shm|-journal)?|\.damaged-[1-9]\d{0,6}(-wal)?)$/;
// `tocsin selftest` makes an outbox of its own for one event; its folder stays behind when selftest is killed.
const trial = /^selftest-\w{6}$/;
const inTrial = /^outbox\.db(-wal|-shm|-journal)?$/;

interface OutboxFolder {
  readonly folder: string;
  /**
   * Paths of files kept with the outbox that others than its user and group may open, by mode or access list.
   * The ballast is left out, because its zeros are no secret.
   */
  readonly open: string[];
  /** Names that the agent does not make, and what others keep in attributes of the files and of the folder. */
  readonly strangers: readonly string[];
  /** Names of files that repairs have set aside. A damaged file may hold anything. */
  readonly setAside: readonly string[];
}

export function lookIntoOutboxFolder(machine: Pick<Machine, 'config' | 'halves'>): OutboxFolder {
  const { config } = machine;
  const path = resolve(config.outbox.path);
  const folder = dirname(path);
  const users = new Set(halvesOf(machine).flatMap(({ pid }) => statusOf(pid)('Uid').split(/\s+/).map(Number)));
  const [open, strangers, setAside]: [string[], string[], string[]] = [[], userAttributes(folder), []];
  for (const name of readdirSync(folder)) {
    const place = join(folder, name);
    const stats = lstatSync(place, { throwIfNoEntry: false });
    if (stats === undefined && isNotText(name)) strangers.push(name); // there, but not under this name
    if (stats === undefined) continue; // gone since it was listed
    strangers.push(...userAttributes(place).map((attribute) => `${name} (${attribute})`));
    if (place === resolve(meterSocketPath(config)) && stats.isSocket()) continue;
    if (stats.isFile() && name.startsWith(basename(path)) && restingEnds.test(name.slice(basename(path).length))) {
      if (/\.damaged-\d+(-wal)?$/.test(name)) setAside.push(name);
      if (((stats.mode & 0o007) !== 0 || hasAccessList(place)) && place !== `${path}.ballast`) open.push(place);
    } else if (!isTrial(place, stats, users) && !isLostAndFound(place, stats)) strangers.push(name);
  }
  return { folder, open, strangers, setAside };
}

/** Whether this is the folder of a selftest: not owned by a user of a half, and holding only an outbox's files. */
function isTrial(place: string, stats: Stats, users: ReadonlySet<number>): boolean {
  if (!stats.isDirectory() || !trial.test(basename(place)) || users.has(stats.uid)) return false;
  try {
    return readdirSync(place, { withFileTypes: true }).every((entry) => entry.isFile() && inTrial.test(entry.name));
  } catch (error) {
    if (hasCode(error, /^ENOENT$/)) return true; // selftest has ended
    throw error;
  }
}

/** Whether this is lost+found as mke2fs makes it: root's alone, in a folder that is a mount point. */
function isLostAndFound(place: string, stats: Stats): boolean {
  const folder = dirname(place);
  const isMount = statSync(folder).dev !== statSync(dirname(folder)).dev;
  return basename(place) === 'lost+found' && isMount && stats.isDirectory() && stats.uid === 0 && (stats.mode & 0o077) === 0;
}

/**
 * Whether the folder is meant for the outbox alone: the folder that the package makes, one that a unit may write to, or
 * one that root owns, with the setgid bit and closed to others. Elsewhere (`tocsin run` in a home) other files are
 * no fault.
 */
export function isOutboxFolder(machine: Pick<Machine, 'config' | 'halves'>): boolean {
  const folder = dirname(resolve(machine.config.outbox.path));
  const units = halvesOf(machine).flatMap(({ unit }) => unit?.ReadWritePaths?.split(' ') ?? []);
  const { uid, mode } = statSync(folder);
  return folder === '/var/lib/tocsin' || units.includes(folder) || (uid === 0 && (mode & 0o2007) === 0o2000);
}

/**
 * Paths of the files that should have fixed content but hold something else. A ballast is zeros, a lock is empty, and a
 * note of the schema repeats pages of the outbox.
 */
export function filled({ outbox }: Pick<Config, 'outbox'>): string[] {
  const path = resolve(outbox.path);
  return [
    ...['.lock', '.listener.lock', '.courier.lock'].map((end) => `${path}${end}`).filter((place) => sizeOf(place) > 0),
    ...[`${path}.ballast`].filter((place) => sizeOf(place) > 0 && !isZeros(place)),
    ...[`${path}.schema`].filter((place) => sizeOf(place) > 0 && isFalseNote(path)),
  ];
}

function sizeOf(place: string): number {
  const stats = lstatSync(place, { throwIfNoEntry: false });
  return stats?.isFile() ? stats.size : 0; // a link counts as a stranger, whatever it leads to
}

function isZeros(place: string): boolean {
  const content = Buffer.alloc(ballastBytes + 1);
  try {
    const file = openSync(place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      return readSync(file, content) <= ballastBytes && content.every((byte) => byte === 0);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (hasCode(error, /^ENOENT$/)) return true; // released since
    throw error;
  }
}
