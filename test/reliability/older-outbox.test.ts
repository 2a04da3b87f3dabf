import { cpSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { beforeEach, expect, test } from 'vitest';
import type { PendingEvent } from '../../agent/outbox/outbox.ts';
import { repairOutbox } from '../../agent/outbox/repair.ts';
import type { OpenDatabase } from '../../agent/outbox/sqlite.ts';
import { openDatabase } from '../../agent/outbox/sqlite-database.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { viewOutbox } from '../../agent/outbox/view-outbox.ts';
import { overwrite, pageBytes, pagesOf, quarantined, range } from '../support/damaged-outbox.ts';
import { beganWallMs, olderId, openOlderOutbox, otherBoot, sayLater, versions } from '../support/older-outbox.ts';
import { openPatient } from '../support/patient.ts';
import { bootId, hearingRecord, hourSummary, limits, recordedEvent, thresholdRecord } from '../support/samples.ts';

let path: string;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'tocsin-older-')), 'outbox.db');
});

/** The rows of all tables, including the last numbers. */
function rowsOf(file: string): Map<string, Record<string, unknown>[]> {
  const db = new Database(file, { readonly: true });
  const tables = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").pluck().all() as string[];
  const rows = new Map(tables.map((table) => [table, db.prepare(`SELECT * FROM ${table} ORDER BY 1, 2`).all() as Record<string, unknown>[]]));
  db.close();
  return rows;
}

const ages = range(1, versions).flatMap((version) =>
  ['as its last process closed it', 'with its log, as a kill leaves it'].map((left) => [version, left] as const),
);

test.each(ages)('an outbox of schema version %d, %s: every row is kept, and numbers continue', (version, left) => {
  const db = openOlderOutbox(path, version);
  const moved = join(mkdtempSync(join(tmpdir(), 'tocsin-older-')), 'outbox.db');
  if (left.startsWith('as')) db.close();
  for (const name of readdirSync(join(path, '..'))) cpSync(join(path, '..', name), join(moved, '..', name));
  const before = rowsOf(path);
  db.close();
  const view = viewOutbox(path); // as `thresholds` does before a half has migrated it
  expect(view.listeningDays().map(({ recognition }) => recognition)).toEqual(version < 6 ? [] : [version < 10 ? undefined : 281_474_976_710_655]);
  view.close();
  const outbox = openPatient(moved);
  expect(outbox.id).toBe(olderId);
  const after = rowsOf(moved);
  const isNew = (row: Record<string, unknown>) => row.name === 'dropped' || row.name === 'unreadable'; // fates that version 2 added
  for (const [table, rows] of before)
    expect(
      after.get(table)?.filter((row) => version > 1 || !isNew(row)),
      table,
    ).toEqual(rows.map((row) => expect.objectContaining(row)));
  expect(outbox.pending(0, 1000).map(({ sequence }) => sequence)).toEqual(range(111, 300));
  expect(outbox.append(recordedEvent(9000))).toBe('stored');
  outbox.writeSummary(hourSummary());
  expect(outbox.pending(300, 10).map(({ sequence }) => sequence)).toEqual([303]);
  expect(outbox.summaries(10).at(-1)?.sequence).toBe(version >= 4 ? 6 : 1);
  expect([outbox.faults(), quarantined(moved)]).toEqual([[], []]);
});

/** What a repair keeps of each table without a damaged page. */
function whatIsKept(outbox: ReturnType<typeof openPatient>) {
  const view = viewOutbox(path);
  const days = view.listeningDays();
  view.close();
  return {
    id: outbox.id,
    hour_summary: outbox.summaries(10).map(({ sequence, bootBeganMs }) => [sequence, bootBeganMs]),
    usual_level: outbox.readUsualLevels().length,
    hearing: outbox.readHearing()?.suspicion,
    listening_day: days.map(({ counts }) => counts.length),
    began: [outbox.bootBegan(bootId), outbox.bootBegan(otherBoot)],
  };
}

// the schema and the id: without the schema nothing can be read, in a file of this release either; without the id a
// new one is made
const needed = /^(sqlite_schema|outbox)$/;

test.each(range(1, versions))('an outbox of schema version %d with a damaged page is migrated, and everything on other pages is kept', (version) => {
  const db = openOlderOutbox(path, version);
  db.close();
  const sound = readFileSync(path);
  const pages = pagesOf(path);
  const expected = {
    id: olderId,
    hour_summary: version >= 4 ? [3, 4, 5].map((hour) => [hour, version >= 5 ? beganWallMs : undefined]) : [],
    usual_level: version >= 3 ? 24 : 0,
    hearing: version >= 3 ? 'covered' : undefined,
    listening_day: version >= 6 ? [2] : [],
    began: [version >= 5 ? beganWallMs : undefined, undefined],
  };
  const tried = pages.filter(({ table, isLeaf }) => isLeaf && table !== 'free' && !needed.test(table));
  for (const page of tried) {
    path = join(mkdtempSync(join(tmpdir(), 'tocsin-older-')), 'outbox.db');
    writeFileSync(path, sound);
    overwrite(path, pages.indexOf(page) * pageBytes, pageBytes, () => 0xa5);
    const outbox = openPatient(path);
    const wanted =
      page.table === 'boot' ? { ...expected, hour_summary: expected.hour_summary.map(([hour]) => [hour, undefined]), began: [undefined, undefined] } : expected;
    const gone = page.events.map(({ sequence }) => sequence);
    expect(outbox.pending(0, 1000).map(({ sequence }) => sequence)).toEqual(range(111, 300).filter((sequence) => !gone.includes(sequence)));
    expect(quarantined(path), page.table).toHaveLength(1);
    const { [page.table.replace('would_be_event', 'listening_day') as 'hearing']: _lost, ...kept } = wanted;
    expect(whatIsKept(outbox), page.table).toMatchObject(kept);
    outbox.close();
  }
  expect(new Set(tried.map(({ table }) => table)).size).toBeGreaterThanOrEqual(6);
});

test('an event with a new boot and model, stored as another process begins a repair, is kept', () => {
  openOlderOutbox(path, versions).close();
  const listener = openSqliteOutbox(path, limits);
  writeFileSync(`${path}.new`, ''); // an interrupted repair, which starts again
  const last = recordedEvent(9000, { bootId: 'ffffffff-7d3a-4f5b-9c8d-1e2f3a4b5c6d', model: { name: 'street', version: '0.9.0' } });
  const open: OpenDatabase = (file, migrated) => {
    const db = openDatabase(file, migrated);
    const exec = db.exec.bind(db);
    db.exec = (sql: string) => {
      if (file === path && sql === 'BEGIN IMMEDIATE') listener.append(last);
      return exec(sql);
    };
    return db;
  };
  repairOutbox(path, open, () => false);
  listener.close();
  const { sequence: _, ...kept } = openPatient(path).pending(300, 10)[0] as PendingEvent;
  expect(kept).toEqual(last);
});

const falseVersions = range(1, versions).flatMap((version) => [versions + 1, versions + 3, 100].map((said) => [version, said] as const));

test.each(falseVersions)('an outbox of schema version %d with the version overwritten by %d is repaired completely', (version, said) => {
  openOlderOutbox(path, version).close();
  overwrite(path, 63, 1, () => said);
  const outbox = openPatient(path);
  expect([outbox.id, outbox.pending(0, 1000).map(({ sequence }) => sequence), quarantined(path).length]).toEqual([olderId, range(111, 300), 1]);
});

test('an outbox of a later release stays unchanged, even if damaged; events are held and the fault is reported', () => {
  openOlderOutbox(path, versions).close();
  sayLater(path);
  const sound = readFileSync(path);
  const page = pagesOf(path).findIndex(({ events }) => events.length > 3);
  for (const isDamaged of [true, false]) {
    writeFileSync(path, sound);
    if (isDamaged) overwrite(path, page * pageBytes, pageBytes, () => 0xa5);
    const before = readFileSync(path);
    const lines: string[] = [];
    const note = ({ reason }: { reason?: string }) => void lines.push(reason ?? '');
    const outbox = openPatient(path, { logger: { debug: note, info: note, warn: note, error: note } });
    expect(outbox.append(recordedEvent(9000))).toBe('held');
    for (let i = 0; i < 3; i++) expect(() => outbox.pendingCount()).toThrow('of a later release');
    expect(outbox.faults()).toEqual(['outbox_unwritable']);
    expect(lines, 'said once').toEqual([expect.stringContaining('of a later release')]);
    expect([readFileSync(path).equals(before), quarantined(path)]).toEqual([true, []]);
    outbox.close();
  }
  const later = new Database(path);
  later.exec(`ALTER TABLE event DROP COLUMN bearing; PRAGMA user_version = ${versions}`); // for this test the current release is the later one
  later.close();
  const outbox = openPatient(path);
  expect([outbox.pendingCount(), outbox.faults()]).toEqual([190, []]);
});

/** Adds a column to every table but those matching `but`, as a later release may. */
function addColumns(db: Database.Database, but = /^$/): void {
  const tables = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").pluck().all() as string[];
  for (const table of tables) if (!but.test(table)) db.exec(`ALTER TABLE ${table} ADD COLUMN later INTEGER CHECK (later BETWEEN 0 AND 1)`);
}

test('a running process of this release keeps working after a later release added a column to the tables', () => {
  const outbox = openPatient(path);
  outbox.append(recordedEvent(1));
  const later = new Database(path);
  addColumns(later, /^recent$/); // `recent` is written by a trigger, which the later release would change
  later.pragma(`user_version = ${versions + 1}`);
  later.close();
  for (let i = 2; i <= 5; i++) expect(outbox.append(recordedEvent(i))).toBe('stored');
  outbox.drop(3);
  outbox.acknowledge([1]);
  expect(outbox.expire({ bootId, monotonicMs: recordedEvent(2.5).onsetMonotonicMs, wallMs: 0 }, 0)).toBe(1);
  outbox.noteBoot(otherBoot, beganWallMs);
  const usual = { hour: 3, quarters: 5, floorDb: -61.25, loudDb: -40 };
  outbox.writeHearing(hearingRecord(), [usual]);
  outbox.writeSummary(hourSummary());
  for (let i = 0; i < 2; i++) outbox.addThresholdCounts(thresholdRecord({ seconds: 86_400 }));
  expect(outbox.faults()).toEqual([]);
  expect(outbox.pending(0, 10).map(({ sequence }) => sequence)).toEqual([3, 4, 5]);
  expect(outbox.gaps(10)).toEqual([
    { first: 2, last: 2, reason: 'too_old' },
    { first: 6, last: 8, reason: 'dropped' },
  ]);
  expect([outbox.readHearing(), outbox.readUsualLevels(), outbox.bootBegan(otherBoot), outbox.summaries(10).length]).toEqual([
    hearingRecord(),
    [usual],
    beganWallMs,
    1,
  ]);
  expect(rowsOf(path).get('listening_day')).toHaveLength(2);
});

test('a repair by a release with a later schema keeps all rows', () => {
  openOlderOutbox(path, versions).close();
  const open: OpenDatabase = (file, migrated) => {
    const db = openDatabase(file, migrated);
    if (migrated) addColumns(db);
    return db;
  };
  repairOutbox(path, open, () => false);
  const after = rowsOf(path);
  const counts = ['event', 'recent', 'usual_level', 'hearing', 'hour_summary', 'listening_day', 'would_be_event'].map((table) => after.get(table)?.length);
  expect(counts).toEqual([190, 61, 24, 1, 3, 1, 2]); // and the last numbers
});
