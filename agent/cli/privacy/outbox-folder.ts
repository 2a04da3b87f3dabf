// What the agent itself makes in the folder of the outbox (agent/outbox, the meter, selftest), and what lies there besides.
import { closeSync, constants, lstatSync, openSync, readdirSync, readSync, type Stats, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { meterSocketPath } from '../../config/load-config.ts';
import type { Config } from '../../config/schema.ts';
import { hasAccessList } from '../../lib/libc.ts';
import { ballastBytes } from '../../outbox/ballast.ts';
import { isFalseNote } from '../../outbox/schema-note.ts';
import type { Machine } from './machine.ts';
import { statusOf } from './process.ts';

/** What a half may hold open: the outbox and what SQLite keeps beside it; ballast, note of the schema, lock and new file of a repair for moments; each half's own lock. */
export const heldEnds = ['', '-wal', '-shm', '.ballast', '.schema', '.lock', '.listener.lock', '.courier.lock', '.new', '.new-wal', '.new-shm'] as const;
const restingEnds = /^(|-wal|-shm|\.ballast|\.schema|\.lock|\.(listener|courier)\.lock|\.new(-wal|-shm|-journal)?|\.damaged-\d+(-wal)?)$/;
const trial = /^selftest-\w{6}$/; // an outbox of its own for one event, while `tocsin selftest` runs, and after it was killed
const inTrial = /^outbox\.db(-wal|-shm|-journal)?$/;

export interface OutboxFolder {
  readonly folder: string;
  /** Paths of what is kept with the outbox and that others than its user and group may open, by mode or access list; zeros are no secret. */
  readonly open: string[];
  /** Names that the agent does not make. */
  readonly strangers: readonly string[];
  /** Names that repairs have set aside: a damaged file may hold anything. */
  readonly setAside: readonly string[];
}

export function lookIntoOutboxFolder({ config, halves }: Pick<Machine, 'config' | 'halves'>): OutboxFolder {
  const path = resolve(config.outbox.path);
  const folder = dirname(path);
  const users = new Set(Object.values(halves).flatMap((half) => (typeof half === 'string' ? [] : statusOf(half.pid)('Uid').split(/\s+/).map(Number))));
  const [open, strangers, setAside]: [string[], string[], string[]] = [[], [], []];
  for (const name of readdirSync(folder)) {
    const place = join(folder, name);
    const stats = lstatSync(place, { throwIfNoEntry: false });
    if (stats === undefined) continue; // gone since it was listed
    if (place === resolve(meterSocketPath(config)) && stats.isSocket()) continue;
    if (stats.isFile() && name.startsWith(basename(path)) && restingEnds.test(name.slice(basename(path).length))) {
      if (/\.damaged-\d+(-wal)?$/.test(name)) setAside.push(name);
      if (((stats.mode & 0o007) !== 0 || hasAccessList(place)) && place !== `${path}.ballast`) open.push(place);
    } else if (!isTrial(place, stats, users) && !isLostAndFound(place, stats)) strangers.push(name);
  }
  return { folder, open, strangers, setAside };
}

/** None that a half could have made, nor one with room for more than an outbox. */
function isTrial(place: string, stats: Stats, users: ReadonlySet<number>): boolean {
  if (!stats.isDirectory() || !trial.test(basename(place)) || users.has(stats.uid)) return false;
  try {
    return readdirSync(place, { withFileTypes: true }).every((entry) => entry.isFile() && inTrial.test(entry.name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true; // it has ended
    throw error;
  }
}

/** Of a folder that is a file system by itself; root's, as mke2fs makes it. */
function isLostAndFound(place: string, stats: Stats): boolean {
  const folder = dirname(place);
  const isMount = statSync(folder).dev !== statSync(dirname(folder)).dev;
  return basename(place) === 'lost+found' && isMount && stats.isDirectory() && stats.uid === 0 && (stats.mode & 0o077) === 0;
}

/**
 * Whether the folder is there for the outbox alone: the one that the package makes, one that a unit may write to, or one made
 * like it: root's, for a group alone, with the setgid bit. Elsewhere (`tocsin run` in a home) others' files are no fault.
 */
export function isOutboxFolder({ config, halves }: Pick<Machine, 'config' | 'halves'>): boolean {
  const folder = dirname(resolve(config.outbox.path));
  const units = Object.values(halves).flatMap((half) => (typeof half === 'string' ? [] : (half.unit?.ReadWritePaths?.split(' ') ?? [])));
  const { uid, mode } = statSync(folder);
  return folder === '/var/lib/tocsin' || units.includes(folder) || (uid === 0 && (mode & 0o2007) === 0o2000);
}

/** Files of a fixed content that hold something else: a ballast is zeros, a lock is empty, and a note of the schema repeats pages of the outbox. */
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
  return stats?.isFile() ? stats.size : 0; // a link is a stranger, whatever it leads to
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
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true; // released since
    throw error;
  }
}
