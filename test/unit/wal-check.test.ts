import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { commitsBeyondDamage, isWithoutHeader, lacksCommits } from '../../agent/outbox/wal-check.ts';
import { limits, recordedEvent } from '../support/samples.ts';

test('a WAL header cut off while the log restarts is neither damage nor a lost log; one with a wrong byte is', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-wal-'));
  const path = join(folder, 'outbox.db');
  const torn = join(folder, 'torn.db');
  const outbox = openSqliteOutbox(path, limits);
  let before = Buffer.alloc(0);
  let memory = Buffer.alloc(0);
  const header = () => readFileSync(`${path}-wal`).subarray(0, 32);
  for (let i = 1; before.length === 0 || header().equals(before.subarray(0, 32)); i++) {
    before = readFileSync(`${path}-wal`);
    if (i === 200) memory = readFileSync(`${path}-shm`); // as on disk: some seconds old
    outbox.append(recordedEvent(i));
  }
  const anew = header();
  cpSync(path, torn);
  writeFileSync(`${torn}-shm`, memory);
  const judge = (head: Buffer) => {
    writeFileSync(`${torn}-wal`, Buffer.concat([head, before.subarray(32)]));
    return [commitsBeyondDamage(`${torn}-wal`), isWithoutHeader(`${torn}-wal`), lacksCommits(torn)];
  };
  outbox.close();
  for (let at = 0; at < 32; at++) {
    expect(judge(Buffer.concat([anew.subarray(0, at), before.subarray(at, 32)])), `after ${at} bytes`).toEqual([0, false, false]);
    const wrong = Buffer.from(before.subarray(0, 32));
    wrong[at] = (wrong[at] as number) ^ 0x55;
    const [commits, isWithout, lacks] = judge(wrong);
    expect([isWithout, lacks || (commits as number) > 1], `byte ${at}`).toEqual([true, true]);
  }
});

test('commits behind damage are counted for a wrong byte in any frame; an intact log and an unsynced last commit count none', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-wal-')), 'outbox.db');
  const outbox = openSqliteOutbox(path, limits);
  for (let i = 1; i <= 10; i++) outbox.append(recordedEvent(i));
  const log = readFileSync(`${path}-wal`);
  outbox.close();
  const frameBytes = 24 + log.readUInt32BE(8);
  const isOfThisLog = (at: number) => log.subarray(at + 8, at + 16).equals(log.subarray(16, 24));
  const frames = Array.from({ length: Math.floor((log.length - 32) / frameBytes) }, (_, i) => 32 + i * frameBytes).filter(isOfThisLog);
  const commits = frames.filter((at) => log.readUInt32BE(at + 4) > 0);
  expect(commits.length).toBeGreaterThanOrEqual(10);
  const beyond = (bytes: Buffer) => {
    writeFileSync(`${path}-wal`, bytes);
    return commitsBeyondDamage(`${path}-wal`);
  };
  expect(beyond(log)).toBe(0);
  for (const frame of frames)
    for (const byte of [0, 19, 24, frameBytes - 1]) {
      const damaged = Buffer.from(log);
      damaged[frame + byte] = (damaged[frame + byte] as number) ^ 0x10;
      expect(beyond(damaged), `byte ${byte} of the frame at ${frame}`).toBe(commits.filter((at) => at >= frame).length);
    }
  const torn = Buffer.from(log).fill(0, (commits.at(-1) as number) + 8, (commits.at(-1) as number) + 16);
  expect(beyond(torn)).toBe(0);
});

// SQLite reads the pages of the frames that are left in place of the newer pages in the file
test('a log of which a part is left after all of it was brought into the file lacks commits: no event is lost, no number given out twice; a log of which nothing is left does not', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-wal-'));
  const [path, killed] = [join(folder, 'outbox.db'), join(folder, 'killed.db')];
  const outbox = openSqliteOutbox(path, limits);
  for (let i = 1; i <= 5; i++) outbox.append(recordedEvent(i));
  const db = new Database(path);
  expect(db.pragma('wal_checkpoint(PASSIVE)')).toMatchObject([{ busy: 0 }]);
  for (const end of ['', '-wal', '-shm']) cpSync(`${path}${end}`, `${killed}${end}`);
  db.close();
  outbox.close();
  expect(lacksCommits(killed), 'whole').toBe(false);
  const log = readFileSync(`${killed}-wal`);
  rmSync(`${killed}-wal`);
  expect(lacksCommits(killed), 'gone').toBe(false);
  writeFileSync(`${killed}-wal`, log.subarray(0, 32));
  expect(lacksCommits(killed), 'no frame left').toBe(false);
  writeFileSync(`${killed}-wal`, log);
  truncateSync(`${killed}-wal`, log.length - 1);
  expect(lacksCommits(killed), 'cut').toBe(true);
  const again = openSqliteOutbox(killed, limits, { repair: true });
  again.append(recordedEvent(6));
  expect(again.pending(0, 10).map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5, 100_006]);
  expect(again.gaps(10)).toEqual([{ first: 6, last: 100_005, reason: 'unreadable' }]);
  again.close();
});

test('an earlier log, as from a copy that somebody puts back, lacks commits; a later one does not', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-wal-'));
  const [path, restored] = [join(folder, 'outbox.db'), join(folder, 'restored.db')];
  const outbox = openSqliteOutbox(path, limits);
  const copy = () => Object.fromEntries(['', '-wal', '-shm'].map((end) => [end, readFileSync(`${path}${end}`)] as const)) as Record<string, Buffer>;
  const header = () => copy()['-wal']?.subarray(0, 32).toString('hex');
  outbox.append(recordedEvent(1));
  const earlier = copy();
  for (let i = 2, first = header(); header() === first; i++) outbox.append(recordedEvent(i)); // the log begins anew
  const later = copy();
  outbox.close();
  const lacks = (log: Buffer | undefined, memory: Buffer | undefined) => {
    writeFileSync(`${restored}-wal`, log as Buffer);
    writeFileSync(`${restored}-shm`, memory as Buffer);
    return lacksCommits(restored);
  };
  expect(lacks(earlier['-wal'], later['-shm'])).toBe(true);
  expect(lacks(later['-wal'], earlier['-shm']), 'shared memory as after a power cut').toBe(false);
});
