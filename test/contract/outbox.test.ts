import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import type { ThresholdRecord } from '../../agent/events/threshold-counts.ts';
import { microphoneFaults } from '../../agent/lib/faults.ts';
import { schemaSql } from '../../agent/outbox/migrate.ts';
import { openPatientOutbox } from '../../agent/outbox/patient-outbox.ts';
import { isDamage } from '../../agent/outbox/sqlite.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { viewOutbox } from '../../agent/outbox/view-outbox.ts';
import { hearingRecord, hourSummary, limits, recordedEvent, silentLogger, thresholdRecord } from '../support/samples.ts';

const original = Database.prototype.pragma;
let path: string;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'tocsin-outbox-')), 'outbox.db');
});
const open = (change = {}) => openSqliteOutbox(path, { ...limits, ...change });
const openAsHalf = (change = {}) => openPatientOutbox({ path, open: () => open(change), isDamage, logger: silentLogger });

describe.each([
  ['opened by a command', open],
  ['opened by the listener or courier', openAsHalf],
])('an outbox %s', (_, open) => {
  test('an event reads back as it was stored, to the precision of the columns', () => {
    const outbox = open();
    const event = recordedEvent(1, { soundPressureLevelDb: 91 });
    expect(outbox.append(event)).toBe('stored');
    expect(outbox.pending(0, 10)).toEqual([{ ...event, sequence: 1 }]);
    outbox.close();
  });

  test('events survive a restart, keep their order and leave only when acknowledged', () => {
    const first = open();
    for (let i = 0; i < 5; i++) first.append(recordedEvent(i));
    const { id } = first;
    first.close();
    const outbox = open();
    expect(outbox.id).toBe(id);
    expect(outbox.pending(0, 3).map((e) => e.sequence)).toEqual([1, 2, 3]);
    outbox.acknowledge([1, 3]);
    expect(outbox.pending(0, 10).map((e) => e.sequence)).toEqual([2, 4, 5]);
    outbox.acknowledge([3]);
    expect(outbox.fates()).toEqual({ stored: 5, sent: 2, expired: 0, refused: 0, dropped: 0, unreadable: 0 });
    outbox.acknowledge([2, 4, 5]);
    outbox.append(recordedEvent(9));
    const sameOnset = [{ label: 'bang' }, { bootId: 'ffffffff-7d3a-4f5b-9c8d-1e2f3a4b5c6d' }] as const; // as one that was sent, and one that waits
    for (const i of [4, 9]) for (const change of sameOnset) expect(outbox.append(recordedEvent(i, change))).toBe('stored');
    expect(outbox.pending(0, 11).map((e) => e.sequence)).toEqual([6, 7, 8, 9, 10]);
    outbox.close();
  });

  test('events over the rate limit are refused and counted, except for one that is stored already', () => {
    const outbox = open({ maxEventsPerMinute: 3 });
    const fates = [0, 1, 2, 3, 4].map((i) => outbox.append(recordedEvent(0, { onsetMonotonicMs: 1000 * i })));
    expect(fates).toEqual(['stored', 'stored', 'stored', 'refused', 'refused']);
    for (const onsetMonotonicMs of [2000, 70_000]) expect(outbox.append(recordedEvent(0, { onsetMonotonicMs }))).toBe('stored');
    expect(outbox.fates()).toMatchObject({ stored: 4, refused: 2 });
    outbox.close();
  });

  test('old events expire and are counted; events stored with an unsynchronised clock do not expire', () => {
    const outbox = open();
    outbox.append(recordedEvent(0));
    outbox.append(recordedEvent(1, { onsetWallMs: 1000, clockSynchronised: false }));
    outbox.append(recordedEvent(60 * 24 * 31));
    expect(outbox.expire({ bootId: 'another', monotonicMs: 0, wallMs: recordedEvent(60 * 24 * 31).onsetWallMs }, 30 * 86_400_000)).toBe(1);
    expect(outbox.pendingCount()).toBe(2);
    expect(outbox.fates().expired).toBe(1);
    outbox.close();
  });

  test('an event of unknown age expires if a later one is too old; events at exactly the maximum age stay', () => {
    const outbox = open();
    const unknown = { onsetWallMs: 1000, clockSynchronised: false };
    for (const [minute, change] of [[0], [1, unknown], [2], [3, unknown], [4], [5, unknown], [10], [11, unknown]] as const)
      outbox.append(recordedEvent(minute, change));
    const now = { bootId: 'another', monotonicMs: 0, wallMs: recordedEvent(10).onsetWallMs };
    expect(outbox.expire(now, 6 * 60_000)).toBe(3);
    expect(outbox.pending(0, 10).map(({ sequence }) => sequence)).toEqual([4, 5, 6, 7, 8]);
    outbox.close();
  });

  test('events that the other process acknowledges during expiry are counted once and are in no gap', () => {
    const [outbox, other] = [open(), open()];
    for (let i = 1; i <= 5; i++) outbox.append(recordedEvent(i));
    const now = {
      bootId: recordedEvent(1).bootId,
      get monotonicMs() {
        other.acknowledge([1, 2]);
        return 100 * 60_000;
      },
    };
    expect(outbox.expire(now, 96.5 * 60_000)).toBe(1);
    expect(outbox.fates()).toMatchObject({ stored: 5, sent: 2, expired: 1 });
    expect(outbox.gaps(10)).toEqual([{ first: 3, last: 3, reason: 'too_old' }]);
    expect([outbox.pendingCount(), outbox.pending(0, 10).length]).toEqual([2, 2]);
    outbox.close();
    other.close();
  });

  test.each([
    ['expired', 100, { expired: 100, stored: 105 }],
    ['stored', 7, { stored: 7, unreadable: 2 }],
  ])('opening the outbox corrects a wrong event count (%s: %d); until then the pending count is never below 0', (fate, events, settled) => {
    const outbox = open();
    for (let i = 1; i <= 5; i++) outbox.append(recordedEvent(i));
    const db = new Database(path);
    db.prepare('UPDATE fate SET events = ? WHERE name = ?').run(events, fate);
    db.close();
    expect(outbox.pendingCount()).toBe(fate === 'stored' ? 7 : 0);
    outbox.close();
    const again = open();
    expect(again.pendingCount()).toBe(5);
    expect(again.fates()).toMatchObject(settled);
    again.close();
  });

  test('the single hearing record and the usual levels are replaced on write and read back at column precision', () => {
    const outbox = open();
    expect(outbox.readHearing()).toBeUndefined();
    outbox.writeHearing(hearingRecord());
    const named = { state: 'deaf', fault: 'wrong_device', suspicion: 'covered' } as const;
    const record = hearingRecord({ ...named, noiseFloorDb: -58, listenedSeconds: 12.345, intervalSeconds: 600 });
    outbox.writeHearing(record);
    expect(outbox.readHearing()).toEqual(record);
    for (const fault of ['none', ...microphoneFaults] as const) outbox.writeHearing(hearingRecord({ fault }));
    const usual = { hour: 3, quarters: 5, floorDb: -61.25, loudDb: -40 };
    outbox.writeHearing(record, [usual, { hour: 3, quarters: 6, floorDb: -62.25, loudDb: -41 }]);
    expect(outbox.readUsualLevels()).toEqual([{ hour: 3, quarters: 6, floorDb: -62.25, loudDb: -41 }]);
    outbox.close();
  });

  test('100 model versions, each used for a while, fit into the model table', () => {
    const outbox = open();
    for (let i = 0; i < 100; i++) {
      expect(outbox.append(recordedEvent(i, { model: { name: 'street', version: `0.${i}.0` } }))).toBe('stored');
      if (i >= 10) outbox.acknowledge([i - 9]);
    }
    expect(outbox.pending(0, 100).map((e) => e.model.version)).toEqual(Array.from({ length: 10 }, (_, i) => `0.${90 + i}.0`));
    outbox.close();
  });

  test('an event with a wall clock far out of bounds is still stored', () => {
    const outbox = open();
    for (const onsetWallMs of [-40 * 86_400_000, 4e13])
      expect(outbox.append(recordedEvent(0, { onsetWallMs, onsetMonotonicMs: onsetWallMs % 1e9 }))).toBe('stored');
    outbox.close();
  });

  test('threshold counts fill days of listening until a day is full or the recognition changes; the last 60 days are kept', () => {
    const outbox = open();
    const hours = (count: number, change: Partial<ThresholdRecord> = {}) => {
      for (let i = 0; i < count; i++) outbox.addThresholdCounts(thresholdRecord(change));
    };
    const days = () => {
      const view = viewOutbox(path);
      const found = view.listeningDays();
      view.close();
      return found;
    };
    hours(1);
    hours(1, { utcDay: 20_500 });
    hours(1, { utcDay: 20_501 });
    expect(days()).toEqual([
      {
        day: 1,
        model: { name: 'street', version: '0.1.0' },
        operatingPoint: 'balanced',
        recognition: 7,
        firstUtcDay: 20_500,
        lastUtcDay: 20_501,
        seconds: 10_800,
        counts: [
          { label: 'glass_break', step: 20, events: 6 },
          { label: 'bang', step: 44, events: 3 },
        ],
      },
    ]);
    hours(22);
    // hours without a date leave the dates of their day
    expect(days().map(({ day, seconds, firstUtcDay, lastUtcDay }) => [day, seconds, firstUtcDay, lastUtcDay])).toEqual([
      [2, 3600, undefined, undefined],
      [1, 86_400, 20_500, 20_501],
    ]);
    hours(1, { operatingPoint: 'strict' });
    hours(1, { model: { name: 'street', version: '0.2.0' } });
    hours(1, { model: { name: 'street', version: '0.2.0' }, recognition: 8 });
    hours(24 * 70);
    expect(days()).toHaveLength(60);
    expect(days().at(0)?.day).toBe(75);
    expect(days().at(-1)?.counts.length).toBe(2);
    outbox.close();
    const db = new Database(path);
    expect(() => db.exec('INSERT INTO listening_day VALUES (99, 1, 0, NULL, NULL, 0, NULL)')).toThrow('more than 60 days');
    expect(db.prepare('SELECT count(DISTINCT day) FROM would_be_event').pluck().get()).toBe(60);
    db.close();
  });
});

test('the writing connection uses WAL and synchronous=FULL', () => {
  const asked: string[] = [];
  const pragma = vi.spyOn(Database.prototype, 'pragma').mockImplementation(function (this: Database.Database, ...args) {
    asked.push(String(args[0]));
    return original.apply(this, args as never) as never;
  });
  const outbox = open();
  pragma.mockRestore();
  expect(asked).toContain('synchronous = FULL');
  outbox.close();
  const db = new Database(path);
  expect(db.pragma('journal_mode', { simple: true })).toBe('wal');
  db.close();
});

test('the schema is closed: its columns refuse free text, blobs, unknown labels and out-of-range values', () => {
  const outbox = open();
  outbox.append(recordedEvent(0));
  outbox.writeHearing(hearingRecord(), [{ hour: 3, quarters: 5, floorDb: -61.25, loudDb: -40 }]);
  outbox.writeSummary(hourSummary({ splAtFullScaleDb: 118 }));
  outbox.addThresholdCounts(thresholdRecord());
  outbox.close();
  const db = new Database(path);
  const refused = (sql: string) => expect(() => db.exec(sql), sql).toThrow();
  for (const table of ['event', 'hearing', 'usual_level', 'hour_summary', 'listening_day', 'would_be_event'])
    for (const { name } of db.pragma(`table_info(${table})`) as { name: string }[]) {
      refused(`UPDATE ${table} SET ${name} = 'what was said'`);
      refused(`UPDATE ${table} SET ${name} = x'52494646'`);
      refused(`UPDATE ${table} SET ${name} = 99999999999999999`);
    }
  refused('INSERT INTO hearing SELECT 2, boot, model, 0, 0, state, fault, suspicion, 0, 0, 0, 1, NULL FROM hearing');
  refused('INSERT INTO usual_level VALUES (24, 1, 0, 0)');
  refused("INSERT INTO label VALUES (4, 'speech')");
  refused("INSERT INTO boot VALUES (9, 'what was said, and by whom, in words')");
  refused("INSERT INTO model VALUES (9, 'what was said', '1')");
  refused("INSERT INTO fate VALUES ('heard', 1)");
  refused("UPDATE outbox SET id = 'what was said   '");
  const free = db
    .prepare(
      "SELECT m.name || '.' || c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND c.type NOT IN ('INTEGER')",
    )
    .pluck()
    .all();
  expect(free).toEqual([
    'outbox.id',
    'label.name',
    'boot.boot_id',
    'model.name',
    'model.version',
    'gap.reason',
    'fate.name',
    'hearing.state',
    'hearing.fault',
    'hearing.suspicion',
  ]);
  const strict = db
    .prepare("SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite_%' AND strict = 0")
    .pluck()
    .get();
  expect(strict).toBe(0);
  db.close();
});

test('a file of a later release is refused and not set aside; a file that is not a database is refused', () => {
  open().close();
  const db = new Database(path);
  db.exec('CREATE TABLE later (id INTEGER PRIMARY KEY) STRICT');
  db.pragma('user_version = 99');
  db.close();
  for (const repair of [false, true]) expect(() => openSqliteOutbox(path, limits, { repair })).toThrow(/Expected schema version \d+ or an earlier one, got 99/);
  expect(readdirSync(dirname(path)).filter((name) => name.includes('damaged'))).toEqual([]);
  path = import.meta.filename;
  expect(() => open()).toThrow(/Expected an outbox at/);
});

test('every migration changes the schema, so that a later release is told apart from a damaged version number', () => {
  const db = new Database(':memory:');
  const schemas = readdirSync('agent/outbox/migrations').map((name) => {
    db.exec(readFileSync(`agent/outbox/migrations/${name}`, 'utf8'));
    return JSON.stringify(db.prepare(schemaSql).all());
  });
  db.close();
  expect(new Set(schemas).size).toBe(schemas.length);
});

test('an outbox of schema version 1 is migrated and keeps its id', () => {
  const first = new Database(path);
  first.pragma('page_size = 1024');
  first.exec(readFileSync('agent/outbox/migrations/000001.sql', 'utf8'));
  first.pragma('user_version = 1');
  const id = first.prepare('SELECT id FROM outbox').pluck().get();
  first.close();
  const outbox = open();
  expect(outbox.id).toBe(id);
  outbox.writeHearing(hearingRecord());
  expect(outbox.readHearing()).toEqual(hearingRecord());
  outbox.close();
});
