// The system refuses to look at a file of the outbox, or to open it: that says nothing of the file, which is neither
// gone nor damaged. The refusals are planted in Node's own functions; those that SQLite meets itself are not shown.
import fs, { cpSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { dirname, join } from 'node:path';
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { OpenedFile } from '../../agent/outbox/opened-file.ts';
import { openPatientOutbox } from '../../agent/outbox/patient-outbox.ts';
import { isDamage } from '../../agent/outbox/sqlite.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { leaveOutbox, overwrite, pageBytes, pagesOf, quarantined } from '../support/damaged-outbox.ts';
import { hourSummary, limits, recordedEvent, silentLogger } from '../support/samples.ts';
import { newFolder } from './two-halves.ts';

let path: string;
beforeEach(() => {
  path = join(folder(), 'outbox.db');
});

function folder(): string {
  const made = newFolder('looks');
  onTestFinished(() => rmSync(made, { recursive: true }));
  return made;
}

const open = () => openSqliteOutbox(path, limits, { repair: true, reserve: true });

/** Calls `work` while the calls of some functions of Node for such files are refused; returns how many there were. */
function refusing(
  names: readonly ('existsSync' | 'statSync' | 'statfsSync' | 'openSync')[],
  code: string,
  file: RegExp,
  isRefused: (call: number) => boolean,
  work: () => void,
) {
  let calls = 0;
  for (const name of names) {
    const real = fs[name] as (...args: unknown[]) => unknown;
    vi.spyOn(fs, name).mockImplementation(((...args: unknown[]) => {
      if (!file.test(String(args[0])) || !isRefused(++calls)) return real(...args);
      if (name === 'existsSync') return false; // as Node says where it cannot look
      throw Object.assign(new Error(`${code}: refused`), { code });
    }) as never);
  }
  syncBuiltinESMExports();
  onTestFinished(restore);
  try {
    work();
  } catch {
    // it is tried again
  } finally {
    restore();
  }
  return calls;
}

function restore(): void {
  vi.restoreAllMocks();
  syncBuiltinESMExports();
}

test.each(['damaged', 'set aside by a repair that was cut off'])(
  'whichever look at an outbox that is %s is refused, the next repair keeps id and events',
  (how) => {
    const before = open();
    for (let i = 1; i <= 60; i++) before.append(recordedEvent(i));
    const { id } = before;
    before.close();
    const page = pagesOf(path).findIndex(({ events }) => events.some(({ sequence }) => sequence === 30));
    const kept = 60 - (pagesOf(path)[page]?.events.length ?? 0);
    if (how === 'damaged') overwrite(path, page * pageBytes, pageBytes, () => 0xa5);
    else {
      cpSync(path, `${path}.new`);
      renameSync(path, `${path}.damaged-1`);
    }
    const left = folder();
    cpSync(dirname(path), left, { recursive: true });
    const refused = (nth: number) => {
      rmSync(dirname(path), { recursive: true });
      cpSync(left, dirname(path), { recursive: true });
      return refusing(
        ['existsSync', 'statSync'],
        'EIO',
        /outbox\.db(\.new)?$/,
        (call) => call === nth,
        () => open().close(),
      );
    };
    const looks = refused(0);
    expect(looks).toBeGreaterThan(10);
    for (let nth = 1; nth <= looks; nth++) {
      refused(nth);
      const outbox = open();
      expect([outbox.id, outbox.pendingCount(), quarantined(path)], `look ${nth}`).toEqual([id, how === 'damaged' ? kept : 60, ['outbox.db.damaged-1']]);
      outbox.close();
    }
  },
);

test.each([
  ['EMFILE', /-wal$/],
  ['ENOMEM', /-wal$/],
  ['EIO', /-wal$/],
  ['EIO', /-shm$/],
])('a log that cannot be opened (%s, %s), up to thirty times in a row, is neither lost nor damaged', (code, file) => {
  const id = leaveOutbox(path, ['', '-wal', '-shm']);
  const left = folder();
  cpSync(dirname(path), left, { recursive: true });
  for (const times of [1, 3, 5, 30]) {
    rmSync(dirname(path), { recursive: true });
    cpSync(left, dirname(path), { recursive: true });
    refusing(
      ['openSync'],
      code,
      file,
      (call) => call <= times,
      () => open().close(),
    );
    const outbox = open();
    expect([outbox.id, outbox.pendingCount(), outbox.newest(), outbox.gaps(9)]).toEqual([id, 200, 300, []]);
    outbox.close();
    expect(readdirSync(dirname(path)).filter((name) => name.includes('damaged'))).toEqual([]);
  }
});

// taken for replaced after the write, the file would be opened anew and written once more
test('whichever look at an outbox in use is refused, an hour is stored once, and what is dropped is counted once', () => {
  const patient = openPatientOutbox({ path, open, isDamage, logger: silentLogger, retryMs: 1_000_000 });
  onTestFinished(() => patient.close());
  const write = () => {
    patient.writeSummary(hourSummary());
    patient.drop(2);
  };
  const looks = refusing(['statSync'], 'EIO', /outbox\.db(-wal|-shm)?$/, () => false, write);
  expect(looks).toBeGreaterThan(10);
  for (let nth = 1; nth <= looks; nth++) {
    refusing(['statSync'], 'EIO', /outbox\.db(-wal|-shm)?$/, (call) => call === nth, write);
    expect([patient.summaries(100).length, patient.fates().dropped, patient.newest()], `look ${nth}`).toEqual([1 + nth, 2 * (1 + nth), 2 * (1 + nth)]);
  }
});

test('a disk that does not tell its free space is not taken for full, and a full one not for one with room again', () => {
  let isFull = false;
  const inner = open();
  const append = inner.append.bind(inner);
  inner.append = (event) => {
    if (isFull) throw Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' });
    return append(event);
  };
  const patient = openPatientOutbox({ path, open: () => inner, isDamage, logger: silentLogger, retryMs: 1_000_000 });
  onTestFinished(() => patient.close());
  const withoutStatfs = (event: number) => {
    let found: unknown;
    const work = () => {
      patient.append(recordedEvent(event));
      found = [patient.pendingCount(), patient.faults()];
    };
    expect(refusing(['statfsSync'], 'EIO', /looks/, () => true, work)).toBeGreaterThan(0);
    return found;
  };
  expect(withoutStatfs(1)).toEqual([1, []]);
  isFull = true;
  patient.append(recordedEvent(2));
  expect(patient.faults()).toEqual(['disk_full']);
  isFull = false;
  expect(withoutStatfs(3)).toEqual([3, ['disk_full']]);
  patient.append(recordedEvent(4));
  expect([patient.pendingCount(), patient.faults()]).toEqual([4, []]);
});

test('a stop while the disk takes nothing says how many events are lost, with those that memory had no room for', () => {
  const said: [object, string][] = [];
  const logger = { ...silentLogger, error: (fields: object, message: string) => said.push([fields, message]) };
  const refused = () => {
    throw Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_WRITE' });
  };
  const outbox = openPatientOutbox({ path, open: refused, isDamage, logger, maxHeld: 3 });
  for (let i = 1; i <= 5; i++) outbox.append(recordedEvent(i));
  outbox.close();
  expect(said.at(-1)).toEqual([{ events: 5 }, 'events held in memory are lost: the outbox cannot be written']);
});

// a made-up refusal to write stands for a file that SQLite could open for reading only
test('an outbox that was opened for reading only is opened anew before a stop, and stores what is held', () => {
  let opened = 0;
  const once = () => {
    const outbox = open();
    if (opened++ === 0)
      outbox.append = () => {
        throw Object.assign(new Error('attempt to write a readonly database'), { code: 'SQLITE_READONLY' });
      };
    return outbox;
  };
  const patient = openPatientOutbox({ path, open: once, isDamage, logger: silentLogger, retryMs: 1_000_000 });
  expect([patient.append(recordedEvent(1)), patient.append(recordedEvent(2))]).toEqual(['held', 'held']);
  patient.close();
  const outbox = open();
  expect([outbox.pendingCount(), opened]).toEqual([2, 2]);
  outbox.close();
});

test('an event whose transaction ended as the file could not be looked at keeps its number, though it was sent before it is stored again', () => {
  const [listener, courier, event] = [open(), open(), recordedEvent(1)];
  const check = vi.spyOn(OpenedFile.prototype, 'check');
  check.mockImplementationOnce(() => undefined).mockImplementationOnce(() => void fs.statSync('/dev/null/refused'));
  expect(() => listener.append(event)).toThrow('Expected to write the outbox');
  check.mockRestore();
  listener.close();
  courier.acknowledge(courier.pending(0, 10).map(({ sequence }) => sequence));
  const next = open();
  expect(next.append(event)).toBe('stored');
  expect([next.pendingCount(), next.newest(), next.fates().stored, next.fates().sent]).toEqual([0, 1, 1, 1]);
  expect(next.append(recordedEvent(1, { label: 'bang' })), 'another sound that began at the same moment').toBe('stored');
  expect(next.pending(0, 10).map(({ sequence, label }) => [sequence, label])).toEqual([[2, 'bang']]);
  next.close();
  courier.close();
});

// a made-up clock stands for a slow board that checks months of events
test.each([
  [2000, 41_000],
  [10_000, 61_000],
])('an outbox that takes no writes is opened anew the less often the longer that takes, but each minute: %i ms, after %i ms', (tookMs, everyMs) => {
  let nowMs = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  onTestFinished(() => clock.mockRestore());
  let opened = 0;
  const slowly = () => {
    opened++;
    nowMs += tookMs;
    const outbox = open();
    outbox.append = () => {
      throw Object.assign(new Error('attempt to write a readonly database'), { code: 'SQLITE_READONLY' });
    };
    return outbox;
  };
  const patient = openPatientOutbox({ path, open: slowly, isDamage, logger: silentLogger, retryMs: 1_000_000 });
  onTestFinished(() => patient.close());
  for (let i = 1; nowMs < 2.9 * everyMs; nowMs += 1000) patient.append(recordedEvent(i++));
  expect(opened).toBe(3);
});
