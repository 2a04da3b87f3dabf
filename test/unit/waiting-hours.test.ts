import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { openSummaries } from '../../agent/delivery/summaries.ts';
import { BrokerError } from '../../agent/lib/errors.ts';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { fixedClock, hourSummary, limits, silentLogger } from '../support/samples.ts';

const hour = 3_600_000;

/** Creates hours 1 to `count` in an outbox, and a courier's report of them to a broker that refuses as told. */
function waitingHours(count: number) {
  const make = () => {
    const outbox = openSqliteOutbox(join(mkdtempSync(join(tmpdir(), 'tocsin-summary-')), 'outbox.db'), limits);
    for (let i = 0; i < count; i++) outbox.writeSummary(hourSummary({ beganMonotonicMs: (i + 3) * hour }));
    onTestFinished(() => outbox.close());
    return outbox;
  };
  const first = make();
  let inUse = first;
  const outbox = {
    get id() {
      return inUse.id;
    },
    summaries: (limit: number, after?: number) => {
      state.reads++;
      return inUse.summaries(limit, after);
    },
    summaryReported: (sequence: number) => inUse.summaryReported(sequence),
  } as Outbox;
  const state = {
    now: 0,
    reads: 0,
    refuses: (_: number) => false,
    failure: new BrokerError('no', '', true),
    held: Promise.resolve(),
    tries: [] as number[],
    got: [] as number[],
  };
  const report = openSummaries('t/summary', { outbox, clock: fixedClock({ monotonicMs: () => state.now }), logger: silentLogger });
  const publisher = {
    lost: new AbortController().signal,
    close: async () => undefined,
    async publish(topic: string, payload: string, { retain }: { retain: boolean }) {
      expect([topic, retain]).toEqual(['t/summary', false]);
      const { sequence } = JSON.parse(payload);
      state.tries.push(sequence);
      await state.held;
      if (state.refuses(sequence)) throw state.failure;
      state.got.push(sequence);
    },
  };
  const turns = async (ms: number, stepMs = 1000) => {
    for (const until = state.now + ms; state.now < until; state.now += stepMs) {
      report.tick(publisher);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const replace = () => {
    inUse = make();
  };
  return { outbox: first, state, turns, replace, current: () => inUse };
}

test('summaries stay in the outbox until their PUBACK and go in order; a failed one is tried again after a minute', async () => {
  const { outbox, state, turns } = waitingHours(4);
  expect(outbox.summaries(1)[0]).toEqual({ ...hourSummary({ beganMonotonicMs: 3 * hour }), sequence: 1 });
  expect(outbox.summaries(9, 2).map(({ sequence }) => sequence)).toEqual([3, 4]);
  state.refuses = () => true;
  state.failure = new BrokerError('broken', '', false);
  await turns(60_000);
  expect([state.tries, outbox.summaries(1)[0]?.sequence]).toEqual([[1], 1]);
  state.refuses = () => false;
  await turns(3000);
  expect(state.got).toEqual([1, 2, 3]);
  expect(outbox.summaries(1)[0]?.sequence).toBe(4);
});

test('a refused summary does not delay others and is tried again every ten minutes', async () => {
  const { outbox, state, turns } = waitingHours(4);
  state.refuses = (sequence) => sequence === 2;
  await turns(70_000);
  expect(state.tries).toEqual([1, 2, 3, 4]);
  await turns(6 * 600_000);
  expect(state.tries.slice(4)).toEqual([2, 2, 2, 2, 2, 2]);
  outbox.writeSummary(hourSummary());
  await turns(61_000);
  expect(state.got, 'a fresh hour waits for none of it').toEqual([1, 3, 4, 5]);
  state.refuses = () => false;
  await turns(600_000);
  expect([state.got.at(-1), outbox.summaries(9)]).toEqual([2, []]);
});

test('after a repair replaced the outbox, its summaries are sent at once, whatever was refused before', async () => {
  const { state, turns, replace } = waitingHours(3);
  state.refuses = () => true;
  await turns(3 * 60_000);
  state.refuses = () => false;
  replace();
  await turns(63_000);
  expect(state.got).toEqual([1, 2, 3]);
});

test('a new summary goes before one that waits for a retry', async () => {
  const { outbox, state, turns } = waitingHours(1);
  state.refuses = (sequence) => sequence === 1;
  await turns(600_000);
  outbox.writeSummary(hourSummary());
  await turns(60_000);
  expect(state.tries).toEqual([1, 2, 1]);
});

test('waiting summaries are sent as fast as they are acknowledged, none twice; otherwise the outbox is read once a second', async () => {
  const { outbox, state, turns } = waitingHours(4);
  const { promise, resolve } = Promise.withResolvers<void>();
  state.held = promise;
  await turns(30_000);
  expect(state.tries).toEqual([1]);
  resolve();
  await turns(1400, 100);
  expect(state.got).toEqual([1, 2, 3, 4]);
  state.reads = 0;
  await turns(10_000, 100);
  expect(state.reads).toBe(10);
  outbox.writeSummary(hourSummary());
  await turns(1100, 100);
  expect(state.got.at(-1)).toBe(5);
});

test('a PUBACK that arrives after a repair replaced the outbox deletes no summary of the new one', async () => {
  const { state, turns, replace, current } = waitingHours(3);
  const { promise, resolve } = Promise.withResolvers<void>();
  state.held = promise;
  await turns(1000);
  replace();
  resolve();
  await new Promise((done) => setImmediate(done));
  expect(current().summaries(9)).toHaveLength(3);
  await turns(5000);
  expect(state.got).toEqual([1, 1, 2, 3]);
});

test('while all summaries are refused, one is tried each minute, later every ten minutes; once one is accepted, all follow', async () => {
  const { outbox, state, turns } = waitingHours(40);
  state.refuses = () => true;
  await turns(40 * 60_000);
  expect(state.tries).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
  await turns(100 * 60_000);
  expect(state.tries.slice(40)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  outbox.writeSummary(hourSummary());
  await turns(21 * 60_000);
  expect(state.tries.slice(50), 'it goes on where it was').toEqual([41, 11, 12]);
  state.refuses = () => false;
  await turns(12 * 60_000);
  expect(outbox.summaries(99)).toEqual([]);
  expect(state.got).toHaveLength(41);
});
