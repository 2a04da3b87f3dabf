import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { OutboxError } from '../../agent/lib/errors.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { layBacklog } from '../support/backlog.ts';
import { range } from '../support/damaged-outbox.ts';
import { openPatient } from '../support/patient.ts';
import { limits, recordedEvent } from '../support/samples.ts';

let path: string;
let room: number; // events that the disk takes deletes of; a transaction of more than 500 fits in no case
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

/** What waits in the file itself. */
function left(): number {
  const file = openSqliteOutbox(path, limits);
  const count = file.pendingCount();
  file.close();
  return count;
}

test('what was delivered while the disk took no deletes is deleted a little at a time, and what went is not asked for again', () => {
  const outbox = openPatient(path, { open, retryMs: 1e6 });
  room = 0;
  for (let after = 0; after < 5500; after += 250) outbox.acknowledge(range(after + 1, after + 250));
  expect([left(), outbox.pendingCount(), outbox.fates().sent]).toEqual([6000, 500, 5500]);
  room = 600;
  outbox.acknowledge([5501]);
  expect([left(), outbox.pendingCount(), outbox.fates().sent]).toEqual([6000 - 512, 499, 5501]);
  // not all in one call: the event loop stands still meanwhile
  room = 1e6;
  outbox.acknowledge([5502]);
  expect(left()).toBe(6000 - 512 - 4096);
  outbox.acknowledge([5503]);
  expect([left(), outbox.pendingCount(), outbox.fates().sent]).toEqual([497, 497, 5503]);
});

test('the next event behind months of delivered ones is found in few reads', () => {
  const outbox = openPatient(path, { open, retryMs: 1e6 });
  room = 0;
  outbox.acknowledge(range(1, 5500));
  expect(outbox.pending(0, 1)[0]?.sequence).toBe(5501);
  expect(reads).toBeLessThan(30);
});
