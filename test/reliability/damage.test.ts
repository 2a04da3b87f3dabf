import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { beforeEach, describe, expect, test } from 'vitest';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { layBacklog } from '../support/backlog.ts';
import { leaveOutbox, liveBytes, overwrite, pagesOf, quarantined, range, recoveredOutbox, stored } from '../support/damaged-outbox.ts';
import { openPatient } from '../support/patient.ts';
import { seededRandom } from '../support/random.ts';
import { hourSummary, limits, recordedEvent } from '../support/samples.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tocsin-damage-'));
  path = join(folder, 'outbox.db');
});
const open = () => openPatient(path);
const leave = (ends?: string[]) => leaveOutbox(path, ends);
const recovered = (id: string) => recoveredOutbox(path, id);
/** Like `leave`, but closed in order: everything is in the main file. */
function leaveWithoutWal(): string {
  const id = leave();
  openSqliteOutbox(path, limits, { reserve: true }).close();
  return id;
}
const quarantine = () => quarantined(path);
const noise = seededRandom(3);

describe('the repair of a damaged outbox', () => {
  test('an undamaged outbox is not repaired', () => {
    const { kept, sameId } = recovered(leave());
    expect(kept).toEqual(range(101, stored));
    expect(sameId).toBe(true);
    expect(quarantine()).toEqual([]);
  });

  test('one overwritten page of events: all other events are kept, health has the fault, and the gap is recorded', () => {
    const id = leaveWithoutWal();
    const db = new Database(path);
    const pages = db.prepare("SELECT pageno FROM dbstat WHERE name = 'event' AND pagetype = 'leaf' ORDER BY pageno").pluck().all() as number[];
    db.close();
    overwrite(path, ((pages[5] as number) - 1) * 1024, 1024, () => Math.floor(noise() * 256));
    const { kept, sameId, outbox } = recovered(id);
    expect(sameId).toBe(true);
    expect(kept.length).toBeGreaterThan(150);
    expect(kept.length).toBeLessThan(200);
    expect(outbox.fates().unreadable).toBe(200 - kept.length);
    expect(outbox.faults()).toEqual(['outbox_damaged']);
    expect(quarantine()).toEqual(['outbox.db.damaged-1']);
    const gaps = outbox.gaps(100);
    const missing = range(101, stored).filter((n) => !kept.includes(n));
    for (const n of missing) expect(gaps.some((g) => g.first <= n && n <= g.last && g.reason === 'unreadable')).toBe(true);
    for (const n of kept) expect(gaps.some((g) => g.first <= n && n <= g.last)).toBe(false);
    rmSync(`${path}.damaged-1`);
    expect(outbox.faults()).toEqual([]);
  });

  test.each([
    "INSERT INTO boot (id, boot_id) VALUES (9, 'not a boot'); UPDATE event SET boot = 9 WHERE sequence = 150",
    'UPDATE event SET confidence_permille = 2000 WHERE sequence = 150',
  ])('only the row that the schema refuses is lost: %s', (sql) => {
    const id = leaveWithoutWal();
    const db = new Database(path);
    db.pragma('ignore_check_constraints = ON');
    db.exec(sql);
    db.close();
    const { kept, sameId, outbox } = recovered(id);
    expect(sameId).toBe(true);
    expect(kept).toEqual(range(101, stored).filter((n) => n !== 150));
    expect(outbox.gaps(100)).toContainEqual({ first: 150, last: 150, reason: 'unreadable' });
    expect(outbox.fates().unreadable).toBe(1);
  });

  test.each([
    ['of a later event', [0x82, 0x22]],
    ['after all others', [0x83, 0x7f]],
    ['of an earlier event', [0x80, 0x70]],
  ])('an event whose number is overwritten with one %s is lost, and no other', (_name, number) => {
    const id = leaveWithoutWal();
    const { at } = pagesOf(path)
      .flatMap(({ events }) => events)
      .find(({ sequence }) => sequence === 150) ?? { at: 0 };
    overwrite(path, at, 2, (i) => number[i - at] as number);
    const { kept, outbox } = recovered(id);
    expect(kept).toEqual(range(101, stored).filter((n) => n !== 150));
    expect(outbox.gaps(100)).toContainEqual({ first: 150, last: 150, reason: 'unreadable' });
  });

  // SQLite does not check this on its own, and reading joins these tables: the event would be on no page, in no gap
  // and in no count
  test.each(['boot', 'model', 'label'])('an event with a missing %s row is recorded as a gap', (key) => {
    const id = leaveWithoutWal();
    const db = new Database(path);
    db.pragma('foreign_keys = OFF');
    db.exec(`UPDATE event SET ${key} = 9 WHERE sequence = 150`);
    db.close();
    const { kept, sameId, outbox } = recovered(id);
    expect(sameId).toBe(true);
    expect(kept).toEqual(range(101, stored).filter((n) => n !== 150));
    expect(outbox.gaps(100)).toContainEqual({ first: 150, last: 150, reason: 'unreadable' });
    expect(outbox.faults()).toEqual(['outbox_damaged']);
  });

  test('summaries not yet reported are kept, and new numbers continue far behind them', () => {
    leaveWithoutWal();
    const before = openSqliteOutbox(path, limits);
    for (let i = 0; i < 5; i++) before.writeSummary(hourSummary({ beganMonotonicMs: i }));
    before.close();
    const db = new Database(path);
    const page = db.prepare("SELECT pageno FROM dbstat WHERE name = 'event' AND pagetype = 'leaf' ORDER BY pageno").pluck().get() as number;
    db.close();
    overwrite(path, (page - 1) * 1024, 1024, () => Math.floor(noise() * 256));
    const outbox = open();
    const hours = outbox.summaries(10);
    expect(hours.map((s) => [s.sequence, s.beganMonotonicMs])).toEqual([0, 1, 2, 3, 4].map((i) => [i + 1, i]));
    expect(quarantine()).toHaveLength(1);
    outbox.writeSummary(hourSummary());
    expect(outbox.summaries(10).slice(0, -1)).toEqual(hours);
    expect(outbox.summaries(10).at(-1)?.sequence).toBeGreaterThan(1000);
  });

  test('a WAL damaged in the middle, which SQLite alone would truncate silently, is repaired with a gap', () => {
    const id = leave();
    overwrite(`${path}-wal`, Math.floor(liveBytes(`${path}-wal`) / 2), 8, (i) => i % 251);
    const { kept, sameId, outbox } = recovered(id);
    expect(sameId).toBe(true);
    expect(kept.length).toBeGreaterThan(0);
    expect(outbox.gaps(100).at(-1)?.reason).toBe('unreadable');
    expect(quarantine()).toHaveLength(1);
  });

  test.each<[string, () => void]>([
    ['main file cut in half', () => truncateSync(path, Math.floor(statSync(path).size / 2))],
    ['main file cut to an odd length', () => truncateSync(path, 3333)],
    ['not a database', () => writeFileSync(path, 'this was a database once\n'.repeat(400))],
    ['header overwritten', () => overwrite(path, 0, 100, () => 0)],
    ['schema page overwritten', () => overwrite(path, 100, 900, () => Math.floor(noise() * 256))],
    ['a zero-length main file without a WAL', () => writeFileSync(path, '')],
  ])('the outbox opens again and stores events: %s', (_name, harm) => {
    const id = leaveWithoutWal();
    harm();
    recovered(id);
  });

  test.each<[string, () => void]>([
    ['a zero-length main file beside a WAL', () => writeFileSync(path, '')],
    [
      'a column that was added',
      () => {
        const db = new Database(path);
        db.exec('ALTER TABLE event ADD COLUMN note TEXT');
        db.close();
      },
    ],
    ['shared memory of noise', () => writeFileSync(`${path}-shm`, Buffer.alloc(32_768, 0x5a))],
    ['shared memory cut short', () => writeFileSync(`${path}-shm`, Buffer.alloc(100, 1))],
    [
      'a repair that was interrupted before the new file was put in place',
      () => {
        openSqliteOutbox(`${folder}/other.db`, limits).close();
        cpSync(`${folder}/other.db`, `${path}.new`);
        rmSync(path);
      },
    ],
  ])('the outbox left by a kill opens again and stores events: %s', (_name, harm) => {
    const id = leave();
    harm();
    recovered(id);
  });

  test('an interrupted repair is started again', () => {
    const id = leave();
    writeFileSync(`${path}.new`, readFileSync(path).subarray(0, 5000));
    const { kept, sameId } = recovered(id);
    expect(sameId).toBe(true);
    expect(kept).toEqual(range(101, stored));
    expect(readdirSync(folder).filter((name) => name.includes('.new'))).toEqual([]);
    expect(quarantine()).toHaveLength(1);
  });

  test.each<[string, () => void]>([
    ['deleted', () => rmSync(`${path}-wal`)],
    ['of zero length', () => truncateSync(`${path}-wal`, 0)],
    ['noise', () => overwrite(`${path}-wal`, 0, 1e9, () => Math.floor(noise() * 256))],
    ['cut between two commits', () => truncateSync(`${path}-wal`, 32 + 4 * (24 + 1024))],
  ])('for a lost WAL (%s) no number is used twice, and the lost numbers are a gap', (_name, harm) => {
    const id = leave(['', '-wal', '-shm']);
    harm();
    const { kept, sameId, outbox } = recovered(id);
    expect(sameId).toBe(true);
    expect(kept.length).toBeGreaterThan(0);
    expect(outbox.newest()).toBeGreaterThan(100_000);
    const gaps = outbox.gaps(100);
    for (const n of range(101, stored).filter((n) => !kept.includes(n))) expect(gaps.some((g) => g.first <= n && n <= g.last)).toBe(true);
    expect(outbox.faults()).toEqual(['outbox_damaged']);
    expect(quarantine()).toHaveLength(1);
  });

  test('a kill alone is not taken for damage', () => {
    const { kept } = recovered(leave(['', '-wal', '-shm']));
    expect(kept).toEqual(range(101, stored));
    expect(quarantine()).toEqual([]);
  });

  test('shared memory older than its WAL, as after a power cut, is not taken for damage', () => {
    const outbox = openSqliteOutbox(path, limits, { reserve: true });
    const older: Buffer[] = [];
    for (let i = 1; i <= stored; i++) {
      if (i % 20 === 0) older.push(readFileSync(`${path}-shm`));
      outbox.append(recordedEvent(i));
    }
    const [file, log] = [readFileSync(path), readFileSync(`${path}-wal`)];
    const began = new Set(older.map((memory) => memory.readUInt32BE(32))); // the first salt
    expect(began.size).toBeGreaterThan(1);
    outbox.close();
    for (const memory of older) {
      writeFileSync(path, file);
      writeFileSync(`${path}-wal`, log);
      writeFileSync(`${path}-shm`, memory);
      const again = openSqliteOutbox(path, limits, { repair: true });
      expect(again.pending(0, 1000).map((e) => e.sequence)).toEqual(range(1, stored));
      expect(quarantine()).toEqual([]);
      again.close();
    }
  });

  test('a process continues in the new file when its open outbox is damaged and replaced', () => {
    const id = leaveWithoutWal();
    const courier = open();
    expect(courier.pendingCount()).toBe(200);
    const bytes = readFileSync(path);
    writeFileSync(`${path}.x`, bytes.fill(0x11, 1024, 9000));
    rmSync(`${path}-wal`, { force: true });
    rmSync(`${path}-shm`, { force: true });
    rmSync(path);
    cpSync(`${path}.x`, path);
    const listener = open();
    expect(listener.append(recordedEvent(9000))).toBe('stored');
    courier.acknowledge([150]);
    expect(courier.id).toBe(listener.id);
    expect(courier.pending(0, 1000).at(-1)).toEqual(listener.pending(0, 1000).at(-1));
    if (courier.id === id) expect(courier.newest()).toBeGreaterThan(stored);
    courier.close();
    // closing the connection to the old file removed nothing of the new one
    expect(listener.append(recordedEvent(9001))).toBe('stored');
    expect(listener.pending(0, 1000).filter((e) => e.onsetMonotonicMs >= 9000 * 60_000)).toHaveLength(2);
  });

  test('at most three damaged files are kept', () => {
    for (let i = 0; i < 6; i++) {
      writeFileSync(path, `not a database ${i}\n`.repeat(100));
      openSqliteOutbox(path, limits, { repair: true }).close();
    }
    expect(quarantine().sort()).toEqual(['outbox.db.damaged-4', 'outbox.db.damaged-5', 'outbox.db.damaged-6']);
  });

  test('an event that the schema refuses is a gap and does not block later events', () => {
    const outbox = open();
    outbox.append(recordedEvent(1));
    expect(outbox.append(recordedEvent(2, { model: { name: 'Not a name', version: '1' } }))).toBe('dropped');
    expect(outbox.append(recordedEvent(3))).toBe('stored');
    expect(outbox.fates()).toMatchObject({ stored: 2, dropped: 1 });
    expect(outbox.gaps(10)).toEqual([{ first: 2, last: 2, reason: 'dropped' }]);
    expect(outbox.pending(0, 10).map((e) => e.sequence)).toEqual([1, 3]);
  });

  // a service has 300 MB, which months of events need not fit into
  test('100,000 events are repaired with a heap of 40 MB', { timeout: 120_000 }, () => {
    openSqliteOutbox(path, limits).close();
    layBacklog(path, 100_000, (i) => recordedEvent(i));
    openSqliteOutbox(path, limits).close();
    overwrite(path, 1024 * Math.floor(statSync(path).size / 2048), 1024, () => 7);
    const opening = `import { openSqliteOutbox } from './agent/outbox/sqlite-outbox.ts';
      const outbox = openSqliteOutbox(${JSON.stringify(path)}, ${JSON.stringify(limits)}, { repair: true });
      process.stdout.write(JSON.stringify(outbox.fates()));`;
    const { stdout, signal } = spawnSync(process.execPath, ['--max-old-space-size=40', '--input-type=module', '-e', opening], { encoding: 'utf8' });
    expect(signal).toBeNull();
    const { stored: all, unreadable } = JSON.parse(stdout);
    expect(all).toBe(100_000);
    expect(unreadable).toBeGreaterThan(0);
    expect(unreadable).toBeLessThan(100);
    expect(quarantine()).toHaveLength(1);
  });

  test('opening without `repair` repairs nothing', () => {
    writeFileSync(path, 'not a database\n'.repeat(100));
    expect(() => openSqliteOutbox(path, limits)).toThrow(/Expected an outbox at/);
    expect(quarantine()).toEqual([]);
  });
});
