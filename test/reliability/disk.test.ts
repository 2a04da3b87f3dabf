import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { ballastBytes } from '../../agent/outbox/ballast.ts';
import { isFullAt } from '../../agent/outbox/disk.ts';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { layBacklog } from '../support/backlog.ts';
import { missing } from '../support/broker.ts';
import { openPatient } from '../support/patient.ts';
import { limits, recordedEvent, silentLogger } from '../support/samples.ts';
import { mount, mountAnew, mountExt4, run } from '../support/small-disk.ts';

let folder: string;
let path: string;
const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i);

const noMounts = userInfo().uid !== 0 ? 'needs root to mount a small file system' : spawnSync('mount', ['--version']).error ? 'needs mount' : undefined;
describe.skipIf(noMounts)(`a disk that accepts no writes${noMounts ? ` (left out: ${noMounts})` : ''}`, () => {
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tocsin-small-'));
    path = join(folder, 'outbox.db');
    mount('-t', 'tmpfs', '-o', 'size=20m', 'tmpfs', folder);
    onTestFinished(() => void spawnSync('umount', ['-l', folder]));
  });
  const fill = () => {
    const result = spawnSync('dd', ['if=/dev/zero', `of=${folder}/fill`, 'bs=4k'], { encoding: 'utf8' });
    expect(result.stderr).toContain('No space');
  };

  // tmpfs stands in for a card: it shows ENOSPC on growth, not the behaviour of a worn card
  test('full: new events go into the space of the ballast, then into memory; acknowledged ones are deleted; all recovers with space', async () => {
    const outbox = openPatient(path, { maxHeld: 50 });
    for (let i = 0; i < 20; i++) expect(outbox.append(recordedEvent(i))).toBe('stored');
    expect(existsSync(`${path}.ballast`)).toBe(true);
    fill();
    const fates: string[] = [];
    while (fates.filter((fate) => fate === 'held').length < 80) fates.push(outbox.append(recordedEvent(20 + fates.length)));
    const kept = fates.indexOf('held');
    expect(existsSync(`${path}.ballast`)).toBe(false);
    expect(kept).toBeGreaterThan(300);
    expect(outbox.faults()).toContain('disk_full');
    outbox.acknowledge(range(1, 20));
    expect(outbox.pending(0, 1)[0]?.sequence).toBe(21);
    rmSync(join(folder, 'fill'));
    expect(outbox.append(recordedEvent(1_000_000))).toBe('stored');
    await vi.waitFor(() => expect(outbox.faults()).toEqual([]), { timeout: 10_000 });
    const held = outbox.pending(20 + kept, 1000).map((e) => e.onsetMonotonicMs / 60_000);
    // 80 came while nothing could be stored, and 50 of them were held
    expect(held).toEqual([...range(20 + fates.length - 50, 20 + fates.length - 1), 1_000_000]);
    expect(outbox.fates()).toMatchObject({ stored: 20 + kept + 51, dropped: 30, sent: 20 });
    expect(outbox.gaps(10)).toEqual([{ first: 21 + kept, last: 50 + kept, reason: 'dropped' }]);
    process.stdout.write(`full disk: ${JSON.stringify({ storedInBallast: kept, held: 50, dropped: 30 })}\n`);
  });

  test('full and read-only is not told as full: no space that somebody makes would help', () => {
    const error = Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_WRITE' });
    writeFileSync(path, '');
    fill();
    expect(isFullAt(path, error)).toBe(true);
    mount('-o', 'remount,ro', folder);
    expect(isFullAt(path, error)).toBe(false);
  });

  test('full at the start: releasing the ballast makes room for the shared memory that SQLite needs', () => {
    const first = openSqliteOutbox(path, limits);
    first.append(recordedEvent(0));
    first.close();
    writeFileSync(`${path}.ballast`, Buffer.alloc(ballastBytes));
    fill();
    const outbox = openPatient(path);
    expect(outbox.append(recordedEvent(1))).toBe('stored');
    expect(existsSync(`${path}.ballast`)).toBe(false);
    expect(outbox.pending(0, 10)).toHaveLength(2);
  });

  describe('a damaged outbox without space for a new file', () => {
    const events = 25_000;
    /** Creates an outbox of a megabyte with an overwritten page of events. Returns its id. */
    function damaged(): string {
      const first = openSqliteOutbox(path, limits);
      const { id } = first;
      first.close();
      layBacklog(path, events, recordedEvent);
      const db = new Database(path);
      const page = db.prepare("SELECT pageno FROM dbstat WHERE name = 'event' AND pagetype = 'leaf' ORDER BY pageno LIMIT 1 OFFSET 5").pluck().get() as number;
      db.close();
      const bytes = readFileSync(path);
      writeFileSync(path, bytes.fill(0x55, (page - 1) * 1024, page * 1024));
      return id;
    }
    const leaveFree = (bytes: number) => {
      fill();
      truncateSync(join(folder, 'fill'), statSync(join(folder, 'fill')).size - bytes);
    };
    const damagedFiles = () => readdirSync(folder).filter((name) => name.includes('damaged'));
    function expectRepaired(outbox: Outbox, id: string, heard: number) {
      expect(outbox.id).toBe(id);
      const { stored, unreadable } = outbox.fates();
      expect(stored).toBe(events + heard);
      expect(unreadable).toBeGreaterThan(0);
      expect(unreadable).toBeLessThan(100);
      expect(outbox.pending(0, 50_000)).toHaveLength(events + heard - unreadable);
      expect(outbox.newest()).toBeGreaterThan(100_000);
      expect(damagedFiles().sort()).toEqual(['outbox.db.damaged-1', 'outbox.db.damaged-1-wal']);
    }

    test('releasing the ballast makes room for a complete repair', () => {
      const id = damaged();
      writeFileSync(`${path}.ballast`, Buffer.alloc(ballastBytes));
      leaveFree(300_000);
      const outbox = openPatient(path);
      expect(outbox.append(recordedEvent(90_000))).toBe('stored');
      expect(existsSync(`${path}.ballast`)).toBe(false);
      expectRepaired(outbox, id, 1);
    });

    test.each([
      ['before anything is written', 0],
      ['in the middle of the copy', 300_000],
    ])('a repair without a ballast that ends %s replaces nothing; new events are held, and space completes it', async (_name, free) => {
      const id = damaged();
      const before = readFileSync(path);
      leaveFree(free);
      const outbox = openPatient(path);
      expect(outbox.append(recordedEvent(90_000))).toBe('held');
      expect(outbox.faults()).toContain('disk_full');
      expect(() => outbox.id).toThrow(/Expected an outbox/);
      expect(damagedFiles()).toEqual([]);
      expect(readFileSync(path).equals(before)).toBe(true);
      // the unfinished file takes no space
      const begun = () => statSync(`${path}.new`, { throwIfNoEntry: false });
      expect(begun()?.size ?? 0).toBe(0);
      const mtimeMs = begun()?.mtimeMs;
      await new Promise((done) => setTimeout(done, 300));
      expect(begun()?.mtimeMs, 'begun again without more room').toBe(mtimeMs);
      rmSync(join(folder, 'fill'));
      for (let i = 0; i < 200 && outbox.faults().includes('disk_full'); i++) await new Promise((done) => setTimeout(done, 20));
      expectRepaired(outbox, id, 1);
    });

    test('older damaged files are deleted for space, the oldest first and no more than needed', () => {
      const id = damaged();
      for (const number of [1, 2, 3]) writeFileSync(`${path}.damaged-${number}`, Buffer.alloc(700_000));
      writeFileSync(`${path}.damaged-1-wal`, '');
      leaveFree(300_000);
      const outbox = openPatient(path);
      expect(outbox.append(recordedEvent(90_000))).toBe('stored');
      expect(outbox.id).toBe(id);
      expect(outbox.pendingCount()).toBeGreaterThan(events - 100);
      expect(damagedFiles().filter((name) => !name.endsWith('-wal'))).toEqual(['outbox.db.damaged-3', 'outbox.db.damaged-4']);
    });

    test('if deleting older damaged files is not enough, all of them go, and the damaged outbox stays unchanged', () => {
      damaged();
      const before = readFileSync(path);
      for (const number of [1, 2, 3]) writeFileSync(`${path}.damaged-${number}`, Buffer.alloc(10_000));
      leaveFree(300_000);
      expect(openPatient(path).append(recordedEvent(90_000))).toBe('held');
      expect(damagedFiles()).toEqual([]);
      expect(readFileSync(path).equals(before)).toBe(true);
    });

    // SQLite recreates the shared memory when it opens the file for the repair
    test('the loss of a WAL, known only from the shared memory, is still repaired after the first repair failed', () => {
      openSqliteOutbox(path, limits).close();
      layBacklog(path, events, recordedEvent);
      const first = openSqliteOutbox(path, limits);
      for (let i = 1; i <= 50; i++) first.append(recordedEvent(events + i));
      for (const end of ['', '-shm']) cpSync(`${path}${end}`, `${path}.x${end}`);
      const { id } = first;
      first.close();
      for (const end of ['', '-shm']) renameSync(`${path}.x${end}`, `${path}${end}`);
      leaveFree(300_000);
      for (let i = 0; i < 3; i++) {
        const outbox = openPatient(path);
        expect(outbox.append(recordedEvent(90_000))).toBe('held');
        outbox.close();
      }
      rmSync(join(folder, 'fill'));
      const outbox = openPatient(path);
      expect(outbox.append(recordedEvent(90_000))).toBe('stored');
      expect(outbox.id).toBe(id);
      expect(outbox.newest()).toBeGreaterThan(100_000);
      expect(damagedFiles().sort()).toEqual(['outbox.db.damaged-1', 'outbox.db.damaged-1-wal']);
    });
  });

  test('an I/O error with almost no free space counts as a full disk and releases the ballast; with space it does not', () => {
    openSqliteOutbox(path, limits).close();
    const ballast = `${path}.ballast`;
    const open = () => {
      if (existsSync(ballast)) throw Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_SHMMAP' });
      return openSqliteOutbox(path, limits);
    };
    writeFileSync(ballast, Buffer.alloc(1_000_000));
    expect(openPatient(path, { open, retryMs: 1_000_000 }).append(recordedEvent(0))).toBe('held');
    expect(existsSync(ballast)).toBe(true);
    fill();
    expect(openPatient(path, { open, retryMs: 1_000_000 }).append(recordedEvent(1))).toBe('stored');
    expect(existsSync(ballast)).toBe(false);
  });

  test('read-only from the start: events are held, and stored once the disk is writable', async () => {
    const first = openSqliteOutbox(path, limits);
    first.append(recordedEvent(0));
    first.close();
    // a file system with files open for writing cannot be made read-only from here, unlike after errors of a card
    mount('-o', 'remount,ro', folder);
    const early = openPatient(path);
    expect(early.append(recordedEvent(1))).toBe('held');
    expect(early.faults()).toContain('outbox_unwritable');
    const late = openPatient(path);
    expect(late.append(recordedEvent(2))).toBe('held');
    mount('-o', 'remount,rw', folder);
    // without another event: only the timer triggers the retry
    for (let i = 0; i < 200 && (early.faults().length > 0 || late.faults().length > 0); i++) await new Promise((r) => setTimeout(r, 20));
    expect(new Set(late.pending(0, 10).map((e) => e.onsetMonotonicMs / 60_000))).toEqual(new Set([0, 1, 2]));
  });

  const withoutExt4 = missing('mkfs.ext4', 'e2fsck', 'losetup');
  test.skipIf(withoutExt4)(
    `read-only under open files, as ext4 does after errors of a card: events are held and later stored${withoutExt4 ? ` (left out: ${withoutExt4})` : ''}`,
    async () => {
      const image = mountExt4(folder);
      const said: string[] = [];
      const logger = { ...silentLogger, error: (_: object, words: string) => said.push(words), warn: (_: object, words: string) => said.push(words) };
      const [listener, courier] = [openPatient(path), openPatient(path, { logger })];
      for (let i = 1; i <= 20; i++) expect(listener.append(recordedEvent(i))).toBe('stored');
      expect(courier.pending(0, 100)).toHaveLength(20);
      expect(courier.faults()).toEqual([]);
      run('mount', '-o', 'remount,abort', folder);
      expect(courier.faults()).toEqual(['outbox_unwritable']); // it has written nothing
      expect(listener.append(recordedEvent(21))).toBe('held');
      expect(listener.append(recordedEvent(22))).toBe('held');
      expect(listener.faults()).toContain('outbox_unwritable');
      courier.acknowledge([1, 2]); // remembered
      for (let i = 0; i < 5; i++) {
        expect(courier.pending(0, 100).at(0)?.sequence).toBe(3);
        courier.acknowledge([]);
      }
      expect(said).toEqual(['the outbox cannot be used; trying again every second']); // successful reads do not end the fault
      mountAnew(image, folder);
      const all = () => courier.pending(0, 100).map((e) => e.onsetMonotonicMs / 60_000);
      for (const began = performance.now(); ; await new Promise((done) => setTimeout(done, 100))) {
        if (listener.faults().length === 0 && courier.faults().length === 0 && courier.fates().sent === 2) break;
        expect(performance.now() - began).toBeLessThan(10_000);
      }
      expect(said.slice(1)).toEqual(['the outbox works again']);
      expect(all()).toEqual(range(3, 22));
    },
  );
});
