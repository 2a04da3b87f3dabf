import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test, vi } from 'vitest';
import { OutboxError } from '../../agent/lib/errors.ts';
import { Arrived } from '../../agent/outbox/arrived.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { layBacklog } from '../support/backlog.ts';
import { range } from '../support/damaged-outbox.ts';
import { openPatient } from '../support/patient.ts';
import { hourSummary, limits, recordedEvent } from '../support/samples.ts';

let path: string;
let room: number; // events whose deletion the disk still accepts; a transaction of more than 500 never fits
let reads: number;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'tocsin-arrived-')), 'outbox.db');
  openSqliteOutbox(path, limits).close();
  layBacklog(path, 6000, (i) => recordedEvent(i));
  reads = 0;
});

const open = () => {
  const outbox = openSqliteOutbox(path, limits);
  const { acknowledge, pending } = outbox;
  outbox.acknowledge = (sequences) => {
    if (sequences.length > Math.min(room, 500)) throw new OutboxError('Expected to write the outbox, got: a full disk', 'free space');
    acknowledge.call(outbox, sequences);
    room -= sequences.length;
  };
  outbox.pending = (after, limit) => {
    reads++;
    return pending.call(outbox, after, limit);
  };
  return outbox;
};

/** The number of pending events in the file itself. */
function left(): number {
  const file = openSqliteOutbox(path, limits);
  const count = file.pendingCount();
  file.close();
  return count;
}

test('acknowledged events that the disk could not delete are deleted in batches once it can, and are never pending again', () => {
  const outbox = openPatient(path, { open, retryMs: 1e6 });
  room = 0;
  for (let after = 0; after < 5500; after += 250) outbox.acknowledge(range(after + 1, after + 250));
  expect([left(), outbox.pendingCount(), outbox.fates().sent]).toEqual([6000, 500, 5500]);
  room = 600;
  outbox.acknowledge([5501]);
  expect([left(), outbox.pendingCount(), outbox.fates().sent]).toEqual([6000 - 512, 499, 5501]);
  // not all in one call, which would block the event loop
  room = 1e6;
  outbox.acknowledge([5502]);
  expect(left()).toBe(6000 - 512 - 4096);
  outbox.acknowledge([5503]);
  expect([left(), outbox.pendingCount(), outbox.fates().sent]).toEqual([497, 497, 5503]);
});

test('the next pending event behind 5,500 undeletable ones is found in fewer than 30 reads', () => {
  const outbox = openPatient(path, { open, retryMs: 1e6 });
  room = 0;
  outbox.acknowledge(range(1, 5500));
  expect(outbox.pending(0, 1)[0]?.sequence).toBe(5501);
  expect(reads).toBeLessThan(30);
});

// sixteen such writes in a row would block the courier for longer than its watchdog waits, and keep the listener from
// writing
test.each(['events', 'gaps', 'summaries'] as const)('what was delivered of an outbox deletes nothing in the one found in its place: %s', (kind) => {
  const found = openSqliteOutbox(join(mkdtempSync(join(tmpdir(), 'tocsin-arrived-')), 'outbox.db'), limits);
  found.append(recordedEvent(1));
  found.drop(1);
  found.writeSummary(hourSummary());
  const state = () => [found.pendingCount(), found.gaps(9), found.summaries(9).length];
  const before = state();
  const arrived = new Arrived();
  arrived.events.add(1);
  arrived.summaries.add(1);
  for (const gap of found.gaps(1)) arrived.gaps.set(gap.first, gap);
  for (const other of ['events', 'gaps', 'summaries'] as const) if (other !== kind) arrived[other].clear();
  expect(arrived.any).toBe(true);
  arrived.delete((work) => {
    arrived.forget(); // as on opening it
    work(found);
  });
  expect(state()).toEqual(before);
});

test('on a disk that takes 5 s per write, one deletion is made at a time, and the outbox is then left unlocked for as long', () => {
  let nowMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  room = 0;
  const outbox = openPatient(path, {
    retryMs: 1e6,
    open() {
      const inner = open();
      for (const kind of ['acknowledge', 'gapReported', 'summaryReported'] as const) {
        const write = inner[kind] as (of: never) => void;
        inner[kind] = (of: never) => {
          if (room === 0) throw new OutboxError('Expected to write the outbox, got: database is locked', 'wait');
          nowMs += 5000;
          write.call(inner, of);
        };
      }
      return inner;
    },
  });
  outbox.drop(1);
  outbox.append(recordedEvent(7000));
  outbox.drop(1);
  for (const gap of outbox.gaps(2)) outbox.gapReported(gap);
  outbox.writeSummary(hourSummary());
  outbox.writeSummary(hourSummary({ beganMonotonicMs: 3_600_000 }));
  for (const { sequence } of outbox.summaries(2)) outbox.summaryReported(sequence);
  outbox.acknowledge(range(1, 600));
  room = 1e6;
  const writeAt = (ms: number, sequence: number) => {
    nowMs = ms;
    outbox.acknowledge([sequence]);
    const file = openSqliteOutbox(path, limits);
    return [left(), file.gaps(9).length, file.summaries(9).length, nowMs - ms];
  };
  expect(writeAt(0, 601)).toEqual([6001 - 256, 2, 2, 5000]);
  expect(writeAt(9000, 602)).toEqual([6001 - 256, 2, 2, 0]);
  expect(writeAt(10_000, 603)).toEqual([6001 - 512, 2, 2, 5000]);
  expect(writeAt(20_000, 604)).toEqual([6001 - 604, 2, 2, 5000]);
  expect(writeAt(30_000, 605)).toEqual([6001 - 605, 2, 2, 5000]);
  const laterAt = (ms: number) => {
    nowMs = ms;
    outbox.summaryReported(0);
    const file = openSqliteOutbox(path, limits);
    return [file.gaps(9).length, file.summaries(9).length];
  };
  expect([laterAt(40_000), laterAt(50_000), laterAt(60_000)]).toEqual([
    [1, 2],
    [0, 2],
    [0, 1],
  ]);
  expect(outbox.summaries(9), 'what is still to be deleted is not sent again').toEqual([]);
  vi.restoreAllMocks();
});
