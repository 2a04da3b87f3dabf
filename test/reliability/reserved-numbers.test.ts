import { cpSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { beforeEach, expect, test } from 'vitest';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { hourSummary, limits } from '../support/samples.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tocsin-numbers-'));
  path = join(folder, 'outbox.db');
});
const openListener = (at = path) => openSqliteOutbox(at, limits, { repair: true, reserve: true });

/** What is left of an outbox where the WAL and its shared memory are lost: the file alone. */
function lost(): string {
  const left = join(mkdtempSync(join(folder, 'lost-')), 'outbox.db');
  cpSync(path, left);
  return left;
}

/** Brings what the WAL holds into the file. */
function checkpoint(): void {
  const db = new Database(path);
  db.pragma('wal_checkpoint(PASSIVE)');
  db.close();
}

test('hours that wait are still there after the next one, though its number is far behind theirs', () => {
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
