import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, test, vi } from 'vitest';
import { UnstorableError } from '../../agent/lib/errors.ts';
import { ballastBytes } from '../../agent/outbox/ballast.ts';
import { openPatientOutbox } from '../../agent/outbox/patient-outbox.ts';
import { isDamage } from '../../agent/outbox/sqlite.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { missing } from '../support/broker.ts';
import { openPatient } from '../support/patient.ts';
import { hearingRecord, hourSummary, limits, recordedEvent, silentLogger } from '../support/samples.ts';

// with a card that takes 30 ms per commit, storing all held events at once would take half a minute, and the watchdog
// would end the listener
test('held events are stored in order for a second at a time, and completely when the outbox closes', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-held-')), 'outbox.db');
  let nowMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  let broken = true;
  const open = () => {
    if (broken) throw Object.assign(new Error('attempt to write a readonly database'), { code: 'SQLITE_READONLY' });
    const inner = openSqliteOutbox(path, limits);
    const { append } = inner;
    inner.append = (event) => {
      nowMs += 30;
      return append.call(inner, event);
    };
    return inner;
  };
  const outbox = openPatientOutbox({ path, open, isDamage, logger: silentLogger, retryMs: 1_000_000 });
  for (let i = 1; i <= 150; i++) expect(outbox.append(recordedEvent(i))).toBe('held');
  broken = false;
  expect(outbox.append(recordedEvent(151))).toBe('held');
  expect(outbox.fates().stored).toBe(34);
  expect(outbox.append(recordedEvent(152))).toBe('held');
  expect(outbox.fates().stored).toBe(68);
  outbox.close();
  const file = openSqliteOutbox(path, limits);
  expect(file.pending(0, 200).map((e) => e.onsetMonotonicMs / 60_000)).toEqual(Array.from({ length: 152 }, (_, i) => i + 1));
  file.close();
});

// as on a card with a bad block where the file system stays writable: SQLITE_IOERR_FSYNC
test.each(['append', 'acknowledge', 'drop'] as const)(
  'with failing writes (%s) and working reads, the fault lasts until the waiting write succeeds, and is logged once',
  (kind) => {
    const path = join(mkdtempSync(join(tmpdir(), 'tocsin-unwritten-')), 'outbox.db');
    let broken = true;
    const open = () => {
      const inner = openSqliteOutbox(path, limits);
      const write = inner[kind] as (of: never) => never;
      inner[kind] = (of: never) => {
        if (broken) throw Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_FSYNC' });
        return write.call(inner, of);
      };
      return inner;
    };
    const said = vi.fn();
    const logger = { ...silentLogger, warn: said, error: said };
    const outbox = openPatientOutbox({ path, open, isDamage, logger, retryMs: 1_000_000 });
    const write = () => ({ append: () => outbox.append(recordedEvent(1)), acknowledge: () => outbox.acknowledge([1]), drop: () => outbox.drop(1) })[kind]();
    for (let i = 0; i < 5; i++) {
      write();
      expect(outbox.pending(0, 10)).toEqual([]);
      expect(outbox.faults()).toEqual(['outbox_unwritable']);
    }
    expect(said).toHaveBeenCalledTimes(1);
    broken = false;
    write();
    expect(outbox.pending(0, 10)).toHaveLength(kind === 'append' ? 1 : 0);
    expect(outbox.faults()).toEqual([]);
    expect(said).toHaveBeenCalledTimes(2);
    outbox.close();
  },
);

test('events dropped while the disk takes no writes are counted at once and later form one gap', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-dropped-')), 'outbox.db');
  let broken = true;
  const open = () => {
    const inner = openSqliteOutbox(path, limits);
    for (const kind of ['append', 'drop'] as const) {
      const write = inner[kind] as (of: never) => never;
      inner[kind] = (of: never) => {
        if (broken) throw Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_FSYNC' });
        return write.call(inner, of);
      };
    }
    return inner;
  };
  const outbox = openPatientOutbox({ path, open, isDamage, logger: silentLogger, retryMs: 1_000_000, maxHeld: 3 });
  outbox.drop(2);
  outbox.drop(1);
  for (let i = 1; i <= 5; i++) expect(outbox.append(recordedEvent(i))).toBe('held');
  expect(outbox.fates()).toMatchObject({ stored: 0, dropped: 5 });
  broken = false;
  expect(outbox.append(recordedEvent(6))).toBe('stored');
  expect(outbox.fates()).toMatchObject({ stored: 4, dropped: 5 });
  expect(outbox.gaps(10)).toEqual([{ first: 1, last: 5, reason: 'dropped' }]);
  expect(outbox.pending(0, 10).map(({ onsetMonotonicMs }) => onsetMonotonicMs / 60_000)).toEqual([3, 4, 5, 6]);
  outbox.close();
  expect(existsSync(`${path}-wal`), 'the file is closed').toBe(false);
});

test('an event that the schema refuses is no disk fault: it is logged, counted and becomes a gap, and later events are stored', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-unstorable-')), 'outbox.db');
  const error = vi.fn();
  const outbox = openPatient(path, { logger: { ...silentLogger, error }, retryMs: 1_000_000 });
  const model = { name: 'Not a name', version: '1' };
  expect(outbox.append(recordedEvent(1))).toBe('stored');
  expect(outbox.append(recordedEvent(2, { model }))).toBe('dropped');
  expect(outbox.gaps(10)).toEqual([{ first: 2, last: 2, reason: 'dropped' }]);
  expect(outbox.fates()).toMatchObject({ stored: 1, dropped: 1 });
  for (const write of [() => outbox.writeHearing(hearingRecord({ model })), () => outbox.writeSummary(hourSummary({ model }))])
    expect(write).toThrow(UnstorableError);
  expect(outbox.faults()).toEqual([]);
  expect(outbox.append(recordedEvent(3))).toBe('stored');
  const said = [
    [{ reason: expect.stringContaining('CHECK constraint failed'), hint: expect.any(String) }, 'an event that cannot be stored is dropped and counted'],
  ];
  expect(error.mock.calls).toEqual(said);
});

test('acknowledged events that the disk could not delete do not expire', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-arrived-')), 'outbox.db');
  let broken = true;
  const open = () => {
    const inner = openSqliteOutbox(path, limits);
    const { acknowledge } = inner;
    inner.acknowledge = (sequences) => {
      if (broken) throw Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_FSYNC' });
      acknowledge.call(inner, sequences);
    };
    return inner;
  };
  const outbox = openPatientOutbox({ path, open, isDamage, logger: silentLogger, retryMs: 1_000_000 });
  for (let i = 1; i <= 5; i++) outbox.append(recordedEvent(i));
  outbox.acknowledge([1, 2, 3]);
  const { bootId } = recordedEvent(1);
  const expire = () => outbox.expire({ bootId, monotonicMs: 1e9 }, 1000);
  expect(expire()).toBe(0);
  expect(outbox.fates()).toMatchObject({ stored: 5, sent: 3, expired: 0 });
  broken = false;
  expect(expire()).toBe(2);
  expect(outbox.fates()).toMatchObject({ sent: 3, expired: 2 });
  expect(outbox.gaps(10)).toMatchObject([{ first: 4, last: 5 }]);
  outbox.close();
});

test('after a gap or hour that was reported but could not be deleted, the next one is returned', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-told-')), 'outbox.db');
  const open = () => {
    const inner = openSqliteOutbox(path, limits);
    for (const kind of ['gapReported', 'summaryReported'] as const)
      inner[kind] = () => {
        throw Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_FSYNC' });
      };
    return inner;
  };
  const outbox = openPatientOutbox({ path, open, isDamage, logger: silentLogger, retryMs: 1_000_000 });
  outbox.drop(1);
  outbox.append(recordedEvent(2));
  outbox.drop(1);
  for (const beganMonotonicMs of [0, 3_600_000]) outbox.writeSummary(hourSummary({ beganMonotonicMs }));
  const [gap] = outbox.gaps(1);
  outbox.gapReported(gap as NonNullable<typeof gap>);
  outbox.summaryReported(outbox.summaries(1)[0]?.sequence as number);
  expect([gap?.first, outbox.gaps(1)[0]?.first]).toEqual([1, 3]);
  expect(outbox.summaries(1)[0]?.beganMonotonicMs).toBe(3_600_000);
  outbox.close();
});

test('a write waits for another program that holds the lock briefly, even after a long lock', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-busy-')), 'outbox.db');
  const outbox = openSqliteOutbox(path, limits);
  const other = new Database(path);
  other.exec('BEGIN IMMEDIATE');
  for (let i = 0; i < 2; i++) expect(() => outbox.drop(1)).toThrow(/locked/);
  other.exec('ROLLBACK');
  other.close();
  expect(outbox.append(recordedEvent(1))).toBe('stored');
  const hold = `const db = new (require('better-sqlite3'))(${JSON.stringify(path)});
db.exec('BEGIN IMMEDIATE');
process.stdout.write('held');
setTimeout(() => db.exec('ROLLBACK'), 200);`;
  const child = spawn(process.execPath, ['-e', hold], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  expect(outbox.append(recordedEvent(2))).toBe('stored');
  outbox.close();
});

test('the listener or courier waits 1 s for a locked outbox and tries again; the lock is a fault after 5 s, until a write succeeds', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-locked-')), 'outbox.db');
  const [error, warn] = [vi.fn(), vi.fn()];
  const outbox = openPatient(path, { logger: { ...silentLogger, error, warn }, retryMs: 1_000_000 });
  expect(outbox.append(recordedEvent(1))).toBe('stored');
  let nowMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  const pragma = vi.spyOn(Database.prototype, 'pragma');
  const other = new Database(path);
  other.exec('BEGIN IMMEDIATE');
  expect(outbox.append(recordedEvent(2))).toBe('held');
  expect(pragma.mock.calls.map(([text]) => text).filter((text) => text.startsWith('busy_timeout'))).toEqual(['busy_timeout = 1000']);
  nowMs = 4900;
  expect(outbox.append(recordedEvent(3))).toBe('held');
  expect([outbox.pendingCount(), outbox.faults(), error.mock.calls]).toEqual([1, [], []]);
  nowMs = 5000;
  expect(outbox.append(recordedEvent(4))).toBe('held');
  expect([outbox.pendingCount(), outbox.faults(), error.mock.calls.length]).toEqual([1, ['outbox_unwritable'], 1]);
  other.exec('ROLLBACK');
  expect([outbox.pendingCount(), outbox.faults()], 'a read says nothing of a lock').toEqual([1, ['outbox_unwritable']]);
  expect(outbox.append(recordedEvent(5))).toBe('stored');
  expect([outbox.pendingCount(), outbox.faults(), warn.mock.calls.length]).toEqual([5, [], 1]);
  other.close();
  vi.restoreAllMocks();
});

test('a lock of 5 s is a fault also while no event waits', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-locked-')), 'outbox.db');
  let nowMs = 0;
  const outbox = openPatient(path);
  outbox.writeHearing(hearingRecord());
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  const other = new Database(path);
  other.exec('BEGIN IMMEDIATE');
  expect(() => outbox.writeHearing(hearingRecord())).toThrow(/locked/);
  nowMs = 5000;
  await vi.waitFor(() => expect(outbox.faults()).toEqual(['outbox_unwritable']));
  expect([outbox.pendingCount(), outbox.faults()]).toEqual([0, ['outbox_unwritable']]);
  other.exec('ROLLBACK');
  await vi.waitFor(() => expect(outbox.faults()).toEqual([]));
  other.close();
  vi.restoreAllMocks();
});

test('locks between the writes that delete a backlog on a slow disk are no fault', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-locked-')), 'outbox.db');
  let [nowMs, tries] = [0, 0];
  const open = () => {
    const inner = openSqliteOutbox(path, limits);
    const { acknowledge } = inner;
    inner.acknowledge = (sequences) => {
      if (tries++ % 2 === 0) throw Object.assign(new Error('database is locked'), { code: 'SQLITE_BUSY' });
      acknowledge.call(inner, sequences);
    };
    return inner;
  };
  const error = vi.fn();
  const outbox = openPatient(path, { open, logger: { ...silentLogger, error }, retryMs: 1_000_000 });
  for (let i = 1; i <= 20; i++) outbox.append(recordedEvent(i));
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  for (let i = 1; i <= 20; i++) {
    nowMs += 4000;
    outbox.acknowledge([i]);
    expect([outbox.pendingCount(), outbox.faults()]).toEqual([20 - i, []]);
  }
  expect([tries, error.mock.calls]).toEqual([20, []]);
  vi.restoreAllMocks();
});

test('a damaged file without a record of its repair is reported as after one, since nothing else names it', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-quarantined-')), 'outbox.db');
  writeFileSync(`${path}.damaged-1`, '');
  const outbox = openSqliteOutbox(path, limits);
  expect(outbox.faults()).toEqual(['outbox_damaged']);
  outbox.close();
});

test.each([0, 40_000])('a ballast file cut to %d bytes by a power cut is written again; a complete one is left alone', (left) => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-ballast-')), 'outbox.db');
  writeFileSync(`${path}.ballast`, Buffer.alloc(left));
  openPatient(path);
  const laid = statSync(`${path}.ballast`, { bigint: true });
  expect(laid.size).toBe(BigInt(ballastBytes));
  openPatient(path);
  expect(statSync(`${path}.ballast`, { bigint: true }).mtimeNs, 'it is not written each second').toBe(laid.mtimeNs);
  writeFileSync(`${path}.ballast`, Buffer.alloc(ballastBytes, 7));
  openPatient(path);
  expect(readFileSync(`${path}.ballast`)[0]).toBe(7);
  writeFileSync(`${path}.ballast`, 'something');
  openPatient(path);
  expect(readFileSync(`${path}.ballast`, 'utf8'), 'what is not of the agent is left for privacy verify to find').toBe('something');
});

test.skipIf(missing('strace'))('the ballast file is synced to disk (needs strace)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-ballast-'));
  const [path, trace] = [join(folder, 'outbox.db'), join(folder, 'trace')];
  const lay = `import { openPatientOutbox } from './agent/outbox/patient-outbox.ts';
const open = () => { throw Object.assign(new Error('none'), { code: 'ENOENT' }); };
openPatientOutbox({ path: ${JSON.stringify(path)}, open, isDamage: () => false, logger: { error() {} } });`;
  const strace = ['-f', '-y', '-e', 'trace=fsync', '-o', trace];
  const { status, stderr } = spawnSync('strace', [...strace, process.execPath, '--input-type=module', '-e', lay], { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(readFileSync(trace, 'utf8')).toMatch(/fsync\(\d+<[^>]*outbox\.db\.ballast>/);
});
