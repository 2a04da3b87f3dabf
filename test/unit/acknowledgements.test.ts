import { expect, test } from 'vitest';
import { Acknowledgements } from '../../agent/delivery/acknowledgements.ts';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { fixedClock } from '../support/samples.ts';

function acknowledging() {
  const deleted: number[][] = [];
  const outbox = { id: 'first', acknowledge: (sequences: readonly number[]) => void deleted.push([...sequences]) };
  const time = { ms: 0 };
  const acknowledged = new Acknowledgements(outbox as unknown as Outbox, fixedClock({ monotonicMs: () => time.ms }), 10_000);
  const at = (ms: number) => {
    time.ms = ms;
    acknowledged.flushDue();
    return deleted.length;
  };
  return { acknowledged, at, deleted, outbox };
}

test('acknowledged events are deleted together, ten seconds after the first of each group', () => {
  const { acknowledged, at, deleted } = acknowledging();
  acknowledged.add(1);
  expect(at(6000)).toBe(0);
  acknowledged.add(2);
  expect(at(9999)).toBe(0);
  expect(acknowledged.has(2)).toBe(true);
  expect(at(10_000)).toBe(1);
  expect(acknowledged.has(2)).toBe(false);
  expect(at(12_000)).toBe(1);
  acknowledged.add(3);
  expect(at(21_999)).toBe(1);
  expect(at(22_000)).toBe(2);
  expect(deleted).toEqual([[1, 2], [3]]);
});

test('256 of them are deleted at once', () => {
  const { acknowledged, at, deleted } = acknowledging();
  for (let sequence = 1; sequence < 256; sequence++) acknowledged.add(sequence);
  expect(at(1)).toBe(0);
  acknowledged.add(256);
  expect(at(2)).toBe(1);
  expect(deleted[0]).toHaveLength(256);
});

test('numbers of an outbox in whose place there is another are forgotten', () => {
  const { acknowledged, at, outbox } = acknowledging();
  acknowledged.add(1);
  outbox.id = 'second';
  expect(at(10_000)).toBe(0);
  expect(acknowledged.has(1)).toBe(false);
});
