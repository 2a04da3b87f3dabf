import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Queue } from '../../agent/delivery/queue.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { layBacklog } from '../support/backlog.ts';
import { fixedClock, limits, recordedEvent } from '../support/samples.ts';

const otherBoot = 'ffffffff-7d3a-4f5b-9c8d-1e2f3a4b5c6d';

/** A connection that begins in the tenth minute of the boot; what is older than a minute is late. */
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

test('what is handed out again is handed out in order, without what is under way', () => {
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

test('all go in order for a second; then what is fresh, and what is heard meanwhile, overtakes what was late when the connection began', () => {
  const { outbox, time, queue, take } = connected(minutes(1, 10));
  const passed = () => Array.from({ length: 12 }, (_, i) => i + 1).filter((sequence) => queue.passed(sequence));
  expect(take(2)).toEqual([1, 2]);
  expect(passed()).toEqual([1, 2]);
  outbox.append(recordedEvent(10, { onsetMonotonicMs: 600_001 }));
  time.ms += 1000;
  expect(take(2)).toEqual([3, 4]);
  time.ms += 1;
  expect(take(2)).toEqual([9, 10]); // the first that were not late
  expect(passed()).toEqual([1, 2, 3, 4, 9, 10]);
  expect(take(3)).toEqual([11, 5, 6]);
  outbox.append(recordedEvent(10, { onsetMonotonicMs: 600_002 }));
  time.ms += 99;
  expect(take(1)).toEqual([7]); // fresh ones are looked for each tenth of a second
  time.ms += 1;
  expect(take(3)).toEqual([12, 8]);
  outbox.append(recordedEvent(10, { onsetMonotonicMs: 600_003 }));
  expect(take(3)).toEqual([13]); // the backlog is through
  expect(take(3)).toEqual([]);
  queue.rewind();
  expect(take(20)).toEqual(Array.from({ length: 13 }, (_, i) => i + 1));
});

test('a backlog of more than is read at once goes out whole and in order, what is fresh behind it; no more than asked for', () => {
  const { outbox, take, flying } = connected([...minutes(-600, -1), [10], [10], [10]]);
  const reads = vi.spyOn(outbox, 'pending');
  for (let sequence = 100; sequence <= 355; sequence++) flying.add(sequence); // acknowledged, and not deleted yet
  const taken: number[] = [];
  for (let more = take(50); more.length > 0; more = take(50)) {
    expect(more.length).toBeLessThanOrEqual(50);
    taken.push(...more);
  }
  expect(taken).toEqual(Array.from({ length: 603 }, (_, i) => i + 1).filter((sequence) => !flying.has(sequence)));
  for (const [, limit] of reads.mock.calls) expect(limit, 'however long it is').toBeLessThanOrEqual(256);
});

test('an event of an earlier boot is late, whenever that was; where all that is late has gone, what is fresh waits for nothing', () => {
  const { outbox, time, take } = connected([...minutes(1, 7), [9.5, { bootId: otherBoot }], [10]]);
  outbox.acknowledge([1, 2, 3, 4, 5, 6]);
  time.ms += 1001;
  expect(take(1)).toEqual([9]);
  expect(take(5)).toEqual([7, 8]);
  const fresh = connected(minutes(1, 10));
  fresh.outbox.acknowledge([1, 2, 3, 4, 5, 6, 7, 8]);
  expect(fresh.take(5)).toEqual([9, 10]);
});

test('of what was handed out, on both sides of what was not, the first that is pending still and not under way is found; and the newest of all', () => {
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

test('what was read and has gone since is not handed out once it is read again', () => {
  const { outbox, queue, take } = connected(minutes(1, 10));
  expect(take(2)).toEqual([1, 2]);
  outbox.acknowledge([3, 4]);
  queue.reread();
  expect(take(3)).toEqual([5, 6, 7]);
  queue.reread();
  expect(take(10)).toEqual([8, 9, 10]);
});

test.each([
  ['3,700 that are late', -1, 3701],
  ['3,700 of the last minute, for no more than an hour of them is looked at', 10, 103],
])('behind %s are fresh', (_, minute, first) => {
  const { time, take, queue } = connected([...Array.from({ length: 3700 }, (_, i): Parameters<typeof recordedEvent> => [minute - i / 1e6]), [10], [10]]);
  expect(take(1)).toEqual([1]);
  time.ms += 1001;
  expect(take(2)).toEqual([first, first + 1]);
  expect(queue.newest()?.sequence).toBe(3702);
});
