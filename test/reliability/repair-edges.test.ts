// Rare cases of a repair: very many gaps, a kill between its two renames, and a process that opens the file
// meanwhile.
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { isFull } from '../../agent/lib/errors.ts';
import { reading, writing } from '../../agent/outbox/readable-rows.ts';
import { repairOutbox } from '../../agent/outbox/repair.ts';
import type { OpenDatabase } from '../../agent/outbox/sqlite.ts';
import { openDatabase } from '../../agent/outbox/sqlite-database.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { layBacklog } from '../support/backlog.ts';
import { leaveOutbox, listeningDays, overwrite, pageBytes, pagesOf, quarantined, range, recoveredOutbox, stored } from '../support/damaged-outbox.ts';
import { openPatient } from '../support/patient.ts';
import { hourSummary, limits, recordedEvent, thresholdRecord } from '../support/samples.ts';

let path: string;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'tocsin-edges-')), 'outbox.db');
});

test('130,000 events with every second number missing are repaired, and each hole is a gap', () => {
  openSqliteOutbox(path, limits).close();
  layBacklog(path, 260_000, (i) => recordedEvent(i));
  const db = new Database(path);
  db.exec('DELETE FROM event WHERE sequence % 2 = 0');
  db.close();
  writeFileSync(`${path}.new`, ''); // an interrupted repair, which starts again
  const outbox = openSqliteOutbox(path, limits, { repair: true });
  expect(outbox.pendingCount()).toBe(130_000);
  expect(outbox.gaps(200_000).length).toBeGreaterThanOrEqual(129_999);
  outbox.close();
});

test.each([
  ['event', 'before its first row'],
  ['event', 'between two of its rows'],
  ['hour_summary', 'before its first row'],
] as const)('a damaged page of %s costs only its own rows where millions of numbers %s belong to rows deleted long ago', (table, where) => {
  const before = openSqliteOutbox(path, limits);
  for (const i of range(1, 10)) {
    before.append(recordedEvent(i));
    before.writeSummary(hourSummary());
  }
  if (where === 'before its first row') {
    before.acknowledge(range(1, 10));
    for (const hour of range(1, 10)) before.summaryReported(hour);
  }
  before.close();
  const db = new Database(path);
  db.exec('UPDATE sqlite_sequence SET seq = 4000000');
  db.close();
  layBacklog(path, stored, (i) => recordedEvent(i + 20));
  const after = openSqliteOutbox(path, limits);
  for (const _ of range(1, stored)) after.writeSummary(hourSummary());
  after.close();
  const [first, rows] = [firstLeafOf(path, table), rowsOf(path, table)];
  overwrite(path, first.page * pageBytes, pageBytes, () => 0x55);
  let now = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => (now += 10)); // a board on which not all numbers can be tried in time
  onTestFinished(() => clock.mockRestore());
  openSqliteOutbox(path, limits, { repair: true }).close();
  expect(now).toBeLessThan(13_000); // 5 s of failures; this clock counts as long again between them
  expect(quarantined(path)).toHaveLength(1);
  expect(rowsOf(path, table)).toBe(rows - first.rows);
});

function rowsOf(path: string, table: string): number {
  const db = new Database(path, { readonly: true });
  const rows = db.prepare(`SELECT count(*) FROM ${table}`).pluck().get() as number;
  db.close();
  return rows;
}

/** The leaf page of a table with its lowest numbers. */
function firstLeafOf(path: string, table: string): { page: number; rows: number } {
  const db = new Database(path, { readonly: true });
  const sql = "SELECT pageno, ncell FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY path LIMIT 1";
  const { pageno, ncell } = db.prepare(sql).get(table) as { pageno: number; ncell: number };
  db.close();
  return { page: pageno - 1, rows: ncell };
}

test('a repair does not lift the bound on events in a minute', () => {
  const outbox = openSqliteOutbox(path, limits);
  const labels = ['glass_break', 'shout', 'bang'] as const;
  const within = (second: number) => recordedEvent(0, { label: labels[second % 3] ?? 'bang', onsetMonotonicMs: second * 1000 });
  for (const i of range(1, limits.maxEventsPerMinute)) outbox.append(within(i));
  outbox.close();
  writeFileSync(`${path}.new`, ''); // an interrupted repair, which starts again
  const repaired = openSqliteOutbox(path, limits, { repair: true });
  expect(quarantined(path)).toHaveLength(1);
  expect(repaired.append(within(limits.maxEventsPerMinute + 1))).toBe('refused');
  repaired.close();
});

test('an outbox that another process is writing to is not set aside, since its write would be lost', () => {
  const id = leaveOutbox(path);
  openSqliteOutbox(path, limits).close();
  const other = new Database(path);
  other.exec('BEGIN IMMEDIATE');
  const open: OpenDatabase = (file, then) => {
    const db = openDatabase(file, then);
    db.pragma('busy_timeout = 0');
    return db;
  };
  expect(() => repairOutbox(path, open, () => false)).toThrow(/locked/);
  expect(quarantined(path)).toEqual([]);
  other.exec('ROLLBACK');
  other.close();
  expect(recoveredOutbox(path, id).kept).toEqual(range(101, stored));
});

test.each(['NOMEM', 'FULL', 'LOCKED', 'PROTOCOL', 'CANTOPEN', 'IOERR_SHMSIZE', 'IOERR_LOCK'])(
  'an outbox with a temporary error on opening (SQLITE_%s) is not set aside, nor is an earlier one deleted, but to make room',
  (what) => {
    leaveOutbox(path);
    writeFileSync(`${path}.damaged-1`, '');
    const open: OpenDatabase = (file, then) => {
      if (file === path) throw Object.assign(new Error(what), { code: `SQLITE_${what}` });
      return openDatabase(file, then);
    };
    expect(() => repairOutbox(path, open, () => false)).toThrow(what);
    expect(quarantined(path)).toEqual(/^(FULL|IOERR_SHMSIZE)$/.test(what) ? [] : ['outbox.db.damaged-1']);
  },
);

test('a row that the new schema refuses is left out; any other write error is thrown', () => {
  const failing = (what: string) => () => {
    throw Object.assign(new Error(what), { code: `SQLITE_${what}` });
  };
  for (const what of ['CONSTRAINT_CHECK', 'MISMATCH', 'TOOBIG', 'RANGE']) expect(writing(failing(what)), what).toBeUndefined();
  for (const what of ['FULL', 'IOERR_WRITE', 'READONLY', 'CORRUPT']) expect(() => writing(failing(what))).toThrow(what);
});

test('an error without a code, as a lack of memory may be, is no sign of damage to what is read or written', () => {
  const failing = (code?: string) => () => {
    throw Object.assign(new Error('Out of memory'), { code });
  };
  for (const run of [reading, writing]) expect(() => run(failing())).toThrow('Out of memory');
  expect(() => reading(failing('SQLITE_NOMEM'))).toThrow('Out of memory');
  expect(reading(failing('SQLITE_CORRUPT'))).toBeUndefined();
});

test('one damaged page of boots: every event keeps its boot, which is read from the index', () => {
  const before = openSqliteOutbox(path, limits);
  const bootOf = (i: number) => `${String(i).padStart(8, '0')}-7d3a-4f5b-9c8d-1e2f3a4b5c6d`;
  for (const i of range(1, 60)) before.append(recordedEvent(i, { bootId: bootOf(i) }));
  const events = before.pending(0, 100);
  before.close();
  const sound = readFileSync(path);
  const pages = [...pagesOf(path).entries()].filter(([, { table, isLeaf }]) => table === 'boot' && isLeaf);
  expect(pages.length).toBeGreaterThan(2);
  for (const [page] of pages) {
    writeFileSync(path, sound);
    overwrite(path, page * pageBytes, pageBytes, () => 0xa5);
    const outbox = openSqliteOutbox(path, limits, { repair: true });
    expect(outbox.pending(0, 100)).toEqual(events);
    outbox.close();
  }
});

test('one damaged page of threshold counts: days of listening on other pages are kept completely', () => {
  const before = openSqliteOutbox(path, limits);
  const counts = range(0, 44).map((step) => ({ label: 'shout' as const, step, events: 45 - step }));
  for (const day of range(0, 13)) before.addThresholdCounts(thresholdRecord({ seconds: 86_400, counts, utcDay: 20_700 + day }));
  before.close();
  const days = listeningDays(path);
  overwrite(path, pagesOf(path).findIndex(({ table, isLeaf }) => table === 'would_be_event' && isLeaf) * pageBytes, pageBytes, () => 0xa5);
  openSqliteOutbox(path, limits, { repair: true }).close();
  const kept = listeningDays(path);
  expect(kept.length).toBeGreaterThan(9);
  expect(kept).toEqual(days.filter(({ day }) => kept.some((one) => one.day === day)));
});

test('a disk that is full after the damage was found is reported as full', () => {
  leaveOutbox(path);
  openSqliteOutbox(path, limits).close();
  overwrite(path, pagesOf(path).findIndex(({ events }) => events.length > 3) * pageBytes, pageBytes, () => 0xa5);
  const { pragma } = Database.prototype;
  let checks = 0;
  const spy = vi.spyOn(Database.prototype, 'pragma').mockImplementation(function (this: Database.Database, ...of) {
    if (of[0] === 'integrity_check' && ++checks === 2) throw Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_SHMSIZE' });
    return pragma.apply(this, of);
  });
  let thrown: unknown;
  try {
    openSqliteOutbox(path, limits, { repair: true });
  } catch (error) {
    thrown = error;
  }
  spy.mockRestore();
  expect([checks, isFull(thrown)]).toEqual([2, true]);
  expect(readdirSync(dirname(path)).filter((name) => /damaged|new/.test(name))).toEqual([]);
});

test('a repair killed between its two renames later sets the WAL aside together with its file', () => {
  const id = leaveOutbox(path);
  writeFileSync(`${path}.new`, '');
  const repaired = openSqliteOutbox(path, limits, { repair: true });
  repaired.close();
  const names = () =>
    readdirSync(dirname(path))
      .filter((name) => name.includes('.damaged-'))
      .toSorted();
  expect(names()).toEqual(['outbox.db.damaged-1', 'outbox.db.damaged-1-wal']);
  // the state before its second rename
  renameSync(path, `${path}.new`);
  renameSync(`${path}.damaged-1-wal`, `${path}-wal`);
  const { kept } = recoveredOutbox(path, id);
  expect(kept).toEqual(range(101, stored));
  expect(names()).toEqual(['outbox.db.damaged-1', 'outbox.db.damaged-1-wal']);
  expect(existsSync(`${path}.new`)).toBe(false);
});

test.each([true, false])('a file replaced while it is being opened: the new file is used (repair: %s)', (repair) => {
  openSqliteOutbox(path, limits, { repair: true }).close();
  copyFileSync(path, `${path}.sound`);
  const { pragma } = Database.prototype;
  const spy = vi.spyOn(Database.prototype, 'pragma').mockImplementation(function (this: Database.Database, ...of) {
    const found = pragma.apply(this, of);
    if (of[0] === 'integrity_check' && existsSync(`${path}.sound`)) {
      for (const end of ['', '-wal']) renameSync(`${path}${end}`, `${path}.damaged-1${end}`);
      rmSync(`${path}-shm`);
      renameSync(`${path}.sound`, path);
    }
    return found;
  });
  const open = () => openSqliteOutbox(path, limits, { repair });
  if (repair) expect(open().append(recordedEvent(1))).toBe('stored');
  else expect(open).toThrow(/replaced/);
  spy.mockRestore();
  const file = openSqliteOutbox(path, limits);
  expect(file.pendingCount()).toBe(repair ? 1 : 0);
  file.close();
});

test('an outbox that stays damaged however often it is opened is reported, and does not keep a half trying for ever', () => {
  let opened = 0;
  const open = () => {
    if (++opened > 9) throw new Error('tried for ever');
    throw Object.assign(new Error('database disk image is malformed'), { code: 'SQLITE_CORRUPT' });
  };
  const outbox = openPatient(path, { open, retryMs: 60_000 });
  const before = opened;
  expect(() => outbox.pendingCount()).toThrow('malformed');
  expect(opened - before).toBe(3);
  expect(outbox.faults()).toContain('outbox_unwritable');
});
