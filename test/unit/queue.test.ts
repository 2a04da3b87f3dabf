import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Queue } from '../../agent/delivery/queue.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { fixedClock, limits, recordedEvent } from '../support/samples.ts';

test('what is handed out again is handed out in order, without what is under way', () => {
  const outbox = openSqliteOutbox(join(mkdtempSync(join(tmpdir(), 'tocsin-queue-')), 'outbox.db'), limits);
  for (let minute = 0; minute < 8; minute++) outbox.append(recordedEvent(minute));
  const flying = new Set<number>();
  const queue = new Queue(outbox, fixedClock({ monotonicMs: () => 3_600_000 }), ({ sequence }) => flying.has(sequence), 60);
  const take = (room: number) => queue.take(room).map(({ sequence }) => sequence);
  expect(take(5)).toEqual([1, 2, 3, 4, 5]);
  for (const sequence of [2, 4]) flying.add(sequence);
  outbox.acknowledge([1]);
  queue.rewind();
  expect(take(3)).toEqual([3, 5, 6]);
  expect(take(8)).toEqual([7, 8]);
  outbox.append(recordedEvent(9));
  expect(take(8)).toEqual([9]);
  outbox.close();
});
