// Delivered events are in no file of the outbox an hour later: the write-ahead log is overwritten, which is not taken
// for damage. The clock is simulated.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { readingBeside } from '../../agent/outbox/beside.ts';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { staleFrom } from '../../agent/outbox/wal-check.ts';
import { liveBytes, overwrite, range } from '../support/damaged-outbox.ts';
import { seededRandom } from '../support/random.ts';
import { hearingRecord, limits, recordedEvent } from '../support/samples.ts';

const hourMs = 3_600_000;
const frameBytes = 24 + 1024;
let path: string;
let nowMs: number;
let listener: Outbox;
let courier: Outbox;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'tocsin-erasure-')), 'outbox.db');
  nowMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  listener = openSqliteOutbox(path, limits, { repair: true, reserve: true });
  courier = openSqliteOutbox(path, limits, { repair: true });
  onTestFinished(() => {
    for (const half of [listener, courier]) half.close();
    vi.restoreAllMocks();
  });
});

function store(first: number, last: number): void {
  for (const i of range(first, last)) listener.append(recordedEvent(i));
}

function pass(ms: number): void {
  nowMs += ms;
  listener.writeHearing(hearingRecord());
}

/** The files of the outbox that contain the time of one of these events in SQLite's format. */
function filesWith(first: number, last: number): string[] {
  const times = range(first, last).map((i) => {
    const time = Buffer.alloc(6);
    time.writeUIntBE(recordedEvent(i).onsetWallMs, 0, 6);
    return time;
  });
  const holds = (name: string) => {
    const bytes = readFileSync(join(dirname(path), name));
    return times.some((time) => bytes.includes(time));
  };
  return readdirSync(dirname(path)).filter(holds).toSorted();
}

/** Opens a copy of the outbox, as a power cut or a kill leaves it, as the next listener does. */
function after(ends: readonly string[], memory?: Buffer): Outbox {
  const copy = join(mkdtempSync(join(tmpdir(), 'tocsin-erased-')), 'outbox.db');
  for (const end of ends) cpSync(`${path}${end}`, `${copy}${end}`);
  if (memory) writeFileSync(`${copy}-shm`, memory);
  const next = openSqliteOutbox(copy, limits, { repair: true, reserve: true });
  onTestFinished(() => next.close());
  return next;
}

test('an hour after delivery no file contains an event; pending events are kept, and numbers continue', () => {
  store(1, 300);
  courier.acknowledge(range(1, 250));
  expect(filesWith(1, 250)).toContain('outbox.db-wal');
  pass(hourMs - 1);
  expect(filesWith(1, 250)).toContain('outbox.db-wal');
  const bytes = statSync(`${path}-wal`).size;
  pass(1);
  expect(filesWith(1, 250)).toEqual([]);
  expect(filesWith(251, 300)).toEqual(['outbox.db']);
  expect(statSync(`${path}-wal`).size, 'a log that grows again costs more disk writes').toBe(bytes);
  expect(courier.pending(0, 100).map((event) => event.sequence)).toEqual(range(251, 300));
  store(301, 301);
  expect(courier.pending(300, 10).map((event) => event.sequence)).toEqual([301]);
  expect(courier.readHearing()).toEqual(hearingRecord());
});

test('the end of the log is overwritten too, even if none of its bytes is zero', () => {
  store(1, 300);
  courier.acknowledge(range(1, 250));
  appendFileSync(`${path}-wal`, Buffer.alloc(frameBytes, 7));
  pass(hourMs);
  expect(readFileSync(`${path}-wal`).subarray(-frameBytes)).toEqual(Buffer.alloc(frameBytes));
});

test('the log is overwritten at most once an hour, and only if an event was removed since', () => {
  const asked = vi.spyOn(Database.prototype, 'exec');
  const count = () => asked.mock.calls.filter(([text]) => text === 'BEGIN IMMEDIATE').length;
  for (let hour = 0; hour < 3; hour++) pass(hourMs);
  store(1, 20);
  pass(hourMs);
  expect(count()).toBe(0);
  courier.acknowledge([1]);
  pass(0);
  expect(count()).toBe(1);
  courier.acknowledge([2]);
  for (let tenth = 0; tenth < 9; tenth++) pass(hourMs / 10);
  expect(count()).toBe(1);
  pass(hourMs / 10);
  expect(count()).toBe(2);
  courier.expire({ bootId: recordedEvent(1).bootId, monotonicMs: 1e9 }, 1000);
  for (let hour = 0; hour < 3; hour++) pass(hourMs);
  expect(count()).toBe(3);
});

test('while another program reads, the log is not overwritten; it is ten minutes later, and events stored meanwhile are kept', () => {
  store(1, 20);
  courier.acknowledge(range(1, 20));
  const reader = new Database(path, { readonly: true });
  reader.exec('BEGIN; SELECT * FROM event');
  pass(hourMs);
  expect(filesWith(1, 20)).toEqual(['outbox.db-wal']);
  store(21, 21);
  reader.close();
  pass(hourMs / 6 - 1);
  expect(filesWith(1, 20)).toEqual(['outbox.db-wal']);
  pass(1);
  expect(filesWith(1, 20)).toEqual([]);
  expect(courier.pending(0, 100).map((event) => event.sequence)).toEqual([21]);
});

test('no other connection can write while the log is overwritten', () => {
  store(1, 20);
  courier.acknowledge([1]);
  const other = new Database(path, { timeout: 0 });
  const { exec } = Database.prototype;
  const writes = vi.fn(() => exec.call(other, 'BEGIN IMMEDIATE'));
  vi.spyOn(Database.prototype, 'exec').mockImplementation(function (this: Database.Database, sql: string) {
    exec.call(this, sql);
    if (sql === 'BEGIN IMMEDIATE') expect(writes).toThrow(/locked/);
    return this;
  });
  pass(hourMs);
  expect(writes).toHaveBeenCalledTimes(1);
  other.close();
  expect(filesWith(1, 1)).toEqual([]);
});

test('the log of a file that replaced this one is not overwritten', () => {
  store(1, 20);
  courier.acknowledge([1]);
  const other = join(mkdtempSync(join(tmpdir(), 'tocsin-replacing-')), 'outbox.db');
  const replacing = openSqliteOutbox(other, limits);
  for (const i of range(1, 300)) replacing.append(recordedEvent(i));
  const log = readFileSync(`${other}-wal`);
  expect(liveBytes(`${other}-wal`)).toBeLessThan(log.length);
  const { exec } = Database.prototype;
  const replace = vi.fn(() => {
    for (const end of ['', '-wal']) renameSync(`${path}${end}`, `${path}.damaged-1${end}`);
    for (const end of ['', '-wal', '-shm']) cpSync(`${other}${end}`, `${path}${end}`);
  });
  vi.spyOn(Database.prototype, 'exec').mockImplementation(function (this: Database.Database, sql: string) {
    if (sql === 'BEGIN IMMEDIATE') replace();
    return exec.call(this, sql);
  });
  pass(hourMs);
  expect(replace).toHaveBeenCalledTimes(1);
  expect(readFileSync(`${path}-wal`).equals(log)).toBe(true);
  replacing.close();
});

test('staleFrom gives the end of the last valid frame, and nothing if a frame follows damage', () => {
  for (let i = 1; i <= 300; i++) store(i, i);
  const log = `${path}-wal`;
  const copy = join(mkdtempSync(join(tmpdir(), 'tocsin-stale-')), 'outbox.db');
  const stale = () => readingBeside(`${copy}-wal`, (log) => staleFrom(log, readFileSync(`${copy}-shm`)));
  const damaged = (at: number) => {
    for (const end of ['-wal', '-shm']) cpSync(`${path}${end}`, `${copy}${end}`);
    const right = readFileSync(`${copy}-wal`)[at] ?? 0;
    if (at > 0) overwrite(`${copy}-wal`, at, 1, () => right ^ 1); // the salt is random: a fixed byte may be the right one
    return stale();
  };
  const live = liveBytes(log);
  expect(live).toBeLessThan(statSync(log).size);
  expect(damaged(0)).toBe(live);
  expect(damaged(32 + 2 * frameBytes + 500)).toBeUndefined();
  expect(damaged(live - frameBytes + 8), 'the salt of the last frame, which an open connection still reads').toBeUndefined();
  truncateSync(`${copy}-shm`);
  expect(stale()).toBeUndefined();
});

test.each([
  ['a power cut', ['', '-wal']],
  ['a kill', ['', '-wal', '-shm']],
] as const)('after an overwritten log, %s is not damage and loses no number', (_what, ends) => {
  store(1, 20);
  courier.acknowledge(range(1, 10));
  pass(hourMs);
  const next = after(ends);
  expect([next.faults(), next.gaps(10), next.newest()]).toEqual([[], [], 20]);
  expect(next.pending(0, 100).map((event) => event.sequence)).toEqual(range(11, 20));
});

test('shared memory from before the log was overwritten, as after a power cut, is not damage', () => {
  store(1, 20);
  courier.acknowledge(range(1, 10));
  const memory = readFileSync(`${path}-shm`);
  pass(hourMs);
  const next = after(['', '-wal'], memory);
  expect([next.id, next.faults(), next.gaps(10)]).toEqual([listener.id, [], []]);
});

test.each([
  ['deleted', () => rmSync(`${path}-wal`)],
  ['of zero length', () => truncateSync(`${path}-wal`)],
])('a log lost after it was overwritten (%s) is detected, and its events are a gap', (_how, lose) => {
  store(1, 20);
  courier.acknowledge(range(1, 10));
  pass(hourMs);
  store(21, 30);
  const files = ['', '-wal', '-shm'];
  const kept = join(dirname(path), 'kept');
  mkdirSync(kept);
  for (const end of files) cpSync(`${path}${end}`, join(kept, `outbox.db${end}`));
  path = join(kept, 'outbox.db');
  lose();
  for (const ends of [files, ['']]) {
    const next = after(ends.filter((end) => statSync(`${path}${end}`, { throwIfNoEntry: false })));
    expect(next.gaps(10).some(({ first, last }) => first <= 21 && last >= 30)).toBe(true);
    next.append(recordedEvent(40));
    expect(next.pending(20, 10)[0]?.sequence).toBeGreaterThan(1000);
  }
});

test('25 random kills while the log is overwritten after each event skip and reuse no number, and set nothing aside', async () => {
  const random = seededRandom(5);
  path = join(mkdtempSync(join(tmpdir(), 'tocsin-erasure-kill-')), 'outbox.db');
  let newest = 0;
  for (let i = 0; i < 25; i++) {
    const child = spawn(process.execPath, ['test/reliability/kill-worker.ts', path, String(newest + 1), 'erase'], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    child.stdout.on('data', (text: Buffer) => {
      said += text;
    });
    await once(child.stdout, 'data');
    await delay(random() * 40);
    child.kill('SIGKILL');
    await once(child, 'close');
    const returned = Number(said.trim().split('\n').at(-1));
    const next = openSqliteOutbox(path, limits, { repair: true, reserve: true });
    newest = next.newest();
    expect(newest - returned, 'one more may be stored than was printed').toBeOneOf([0, 1]);
    next.acknowledge(next.pending(0, 10).map((event) => event.sequence));
    expect([next.fates().sent, next.gaps(10), next.faults()]).toEqual([newest, [], []]);
    next.close();
  }
  expect(newest).toBeGreaterThan(25);
});
