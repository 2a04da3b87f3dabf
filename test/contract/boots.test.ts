import { randomUUID } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { beforeEach, expect, test } from 'vitest';
import { forgetBoots, keptBoots, mostBoots } from '../../agent/outbox/boots.ts';
import { repairOutbox } from '../../agent/outbox/repair.ts';
import { openDatabase } from '../../agent/outbox/sqlite-database.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { viewOutbox } from '../../agent/outbox/view-outbox.ts';
import { bootId, hearingRecord, hourSummary, limits, recordedEvent } from '../support/samples.ts';

let path: string;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'tocsin-boots-')), 'outbox.db');
});
const open = (change = {}) => openSqliteOutbox(path, { ...limits, ...change }, { repair: true });

function addBoots(count: number): string[] {
  const ids = Array.from({ length: count }, () => randomUUID());
  const db = new Database(path);
  const insert = db.prepare('INSERT INTO boot (boot_id) VALUES (?)');
  db.transaction(() => {
    for (const id of ids) insert.run(id);
  })();
  db.close();
  return ids;
}

function boots(): string[] {
  const db = new Database(path, { readonly: true });
  const ids = db.prepare('SELECT boot_id FROM boot ORDER BY id').pluck().all() as string[];
  db.close();
  return ids;
}

test('10,000 old boots leave room in a 1 MB outbox for 100 events', () => {
  open().close();
  addBoots(10_000);
  const outbox = open({ maxMegabytes: 1 });
  for (let i = 1; i <= 100; i++) outbox.append(recordedEvent(i));
  expect(outbox.fates()).toMatchObject({ stored: 100, expired: 0 });
  outbox.close();
  expect(boots()).toHaveLength(keptBoots + 1);
});

test('a boot is kept while an event, an hour, the hearing record or a recent event refers to it, plus the newest others', () => {
  const [ofEvent, ofHour, ofHearing, ofRecent, told] = Array.from({ length: 5 }, () => randomUUID()) as [string, string, string, string, string];
  const others = Array.from({ length: mostBoots }, () => randomUUID());
  const first = open();
  first.append(recordedEvent(1, { bootId: ofRecent }));
  first.acknowledge([1]);
  first.append(recordedEvent(2, { bootId: ofEvent }));
  first.noteBoot(ofEvent, 1_795_000_000_000);
  first.writeSummary(hourSummary({ bootId: ofHour }));
  first.noteBoot(told, 1_796_000_000_000);
  first.writeSummary(hourSummary({ bootId: told }));
  first.summaryReported(2);
  first.writeHearing(hearingRecord({ bootId: ofHearing }));
  for (const id of others) first.noteBoot(id, 1_797_000_000_000);
  first.close();
  const outbox = open();
  const kept = [ofRecent, ofEvent, ofHour, ofHearing, ...others.slice(-keptBoots)];
  expect(boots()).toEqual(kept);
  expect(outbox.pending(0, 10)).toEqual([{ ...recordedEvent(2, { bootId: ofEvent }), sequence: 2, bootBeganMs: 1_795_000_000_000 }]);
  expect(outbox.summaries(10).map((hour) => hour.bootId)).toEqual([ofHour]);
  expect(outbox.readHearing()?.bootId).toBe(ofHearing);
  outbox.noteBoot(bootId, 1_798_000_000_000);
  outbox.close();
  const again = open();
  expect(boots()).toEqual([...kept, bootId]);
  expect(again.bootBegan(bootId)).toBe(1_798_000_000_000);
  again.close();
});

test('a boot referenced by a table of a later release is kept; while another program writes, no boot is removed', () => {
  open().close();
  const [later, ...others] = addBoots(1 + mostBoots);
  const db = openDatabase(path);
  db.exec('CREATE TABLE later (of_boot INTEGER NOT NULL REFERENCES boot) STRICT');
  db.prepare('INSERT INTO later SELECT id FROM boot WHERE boot_id = ?').run(later);
  const other = new Database(path);
  other.exec('BEGIN IMMEDIATE');
  db.pragma('busy_timeout = 0');
  forgetBoots(db);
  expect(boots()).toEqual([later, ...others]);
  other.close();
  forgetBoots(db);
  expect(boots()).toEqual([later, ...others.slice(-keptBoots)]);
  expect(() => db.prepare('DELETE FROM boot').run()).toThrow('FOREIGN KEY');
  db.close();
});

test('a repair keeps boots in order, with or without a start time, so the current boot is still the last', () => {
  const [first, second, third] = [randomUUID(), randomUUID(), randomUUID()];
  const outbox = open();
  outbox.noteBoot(first, 1_795_000_000_000);
  outbox.append(recordedEvent(1, { bootId: second })); // the clock was never set in this boot
  outbox.append(recordedEvent(2, { bootId: third }));
  outbox.noteBoot(third, 1_797_000_000_000);
  outbox.close();
  repairOutbox(path, openDatabase, () => false);
  expect(boots()).toEqual([first, second, third]);
  const view = viewOutbox(path);
  expect(view.state().boot).toEqual({ bootId: third, beganMs: 1_797_000_000_000 });
  view.close();
});

test('a repair keeps a boot whose start time the schema refuses at its place in the order', () => {
  const [first, second] = [randomUUID(), randomUUID()];
  const outbox = open();
  outbox.append(recordedEvent(1, { bootId: first }));
  outbox.noteBoot(second, 1_797_000_000_000);
  outbox.close();
  const db = new Database(path);
  db.pragma('ignore_check_constraints = ON');
  db.prepare('UPDATE boot SET began_wall_ms = -1 WHERE boot_id = ?').run(first);
  db.close();
  repairOutbox(path, openDatabase, () => false);
  expect(boots()).toEqual([first, second]);
});
