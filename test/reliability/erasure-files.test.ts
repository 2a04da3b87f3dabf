// What the erasure of delivered events does with the files themselves: locks, descriptors, and that it reaches the disk. The clock is the
// test's own. What a card does with a synced block is not shown.
import { spawnSync } from 'node:child_process';
import fs, { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { missing } from '../support/broker.ts';
import { hearingRecord, limits, recordedEvent } from '../support/samples.ts';

let path: string;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'tocsin-erasure-')), 'outbox.db');
});

test('an erasure keeps the locks of SQLite: other processes neither write meanwhile nor truncate the shared memory later', () => {
  let nowMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  onTestFinished(() => void vi.restoreAllMocks());
  const alone = openSqliteOutbox(path, limits, { repair: true, reserve: true });
  onTestFinished(() => alone.close());
  const { ino } = statSync(`${path}-shm`);
  const locks = () => readFileSync('/proc/locks', 'utf8').match(new RegExp(`:${ino} `, 'g'))?.length; // proc(5): DEVICE:INODE
  expect(locks(), 'of a process that has it open').toBe(1);
  alone.append(recordedEvent(1));
  alone.acknowledge([1]);
  const { exec } = Database.prototype;
  const before: [string, number | undefined][] = [];
  vi.spyOn(Database.prototype, 'exec').mockImplementation(function (this: Database.Database, sql: string) {
    before.push([sql, locks()]);
    return exec.call(this, sql);
  });
  nowMs += 3_600_000;
  alone.writeHearing(hearingRecord());
  expect(before).toEqual([
    ['BEGIN IMMEDIATE', 1],
    ['ROLLBACK', 3], // it reads, and it alone writes
  ]);
  expect(locks()).toBe(1);
});

test('a write with which the log is erased is done, whichever opening of the log is refused', () => {
  let nowMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  const alone = openSqliteOutbox(path, limits, { repair: true, reserve: true });
  onTestFinished(() => {
    alone.close();
    vi.restoreAllMocks();
    syncBuiltinESMExports();
  });
  alone.append(recordedEvent(1));
  let [opened, refused] = [0, 0];
  const { openSync } = fs;
  vi.spyOn(fs, 'openSync').mockImplementation((...args) => {
    if (!String(args[0]).endsWith('-wal') || ++opened !== refused) return openSync(...args);
    throw Object.assign(new Error('EMFILE: too many open files, open'), { code: 'EMFILE' });
  });
  syncBuiltinESMExports();
  for (refused = 1; refused <= 3; refused++) {
    opened = 0;
    nowMs += 3_600_000;
    alone.append(recordedEvent(1 + refused));
    alone.acknowledge([refused]);
    alone.writeHearing(hearingRecord({ listenedSeconds: refused }));
    expect(alone.readHearing()?.listenedSeconds).toBe(refused);
    expect(opened, 'openings, one of them refused').toBeGreaterThanOrEqual(refused);
  }
});

// the kernel reads zeros of a sync that failed as if they stood on the disk; the disk itself is not part of this
test('after a sync that failed everything is overwritten again, also what reads as zeros', () => {
  let nowMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  const overwritten: [number, number][] = [];
  const { writeSync } = fs;
  vi.spyOn(fs, 'writeSync').mockImplementation(((...args: [number, Buffer, number, number, number]) => {
    overwritten.push([args[4], args[3]]);
    return writeSync(...args);
  }) as never);
  const sync = vi.spyOn(fs, 'fsyncSync');
  syncBuiltinESMExports();
  const alone = openSqliteOutbox(path, limits, { repair: true, reserve: true });
  onTestFinished(() => {
    alone.close();
    vi.restoreAllMocks();
    syncBuiltinESMExports();
  });
  for (let i = 1; i <= 60; i++) alone.append(recordedEvent(i));
  alone.acknowledge([1]);
  const erasure = (laterMs: number) => {
    overwritten.length = 0;
    nowMs += laterMs;
    alone.writeHearing(hearingRecord());
    return [...overwritten];
  };
  sync.mockImplementationOnce(() => {
    throw Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO' });
  });
  const first = erasure(3_600_000);
  expect(erasure(600_000), 'ten minutes later').toEqual(first);
  alone.acknowledge([2]);
  expect(erasure(3_600_000).length, 'once synced, only what is no zeros').toBeLessThan(first.length);
});

test('no file of the outbox stays open once it is closed', () => {
  const fileOf = (fd: string) => (existsSync(`/proc/self/fd/${fd}`) ? readlinkSync(`/proc/self/fd/${fd}`) : ''); // that of readdir is gone
  const opened = () =>
    readdirSync('/proc/self/fd')
      .map(fileOf)
      .filter((file) => file.startsWith(path));
  const alone = openSqliteOutbox(path, limits, { repair: true, reserve: true });
  expect(opened()).toContain(`${path}-shm`);
  alone.close();
  expect(opened()).toEqual([]);
});

const erase = `
import { openSqliteOutbox } from './agent/outbox/sqlite-outbox.ts';
import { hearingRecord, limits, recordedEvent } from './test/support/samples.ts';
const outbox = openSqliteOutbox(process.argv[1], limits, { repair: true, reserve: true });
outbox.append(recordedEvent(1));
outbox.acknowledge([1]);
performance.now = () => 1e9;
outbox.writeHearing(hearingRecord());
process.kill(process.pid, 'SIGKILL');
`;
test.skipIf(missing('strace'))('what is overwritten in the log is synced (needs strace)', () => {
  const trace = `${path}.trace`;
  const strace = ['-f', '-y', '-e', 'trace=pwrite64,fsync,fdatasync', '-o', trace];
  spawnSync('strace', [...strace, process.execPath, '--input-type=module', '-e', erase, path]);
  const calls = [...readFileSync(trace, 'latin1').matchAll(/(pwrite64|fsync|fdatasync)\(\d+<[^>]*outbox\.db-wal>(, "(?:\\0){8})?/g)];
  const zeros = calls.findLastIndex(([, call, zero]) => call === 'pwrite64' && zero !== undefined);
  expect(zeros).toBeGreaterThan(0);
  expect(calls.slice(zeros + 1).map(([, call]) => call)).toContain('fsync');
});
