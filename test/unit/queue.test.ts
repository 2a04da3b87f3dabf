import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Queue } from '../../agent/delivery/queue.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { layBacklog } from '../support/backlog.ts';
import { fixedClock, limits, recordedEvent } from '../support/samples.ts';

const otherBoot = 'ffffffff-7d3a-4f5b-9c8d-1e2f3a4b5c6d';

/** A connection that begins in the tenth minute of the boot; events older than a minute are late. */
function connected(events: readonly Parameters<typeof recordedEvent>[]) {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-queue-')), 'outbox.db');
  const outbox = openSqliteOutbox(path, limits);
  onTestFinished(() => outbox.close());
  layBacklog(path, events.length, (i) => recordedEvent(...(events[i] as Parameters<typeof recordedEvent>)));
  const time = { ms: 600_000 };
  const flying = new Set<number>();
  const queue = new Queue(outbox, fixedClock({ monotonicMs: () => time.ms }), ({ sequence }) => flying.has(sequence), 60);
  const take = (room: number) => queue.take(room).map(({ sequence }) => sequence);
  return { outbox, time, flying, queue, take };
}
const minutes = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i): Parameters<typeof recordedEvent> => [first + i]);

test('after rewind() the queue hands out events in order again, except those in flight', () => {
  const { outbox, flying, queue, take } = connected(minutes(0, 7));
  expect(take(5)).toEqual([1, 2, 3, 4, 5]);
  for (const sequence of [2, 4]) flying.add(sequence);
  outbox.acknowledge([1]);
  queue.rewind();
  expect(take(3)).toEqual([3, 5, 6]);
  expect(take(8)).toEqual([7, 8]);
  outbox.append(recordedEvent(9));
  expect(take(8)).toEqual([9]);
});

test('events go in order for one second; after that, fresh events overtake those that were late when the connection began', () => {
  const { outbox, time, queue, take } = connected(minutes(1, 10));
  const passed = () => Array.from({ length: 12 }, (_, i) => i + 1).filter((sequence) => queue.passed(sequence));
  expect(take(2)).toEqual([1, 2]);
  expect(passed()).toEqual([1, 2]);
  outbox.append(recordedEvent(10, { onsetMonotonicMs: 600_001 }));
  time.ms += 1000;
  expect(take(2)).toEqual([3, 4]);
  time.ms += 1;
  expect(take(2)).toEqual([9, 10]); // the first events that were not late
  expect(passed()).toEqual([1, 2, 3, 4, 9, 10]);
  expect(take(3)).toEqual([11, 5, 6]);
  outbox.append(recordedEvent(10, { onsetMonotonicMs: 600_002 }));
  time.ms += 99;
  expect(take(1)).toEqual([7]); // fresh events are looked for every 0.1 s
  time.ms += 1;
  expect(take(3)).toEqual([12, 8]);
  outbox.append(recordedEvent(10, { onsetMonotonicMs: 600_003 }));
  expect(take(3)).toEqual([13]); // the backlog is finished
  expect(take(3)).toEqual([]);
  queue.rewind();
  expect(take(20)).toEqual(Array.from({ length: 13 }, (_, i) => i + 1));
});

test('a backlog larger than one read goes out completely and in order, never more at once than requested', () => {
  const { outbox, take, flying } = connected([...minutes(-600, -1), [10], [10], [10]]);
  const reads = vi.spyOn(outbox, 'pending');
  for (let sequence = 100; sequence <= 355; sequence++) flying.add(sequence); // acknowledged, but not yet deleted
  const taken: number[] = [];
  for (let more = take(50); more.length > 0; more = take(50)) {
    expect(more.length).toBeLessThanOrEqual(50);
    taken.push(...more);
  }
  expect(taken).toEqual(Array.from({ length: 603 }, (_, i) => i + 1).filter((sequence) => !flying.has(sequence)));
  for (const [, limit] of reads.mock.calls) expect(limit, 'however long it is').toBeLessThanOrEqual(256);
});

test('an event of an earlier boot is always late; without late events, fresh ones go out at once', () => {
  const { outbox, time, take } = connected([...minutes(1, 7), [9.5, { bootId: otherBoot }], [10]]);
  outbox.acknowledge([1, 2, 3, 4, 5, 6]);
  time.ms += 1001;
  expect(take(1)).toEqual([9]);
  expect(take(5)).toEqual([7, 8]);
  const fresh = connected(minutes(1, 10));
  fresh.outbox.acknowledge([1, 2, 3, 4, 5, 6, 7, 8]);
  expect(fresh.take(5)).toEqual([9, 10]);
});

test('passedAfter finds the first event that was handed out, is pending and is not in flight; newest finds the newest event', () => {
  const { outbox, time, flying, queue, take } = connected(minutes(1, 10));
  expect(take(4)).toEqual([1, 2, 3, 4]);
  time.ms += 1001;
  expect(take(2)).toEqual([9, 10]);
  const found = (after: number) => queue.passedAfter(after)?.sequence;
  outbox.acknowledge([1, 3]);
  flying.add(4);
  expect([0, 2, 9, 10].map(found)).toEqual([2, 9, 10, undefined]);
  flying.add(9);
  expect([2, 8].map(found)).toEqual([10, 10]);
  expect(queue.after(4)?.sequence).toBe(5);
  expect(queue.newest()?.sequence).toBe(10);
});

test('after reread() the queue skips events that were deleted since they were read', () => {
  const { outbox, queue, take } = connected(minutes(1, 10));
  expect(take(2)).toEqual([1, 2]);
  outbox.acknowledge([3, 4]);
  queue.reread();
  expect(take(3)).toEqual([5, 6, 7]);
  queue.reread();
  expect(take(10)).toEqual([8, 9, 10]);
});

test.each([
  ['3,700 late events', -1, 3701],
  ['3,700 events of the last minute (only 3,600 events are searched)', 10, 103],
])('the fresh events behind %s are found', (_, minute, first) => {
  const { time, take, queue } = connected([...Array.from({ length: 3700 }, (_, i): Parameters<typeof recordedEvent> => [minute - i / 1e6]), [10], [10]]);
  expect(take(1)).toEqual([1]);
  time.ms += 1001;
  expect(take(2)).toEqual([first, first + 1]);
  expect(queue.newest()?.sequence).toBe(3702);
});
