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

/** An outbox of so many events, a minute apart, without those that the platform has. */
function outboxOf(events: number, sent: readonly number[]): Outbox {
  openSqliteOutbox(path, limits).close();
  layBacklog(path, events, (i) => recordedEvent(i + 1));
  const outbox = openSqliteOutbox(path, limits);
  outbox.acknowledge(sent);
  return outbox;
}

/** Removes those up to that number. */
const expireTo = (outbox: Outbox, number: number) => outbox.expire({ bootId, monotonicMs: (number + 1) * 60_000 }, 30_000);
const spans = (outbox: Outbox) => outbox.gaps(100).map(({ first, last, reason }) => `${first}-${last} ${reason}`);

test('what is removed becomes one gap where numbers follow one another, also those of the call before', () => {
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

test('a gap before it of another reason, or that does not reach it, stays as it is', () => {
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

test('a gap that damage put where an event is does not keep that from expiring, nor what is heard from being stored', () => {
  const outbox = outboxOf(6, []);
  const db = new Database(path);
  db.exec("INSERT INTO gap VALUES (1, 1, 'dropped'), (5, 9, 'unreadable')");
  db.close();
  expect(expireTo(outbox, 4)).toBe(4);
  expect(expireTo(outbox, 6)).toBe(2);
  expect(spans(outbox)).toEqual(['1-4 dropped', '5-9 unreadable']);
  outbox.close();
});

test('to note gaps costs a statement or two for each, by its key, however many there are', () => {
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
