import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { beforeEach, expect, test, vi } from 'vitest';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { layBacklog } from '../support/backlog.ts';
import { bootId, limits, recordedEvent } from '../support/samples.ts';

const prepare = Database.prototype.prepare;
let path: string;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'tocsin-gaps-')), 'outbox.db');
});

/** Opens an outbox with this many events, one minute apart, of which `sent` are acknowledged. */
function outboxOf(events: number, sent: readonly number[]): Outbox {
  openSqliteOutbox(path, limits).close();
  layBacklog(path, events, (i) => recordedEvent(i + 1));
  const outbox = openSqliteOutbox(path, limits);
  outbox.acknowledge(sent);
  return outbox;
}

/** Expires the events up to and including this sequence number. */
const expireTo = (outbox: Outbox, number: number) => outbox.expire({ bootId, monotonicMs: (number + 1) * 60_000 }, 30_000);
const spans = (outbox: Outbox) => outbox.gaps(100).map(({ first, last, reason }) => `${first}-${last} ${reason}`);

test('removed events with consecutive numbers form one gap, which also extends the gap of an earlier call', () => {
  const outbox = outboxOf(20, [4, 7, 8, 13]);
  expect(expireTo(outbox, 10)).toBe(7);
  expect(spans(outbox)).toEqual(['1-3 too_old', '5-6 too_old', '9-10 too_old']);
  expect(expireTo(outbox, 15)).toBe(4);
  expect(spans(outbox)).toEqual(['1-3 too_old', '5-6 too_old', '9-12 too_old', '14-15 too_old']);
  outbox.drop(2);
  outbox.drop(1);
  expect(spans(outbox).at(-1)).toBe('21-23 dropped');
  expect(expireTo(outbox, 20)).toBe(5);
  expect(spans(outbox).slice(-2)).toEqual(['14-20 too_old', '21-23 dropped']);
  outbox.close();
});

test('a preceding gap with another reason, or one that is not adjacent, stays unchanged', () => {
  const outbox = outboxOf(6, [3]);
  const db = new Database(path);
  db.exec("DELETE FROM event WHERE sequence IN (1, 2); INSERT INTO gap VALUES (1, 3, 'unreadable')");
  db.close();
  expect(expireTo(outbox, 4)).toBe(1);
  outbox.gapReported({ first: 4, last: 4, reason: 'too_old' });
  expect(expireTo(outbox, 6)).toBe(2);
  expect(spans(outbox)).toEqual(['1-3 unreadable', '5-6 too_old']);
  outbox.close();
});

test('a damaged gap row that overlaps stored events does not stop those events from expiring', () => {
  const outbox = outboxOf(6, []);
  const db = new Database(path);
  db.exec("INSERT INTO gap VALUES (1, 1, 'dropped'), (5, 9, 'unreadable')");
  db.close();
  expect(expireTo(outbox, 4)).toBe(4);
  expect(expireTo(outbox, 6)).toBe(2);
  expect(spans(outbox)).toEqual(['1-4 dropped', '5-9 unreadable']);
  outbox.close();
});

test('recording a gap takes two keyed statements and no table scan, however many gaps there are', () => {
  const asked = new Map<string, number>();
  const spy = vi.spyOn(Database.prototype, 'prepare').mockImplementation(function (this: Database.Database, sql: string) {
    const statement = prepare.call(this, sql);
    const run = statement.run.bind(statement) as (...bound: unknown[]) => Database.RunResult;
    const counted = (...bound: unknown[]) => {
      asked.set(sql, (asked.get(sql) ?? 0) + 1);
      return run(...bound);
    };
    if (/\bgap\b/.test(sql) && !sql.startsWith('SELECT')) Object.assign(statement, { run: counted });
    return statement;
  });
  const sent = Array.from({ length: 60 }, (_, i) => 10 * i + 1);
  const outbox = outboxOf(600, sent);
  expect(expireTo(outbox, 600)).toBe(540);
  spy.mockRestore();
  expect(outbox.gaps(100)).toHaveLength(60);
  outbox.close();
  expect([...asked.values()].reduce((sum, count) => sum + count, 0)).toBe(120);
  const db = new Database(path);
  const plans = [...asked.keys()].flatMap((sql) => db.prepare(`EXPLAIN QUERY PLAN ${sql.replaceAll(/@\w+|\?/g, '1')}`).all() as { detail: string }[]);
  expect(plans.map(({ detail }) => detail).filter((detail) => detail.startsWith('SCAN'))).toEqual([]);
  db.close();
});
