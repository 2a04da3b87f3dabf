import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import Database from 'better-sqlite3';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { missing } from '../support/broker.ts';
import { leaveOutbox, overwrite, quarantined, range, recoveredOutbox, stored } from '../support/damaged-outbox.ts';
import { openPatient } from '../support/patient.ts';
import { seededRandom } from '../support/random.ts';
import { hourSummary, limits, recordedEvent } from '../support/samples.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tocsin-numbers-'));
  path = join(folder, 'outbox.db');
});
const openListener = (at = path) => openSqliteOutbox(at, limits, { repair: true, reserve: true });

/** What is left of an outbox if the WAL and its shared memory are lost: the main file. */
function lost(): string {
  const left = join(mkdtempSync(join(folder, 'lost-')), 'outbox.db');
  cpSync(path, left);
  return left;
}

/** Copies the content of the WAL into the main file. */
function checkpoint(): void {
  const db = new Database(path);
  db.pragma('wal_checkpoint(PASSIVE)');
  db.close();
}

test('pending summaries stay after the next one, whose number is far behind theirs', () => {
  const before = openListener();
  for (let i = 0; i < 48; i++) before.writeSummary(hourSummary({ beganMonotonicMs: i }));
  checkpoint();
  const outbox = openListener(lost());
  const hours = outbox.summaries(100);
  expect(hours).toHaveLength(48);
  outbox.writeSummary(hourSummary({ beganMonotonicMs: 99 }));
  expect(outbox.summaries(100).slice(0, -1)).toEqual(hours);
  expect(outbox.summaries(100).at(-1)?.sequence).toBeGreaterThan(1000);
  outbox.close();
  before.close();
});

test.each(['event', 'hour_summary'])('a row that a listener stores while another process opens the outbox (%s) is not taken for damage', (table) => {
  const listener = openListener();
  const { prepare } = Database.prototype;
  const spy = vi.spyOn(Database.prototype, 'prepare').mockImplementation(function (this: Database.Database, sql) {
    if (sql === `SELECT max(sequence) FROM ${table}`) {
      spy.mockRestore();
      listener.append(recordedEvent(1));
      listener.writeSummary(hourSummary());
    }
    return prepare.call(this, sql);
  });
  openSqliteOutbox(path, limits).close();
  expect([listener.newest(), listener.summaries(9).length]).toEqual([1, 1]); // in between, and not before
  listener.close();
});

/** An outbox with a reservation uses no number twice, as long as fewer were used than are reserved. */
function expectReserved(listener: Outbox): void {
  for (let i = 10; i < 110; i++) listener.append(recordedEvent(i));
  const outbox = openListener(lost());
  expect(outbox.id).toBe(listener.id);
  outbox.append(recordedEvent(5000));
  expect(outbox.pending(0, 1000).at(-1)?.sequence).toBeGreaterThan(listener.newest());
  expect(outbox.gaps(5).at(-1)?.reason).toBe('unreadable');
  outbox.close();
}

describe('a reservation that cannot reach the main file when the listener opens is written with the next event', () => {
  const withoutPython = missing('python3');
  test.skipIf(withoutPython)(`a running checkpoint of another process${withoutPython ? ` (left out: ${withoutPython})` : ''}`, async () => {
    openListener().close();
    const courier = openSqliteOutbox(path, limits, { repair: true });
    courier.summaries(1); // the shared memory exists, and no number is reserved
    // SQLite locks byte 121 of the shared memory for a checkpoint
    const locking = "import fcntl, sys; f = open(sys.argv[1], 'r+b'); fcntl.lockf(f, fcntl.LOCK_EX, 1, 121); print('locked', flush=True); sys.stdin.read()";
    const other = spawn('python3', ['-c', locking, `${path}-shm`], { stdio: ['pipe', 'pipe', 'inherit'] });
    await new Promise((done) => other.stdout.once('data', done));
    const listener = openListener();
    listener.append(recordedEvent(1));
    expect(refused()).toBe(true);
    other.stdin.end();
    await new Promise((done) => other.once('close', done));
    listener.append(recordedEvent(2));
    expectReserved(listener);
    listener.close();
    courier.close();
  });

  test('a reader that blocks the checkpoint', () => {
    openListener().close();
    const reader = new Database(path);
    reader.exec('BEGIN');
    reader.prepare('SELECT count(*) FROM event').get();
    const listener = openListener();
    listener.append(recordedEvent(1));
    reader.exec('COMMIT');
    reader.close();
    listener.append(recordedEvent(2));
    expectReserved(listener);
    listener.close();
  });
});

test('a reader that blocks the next reservation: enough numbers were reserved before', () => {
  const listener = openListener();
  listener.drop(940);
  const reader = new Database(path);
  reader.exec('BEGIN');
  reader.prepare('SELECT count(*) FROM event').get();
  expectReserved(listener);
  expect(listener.newest()).toBe(1040);
  reader.close();
  listener.close();
});

function refused(): boolean {
  const db = new Database(path);
  const [{ busy }] = db.pragma('wal_checkpoint(PASSIVE)') as [{ busy: number }];
  db.close();
  return busy === 1;
}

test('a later release, whose migration writes a new WAL, still finds that the previous WAL was lost', async () => {
  // this release with one more migration
  const release = join(folder, 'release');
  cpSync('agent', join(release, 'agent'), { recursive: true });
  cpSync('package.json', join(release, 'package.json'));
  symlinkSync(resolve('node_modules'), join(release, 'node_modules'));
  const migrations = join(release, 'agent/outbox/migrations');
  const next = `${String(readdirSync(migrations).length + 1).padStart(6, '0')}.sql`;
  writeFileSync(join(migrations, next), 'CREATE TABLE later (id INTEGER PRIMARY KEY) STRICT;');
  const later = (await import(join(release, 'agent/outbox/sqlite-outbox.ts'))) as { openSqliteOutbox: typeof openSqliteOutbox };
  const listener = openListener();
  for (let i = 1; i <= 20; i++) listener.append(recordedEvent(i));
  const outbox = later.openSqliteOutbox(lost(), limits, { repair: true, reserve: true });
  expect(outbox.id).toBe(listener.id);
  expect(outbox.newest()).toBe(1000);
  expect(outbox.gaps(5)).toEqual([{ first: 1, last: 1000, reason: 'unreadable' }]);
  outbox.close();
  listener.close();
});

const noise = seededRandom(3);
const lostWithItsMemory: [string, () => void][] = [
  ['gone', () => rmSync(`${path}-wal`)],
  ['of zero length', () => truncateSync(`${path}-wal`, 0)],
  ['noise', () => overwrite(`${path}-wal`, 0, 1e9, () => Math.floor(noise() * 256))],
];
test.each(lostWithItsMemory)('for a WAL lost with its shared memory (%s) no number is used twice, and the lost numbers are a gap', (_name, harm) => {
  const id = leaveOutbox(path);
  harm();
  const { kept, sameId, outbox } = recoveredOutbox(path, id);
  expect(sameId).toBe(true);
  expect(kept.length).toBeGreaterThan(0);
  const gaps = outbox.gaps(100);
  expect(gaps).toHaveLength(1);
  for (const n of range(101, stored).filter((n) => !kept.includes(n)))
    expect(gaps.some((g) => g.first <= n && n <= g.last && g.reason === 'unreadable')).toBe(true);
  expect(gaps.at(-1)?.last).toBe((outbox.pending(0, 1000).at(-1)?.sequence ?? 0) - 1);
  outbox.writeSummary(hourSummary());
  expect(outbox.summaries(10).at(-1)?.sequence).toBeGreaterThan(1000);
  expect(quarantined(path)).toEqual([]);
});

test('the first process that opens skips lost numbers, once; a listener that ends in order leaves none reserved', () => {
  leaveOutbox(path);
  rmSync(`${path}-wal`);
  const [courier, listener] = [openPatient(path), openListener()];
  const newest = courier.newest();
  expect(newest).toBeGreaterThan(stored);
  expect(listener.newest()).toBe(newest);
  listener.append(recordedEvent(9000));
  listener.close();
  courier.close();
  for (const reserve of [true, true, false]) {
    const again = openSqliteOutbox(path, limits, { repair: true, reserve });
    expect(again.newest()).toBe(newest + 1);
    expect(again.gaps(10)).toHaveLength(1);
    again.close();
  }
});

test('a courier returns the reserved numbers of a killed listener, but not those of a running one', () => {
  for (const [running, newest] of [
    [false, 1],
    [true, 1000],
  ] as const) {
    path = join(folder, `${running}.db`);
    const listener = openListener();
    listener.append(recordedEvent(1));
    const killed = join(folder, 'killed.db');
    for (const end of ['', '-wal']) cpSync(`${path}${end}`, `${killed}${end}`);
    openSqliteOutbox(killed, limits, { repair: true, listenerRuns: () => running }).close();
    const again = openSqliteOutbox(killed, limits, { repair: true });
    expect(again.newest()).toBe(newest);
    again.close();
    rmSync(killed);
    listener.close();
  }
});

test('numbers returned by a courier beside an unseen listener are reserved again with the next event', () => {
  const listener = openListener();
  listener.append(recordedEvent(1));
  openSqliteOutbox(path, limits, { repair: true, listenerRuns: () => false }).close();
  checkpoint();
  listener.append(recordedEvent(2));
  expectReserved(listener);
  listener.close();
});

test('no reservation is possible while a closing courier checks whether a listener runs', () => {
  openListener().close();
  const starting = new Database(path, { timeout: 0 });
  let outcome: unknown;
  const listenerRuns = () => {
    try {
      starting.prepare('UPDATE outbox SET reserved = 1000').run();
      outcome = 'reserved';
    } catch (error) {
      outcome = (error as { code?: unknown }).code;
    }
    return false;
  };
  openSqliteOutbox(path, limits, { repair: true, listenerRuns }).close();
  expect(outcome).toBe('SQLITE_BUSY');
  starting.close();
});

test.each([
  ['before the first checkpoint', 5],
  ['with more numbers used than reserved at once, dropped events included', 2500],
])('numbers are reserved before they are used, %s', (_name, events) => {
  const listener = openSqliteOutbox(path, limits, { reserve: true });
  const { id } = listener;
  for (let i = 1; i <= events; i++) {
    listener.append(recordedEvent(i));
    if (i === 2000) listener.drop(5000);
  }
  const given = listener.newest();
  expect(given).toBe(events < 2000 ? events : events + 5000);
  cpSync(path, `${path}.x`);
  listener.close();
  rmSync(path);
  cpSync(`${path}.x`, path);
  const outbox = openPatient(path);
  expect(outbox.id).toBe(id);
  expect(outbox.newest()).toBeGreaterThanOrEqual(given);
  expect(outbox.gaps(100).at(-1)?.last).toBe(outbox.newest());
});

test.each([
  ['a number before the last used', 15, []],
  ['the last used number', 20, []],
  ['the next number', 21, [{ first: 21, last: 21, reason: 'unreadable' }]],
])('without a WAL and with a reservation up to %s, exactly the reserved unused numbers are a gap', (_what, reserved, gaps) => {
  openSqliteOutbox(path, limits).close();
  const db = new Database(path);
  db.exec(`INSERT INTO sqlite_sequence VALUES ('event', 20); UPDATE outbox SET reserved = ${reserved}`);
  db.close();
  const outbox = openPatient(path);
  expect([outbox.gaps(10), outbox.append(recordedEvent(1)), outbox.newest()]).toEqual([gaps, 'stored', Math.max(20, reserved) + 1]);
  outbox.close();
  const again = openPatient(path);
  again.writeSummary(hourSummary());
  expect(again.summaries(1)[0]?.sequence, 'numbers of summaries are skipped once').toBe(1001);
});
