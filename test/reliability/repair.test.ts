import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { openNotifier } from '../../agent/lib/notify.ts';
import { repairOutbox } from '../../agent/outbox/repair.ts';
import type { OpenDatabase } from '../../agent/outbox/sqlite.ts';
import { openDatabase } from '../../agent/outbox/sqlite-database.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { layBacklog } from '../support/backlog.ts';
import { leaveOutbox, listeningDays, overwrite, pageBytes, pagesOf, quarantined, range, recoveredOutbox, stored } from '../support/damaged-outbox.ts';
import { openNotifySocket } from '../support/notify-socket.ts';
import { openPatient } from '../support/patient.ts';
import { hearingRecord, hourSummary, limits, recordedEvent, thresholdRecord } from '../support/samples.ts';

let path: string;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'tocsin-repair-')), 'outbox.db');
});

/** The milliseconds that each later write waits for a locked database. */
function watchWaits(): () => number[] {
  const pragma = vi.spyOn(Database.prototype, 'pragma');
  onTestFinished(() => pragma.mockRestore());
  return () => pragma.mock.calls.flatMap(([text]) => /^busy_timeout = (\d+)/.exec(text)?.[1] ?? []).map(Number);
}

/** Opens databases as a repair does, and calls `then` once the events of the damaged one were copied. */
function afterCopying(then: () => void): OpenDatabase {
  return (file, migrated) => {
    const db = openDatabase(file, migrated);
    if (file !== path) return db;
    const prepare = db.prepare.bind(db);
    db.prepare = ((sql: string) => {
      if (/FROM gap/.test(sql)) then();
      return prepare(sql);
    }) as typeof db.prepare;
    return db;
  };
}

test('while one process repairs, the other holds its events without waiting and stores them in the new file', () => {
  const listener = openPatient(path, { retryMs: 1e6 });
  const raw = new Database(path, { timeout: 0 });
  for (let i = 1; i <= 20; i++) listener.append(recordedEvent(i));
  writeFileSync(`${path}.new`, ''); // an interrupted repair, which starts again
  const fates: string[] = [];
  const waits = watchWaits();
  const open = afterCopying(() => {
    fates.push(listener.append(recordedEvent(30)));
    expect(() => raw.exec('BEGIN IMMEDIATE; ROLLBACK')).toThrow(/locked/);
  });
  repairOutbox(path, open, () => false);
  expect(fates).toEqual(['held']);
  expect(waits()).toEqual([0, 0]); // of the repair and of the listener
  raw.close();
  expect(listener.append(recordedEvent(31))).toBe('stored');
  expect(listener.pending(0, 100).map(({ onsetMonotonicMs }) => onsetMonotonicMs / 60_000)).toEqual([...range(1, 20), 30, 31]);
});

test('while another program locks the outbox, only the first write waits; events are held and stored afterwards', () => {
  const listener = openPatient(path, { retryMs: 1e6 });
  listener.append(recordedEvent(1));
  const other = new Database(path);
  other.exec('BEGIN IMMEDIATE');
  expect(listener.append(recordedEvent(2))).toBe('held');
  const waits = watchWaits();
  for (let i = 3; i <= 6; i++) expect(listener.append(recordedEvent(i))).toBe('held');
  expect(waits()).toEqual([0, 0, 0, 0]);
  other.exec('ROLLBACK');
  other.close();
  expect(listener.append(recordedEvent(7))).toBe('stored');
  expect(listener.pending(0, 10).map((event) => event.onsetMonotonicMs / 60_000)).toEqual(range(1, 7));
});

test('while an interrupted repair is not running, the other process continues in the old file', () => {
  const listener = openSqliteOutbox(path, limits);
  writeFileSync(`${path}.new`, '');
  expect(listener.append(recordedEvent(1))).toBe('stored');
  listener.close();
});

test('a process that starts during a repair does not wait for it', () => {
  openSqliteOutbox(path, limits).close();
  writeFileSync(`${path}.new`, '');
  const other = new Database(`${path}.lock`);
  other.exec('BEGIN EXCLUSIVE');
  const waits = watchWaits();
  const outbox = openPatient(path, { retryMs: 1e6 });
  expect(outbox.append(recordedEvent(1))).toBe('held');
  expect(new Set(waits())).toEqual(new Set([0]));
  other.close();
  expect(outbox.append(recordedEvent(2))).toBe('stored');
  expect(outbox.pendingCount()).toBe(2);
});

test.each([[['-wal', '-shm']], [['-wal']]])('without the main file, remaining files %j are set aside and the fault is reported', (ends) => {
  const id = leaveOutbox(path, ['', ...ends]);
  rmSync(path);
  const { kept, sameId, outbox } = recoveredOutbox(path, id);
  expect(kept).toEqual([]);
  expect(sameId).toBe(false);
  expect(outbox.faults()).toEqual(['outbox_damaged']);
  expect(existsSync(`${path}.damaged-1-wal`)).toBe(true);
  rmSync(`${path}.damaged-1`);
  expect(outbox.faults()).toEqual([]);
});

test('with only shared memory left, a new outbox is made', () => {
  const id = leaveOutbox(path, ['', '-wal', '-shm']);
  for (const end of ['', '-wal']) rmSync(`${path}${end}`);
  expect(recoveredOutbox(path, id).sameId).toBe(false);
});

test.each([-4, 5, 3e15])('with the last event number overwritten by %d, events are stored under unused numbers', (number) => {
  const outbox = openSqliteOutbox(path, limits);
  for (let i = 1; i <= 20; i++) outbox.append(recordedEvent(i));
  outbox.acknowledge(range(1, 20));
  outbox.close();
  const db = new Database(path);
  db.prepare("UPDATE sqlite_sequence SET seq = ? WHERE name = 'event'").run(number);
  db.close();
  const again = openPatient(path);
  expect(again.append(recordedEvent(90))).toBe('stored');
  expect(again.pending(0, 10)[0]?.sequence).toBe(100_021);
  expect(again.gaps(10)).toContainEqual({ first: 21, last: 100_020, reason: 'unreadable' });
  expect(again.fates().dropped).toBe(0);
});

test.each([-4, 3e9])('with the last summary number overwritten by %d, summaries get unused numbers', (number) => {
  const first = openSqliteOutbox(path, limits);
  const { id } = first;
  for (let hour = 0; hour < 5; hour++) first.writeSummary(hourSummary({ beganMonotonicMs: hour * 3_600_000 }));
  for (const sequence of [1, 2]) first.summaryReported(sequence);
  first.close();
  const db = new Database(path);
  db.prepare("UPDATE sqlite_sequence SET seq = ? WHERE name = 'hour_summary'").run(number);
  db.close();
  const outbox = openPatient(path);
  expect(outbox.id).toBe(id);
  outbox.writeSummary(hourSummary({ beganMonotonicMs: 6 * 3_600_000 }));
  const numbers = outbox.summaries(10).map(({ sequence }) => sequence);
  expect(numbers).toEqual([3, 4, 5, expect.any(Number)]);
  expect(numbers.at(-1)).toBeGreaterThan(1000);
});

test('a table removed from the schema under a running listener: the outbox is repaired and the event is stored', () => {
  const listener = openPatient(path, { retryMs: 1e6 });
  const { id } = listener;
  for (let i = 1; i <= 5; i++) listener.append(recordedEvent(i));
  const db = new Database(path).unsafeMode();
  db.pragma('writable_schema = ON');
  db.exec("DELETE FROM sqlite_master WHERE name = 'recent'; PRAGMA schema_version = 777");
  db.close();
  expect(listener.append(recordedEvent(6))).toBe('stored');
  expect([listener.id, listener.faults()]).toEqual([id, ['outbox_damaged']]);
  expect(listener.pending(0, 10).map((event) => event.onsetMonotonicMs / 60_000)).toEqual(range(1, 6));
});

test.each([
  ['oldest', 'cannot be read'],
  ['oldest', 'are too low'],
  ['newest', 'are right'],
])('with a damaged page of the %s events and counts that %s, missing events are in a gap', (age, how) => {
  const id = leaveOutbox(path);
  openSqliteOutbox(path, limits).close();
  const db = new Database(path);
  if (how === 'are too low') db.exec("UPDATE fate SET events = 3 WHERE name = 'stored'");
  db.close();
  const pages = pagesOf(path);
  const isOn = ({ events }: (typeof pages)[0]) => (age === 'oldest' ? events.length > 3 : events.at(-1)?.sequence === stored);
  const [ofEvents, ofCounts] = [pages.findIndex(isOn), pages.findIndex(({ table }) => table === 'fate')];
  for (const page of how === 'cannot be read' ? [ofEvents, ofCounts] : [ofEvents]) overwrite(path, page * pageBytes, pageBytes, () => 0xa5);
  const { kept, sameId, outbox } = recoveredOutbox(path, id);
  expect([sameId, kept.length > 180]).toEqual([true, true]);
  const gaps = outbox.gaps(100);
  expect(range(101, stored).filter((n) => !kept.includes(n) && !gaps.some(({ first, last }) => first <= n && n <= last))).toEqual([]);
});

test('an unreported gap that cannot be read is reported by its numbers', () => {
  const id = leaveOutbox(path);
  const outbox = openSqliteOutbox(path, limits);
  outbox.drop(7);
  outbox.append(recordedEvent(8000));
  outbox.close();
  overwrite(path, pagesOf(path).findIndex(({ table }) => table === 'gap') * pageBytes, pageBytes, () => 0xa5);
  const after = openPatient(path);
  expect(after.id).toBe(id);
  const gaps = after.gaps(100);
  expect(range(stored + 1, stored + 7).filter((n) => !gaps.some(({ first, last }) => first <= n && n <= last))).toEqual([]);
});

test('a repair on a board with slow reads keeps every readable event', () => {
  openSqliteOutbox(path, limits).close();
  layBacklog(path, 5000, (i) => recordedEvent(i));
  writeFileSync(`${path}.new`, '');
  let now = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => (now += 10_000));
  const outbox = openSqliteOutbox(path, limits, { repair: true });
  clock.mockRestore();
  expect([outbox.pendingCount(), outbox.fates().unreadable]).toEqual([5000, 0]);
  expect(quarantined(path)).toHaveLength(1);
  outbox.close();
});

test('a repair keeps the usual levels and the last hearing record', () => {
  const before = openSqliteOutbox(path, limits);
  const usual = range(0, 23).map((hour) => ({ hour, quarters: 56, floorDb: -60.25, loudDb: -30 }));
  before.writeHearing(hearingRecord({ intervalSeconds: 300 }), usual);
  before.close();
  writeFileSync(`${path}.new`, '');
  const outbox = openSqliteOutbox(path, limits, { repair: true });
  expect(quarantined(path)).toHaveLength(1);
  expect(outbox.readUsualLevels()).toEqual(usual);
  expect(outbox.readHearing(), 'and what the listener told last').toEqual(hearingRecord({ intervalSeconds: 300 }));
  outbox.close();
});

test('a repair keeps days of listening, each with all of its counts or not at all', () => {
  const before = openSqliteOutbox(path, limits);
  const counts = range(0, 44).map((step) => ({ label: 'shout' as const, step, events: 45 - step }));
  for (let day = 0; day < 3; day++) before.addThresholdCounts(thresholdRecord({ seconds: 86_400, counts, utcDay: 20_700 + day }));
  before.addThresholdCounts(thresholdRecord({ operatingPoint: 'strict', seconds: 90 }));
  before.close();
  const days = listeningDays(path);
  expect(days.map(({ counts }) => counts.length)).toEqual([thresholdRecord().counts.length, 45, 45, 45]);
  const db = new Database(path);
  db.pragma('ignore_check_constraints = ON');
  db.exec('UPDATE would_be_event SET events = -1 WHERE day = 2 AND step = 20');
  db.close();
  openSqliteOutbox(path, limits, { repair: true }).close();
  expect(quarantined(path)).toHaveLength(1);
  expect(listeningDays(path)).toEqual(days.filter(({ day }) => day !== 2));
});

test('a repair keeps the start times of boots, also of those without events', () => {
  const before = openSqliteOutbox(path, limits);
  const began = new Map([
    [hourSummary().bootId, 1_800_000_000_000],
    ['1b6f1c2e-7d3a-4f5b-9c8d-1e2f3a4b5c6d', 1_700_000_000_000],
  ]);
  before.writeSummary(hourSummary({ clockSynchronised: false }));
  for (const [boot, beganMs] of began) before.noteBoot(boot, beganMs);
  before.close();
  writeFileSync(`${path}.new`, '');
  const outbox = openSqliteOutbox(path, limits, { repair: true });
  expect(quarantined(path)).toHaveLength(1);
  expect(outbox.summaries(1)[0]?.bootBeganMs).toBe(1_800_000_000_000);
  for (const [boot, beganMs] of began) expect(outbox.bootBegan(boot)).toBe(beganMs);
  outbox.close();
});

test('a repair requests more time from systemd before the start is complete, and pings the watchdog afterwards', async () => {
  openSqliteOutbox(path, limits).close();
  layBacklog(path, 5000, (i) => recordedEvent(i));
  const socket = openNotifySocket();
  onTestFinished(socket.close);
  let now = 0;
  const notifier = await openNotifier({ NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: '90000000' }, () => (now += 30_000));
  for (const said of ['EXTEND_TIMEOUT_USEC=90000000', 'WATCHDOG=1']) {
    writeFileSync(`${path}.new`, '');
    openSqliteOutbox(path, limits, { repair: true, progress: notifier.progress }).close();
    await vi.waitFor(() => expect(socket.messages.filter(({ text }) => text === said).length).toBeGreaterThanOrEqual(5));
    notifier.ready();
  }
});

test('damage is reported for a week on the monotonic clock and over restarts; then the damaged file is deleted', () => {
  const id = leaveOutbox(path);
  writeFileSync(`${path}.new`, '');
  const { kept, outbox } = recoveredOutbox(path, id);
  expect(kept).toEqual(range(101, stored));
  const hourMs = 3_600_000;
  const [wall, monotonic] = [Date.now(), Math.ceil(performance.now())]; // whole numbers, so that sums are exact
  const wallClock = vi.spyOn(Date, 'now').mockReturnValue(wall + 192 * hourMs);
  const clock = vi.spyOn(performance, 'now').mockReturnValue(monotonic);
  onTestFinished(() => void vi.restoreAllMocks());
  expect(outbox.faults()).toEqual(['outbox_damaged']);
  clock.mockReturnValue(monotonic + 100.5 * hourMs);
  for (let i = 0; i < 3; i++) expect(outbox.faults(), 'an hour is counted once').toEqual(['outbox_damaged']);
  outbox.close();
  const restart = () => {
    const half = openPatient(path);
    half.pendingCount(); // the outbox is opened on first use
    return half;
  };
  const restarted = restart();
  expect(restarted.faults()).toEqual(['outbox_damaged']);
  clock.mockReturnValue(monotonic + (100.5 + 67.9) * hourMs);
  expect(restarted.faults()).toEqual(['outbox_damaged']);
  expect(quarantined(path)).toHaveLength(1);
  clock.mockReturnValue(monotonic + (100.5 + 68) * hourMs);
  expect(restarted.faults()).toEqual([]);
  expect(readdirSync(join(path, '..')).filter((name) => name.includes('damaged'))).toEqual([]);
  wallClock.mockReturnValue(wall);
  restarted.close();
  expect(restart().faults(), 'it is over for good').toEqual([]);
  expect(readdirSync(join(path, '..')).filter((name) => name.includes('.new'))).toEqual([]);
});
