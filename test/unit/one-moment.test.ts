// A reader of the outbox sees one moment. The test writes between two of its reads, as the other process might.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { inspectOutbox, schemaOf, schemaOfRelease } from '../../agent/outbox/view-outbox.ts';
import { listeningDays } from '../support/damaged-outbox.ts';
import { healthCourier } from '../support/health-courier.ts';
import { openOlderOutbox, versions } from '../support/older-outbox.ts';
import { hearingRecord, limits, recordedEvent, thresholdRecord } from '../support/samples.ts';

const newPath = () => join(mkdtempSync(join(tmpdir(), 'tocsin-moment-')), 'outbox.db');

function openListener(path: string): Outbox {
  const listener = openSqliteOutbox(path, limits);
  onTestFinished(() => listener.close());
  return listener;
}

/**
 * Calls `write` once, just before the next SQL that contains these words. The returned function tells whether it was
 * called.
 */
function before(name: 'prepare' | 'pragma', words: string, write: () => void): () => boolean {
  const original = Database.prototype[name] as (this: Database.Database, sql: string, ...more: never[]) => never;
  let isWritten = false;
  const spy = vi.spyOn(Database.prototype, name).mockImplementation(function (this: Database.Database, sql: string, ...more: never[]) {
    if (sql.includes(words)) {
      spy.mockRestore();
      write();
      isWritten = true;
    }
    return original.call(this, sql, ...more);
  });
  onTestFinished(() => spy.mockRestore());
  return () => isWritten;
}

test('the counts and the oldest pending event, for `status` and `outbox`, are of one moment', () => {
  const path = newPath();
  const listener = openListener(path);
  const isWritten = before('prepare', 'SELECT count(*) FROM event', () => listener.append(recordedEvent(0)));
  const { pending, oldest, fates } = inspectOutbox(path);
  expect([isWritten(), pending, fates.stored, oldest]).toEqual([true, 0, 0, undefined]);
  expect(inspectOutbox(path)).toMatchObject({ pending: 1, fates: { stored: 1 }, oldest: { sequence: 1 } });
});

test('the days of listening and their counts are of one moment', () => {
  const path = newPath();
  const listener = openListener(path);
  listener.addThresholdCounts(thresholdRecord());
  const [day] = listeningDays(path);
  const isWritten = before('prepare', 'FROM would_be_event', () => listener.addThresholdCounts(thresholdRecord()));
  expect([listeningDays(path), isWritten()]).toEqual([[day], true]);
});

test('the schema check of an outbox is of one moment, even if a process migrates the outbox meanwhile', () => {
  const path = newPath();
  openOlderOutbox(path, versions - 1).close();
  const isWritten = before('pragma', 'quick_check', () => openSqliteOutbox(path, limits).close());
  expect([schemaOf(path).earlier, isWritten()]).toEqual([true, true]);
  expect(schemaOf(path)).toEqual({ text: schemaOfRelease(), sound: true, earlier: false });
});

test('the counts that health publishes are of one moment', async () => {
  const path = newPath();
  const listener = openListener(path);
  const courier = openSqliteOutbox(path, limits);
  onTestFinished(() => courier.close());
  let stored = 0;
  const behind = new Proxy(courier, {
    get: (_, name: keyof Outbox) => {
      const value = courier[name];
      if (typeof value !== 'function') return value;
      return (...args: never[]) => {
        const answer = (value as (...args: never[]) => unknown).apply(courier, args);
        // after each of its reads
        if (['pending', 'pendingCount', 'fates'].includes(name)) listener.append(recordedEvent(stored++));
        return answer;
      };
    },
  });
  const { at } = healthCourier(behind);
  for (let i = 0; i < 3; i++) {
    const known = stored;
    listener.writeHearing(hearingRecord({ writtenMonotonicMs: 100_000 + i * 1000 }));
    const { outbox } = await at(100_500 + i * 1000);
    expect(outbox.pending).toBe(outbox.stored);
    expect(outbox.pending).toBe(known);
    expect('oldestSeconds' in outbox, 'of those that are counted').toBe(known > 0);
  }
});
