import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { RecordedEvent } from '../../agent/events/event.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { limits, recordedEvent } from '../support/samples.ts';

/** An outbox of 30 events a minute. `fates` stores events of a label, one each `everyMs`, and delivers them. */
function openBusy() {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-minute-')), 'outbox.db');
  let outbox = openSqliteOutbox(path, limits);
  const fates = (label: RecordedEvent['label'], count: number, fromMs: number, everyMs: number) =>
    Array.from({ length: count }, (_, i) => {
      const fate = outbox.append(recordedEvent(0, { label, onsetMonotonicMs: fromMs + i * everyMs }));
      outbox.acknowledge(outbox.pending(0, 100).map(({ sequence }) => sequence));
      return fate;
    });
  const stored = (...of: Parameters<typeof fates>) => fates(...of).filter((fate) => fate === 'stored').length;
  const restart = () => {
    outbox.close();
    outbox = openSqliteOutbox(path, limits);
  };
  return { stored, restart, close: () => outbox.close() };
}

test('a window that breaks among firecrackers is stored: no label takes what is kept for the others', () => {
  const { stored, close } = openBusy();
  expect(stored('bang', 40, 0, 1400)).toBe(20);
  expect(stored('glass_break', 1, 57_000, 0)).toBe(1);
  expect(stored('bang', 1, 57_100, 0), 'as long as five of each other label have room').toBe(0);
  expect(stored('shout', 10, 57_200, 10)).toBe(5);
  expect(stored('glass_break', 10, 57_400, 10)).toBe(4); // 30 in all
  expect(stored('bang', 40, 117_500, 1400)).toBe(20);
  close();
});

test('a label that is alone may take two thirds, two labels five sixths, and all three the whole', () => {
  const { stored, close } = openBusy();
  expect(stored('shout', 50, 0, 10)).toBe(20);
  expect(stored('bang', 50, 1000, 10)).toBe(5);
  expect(stored('glass_break', 50, 2000, 10)).toBe(5);
  expect([stored('bang', 50, 100_000, 10), stored('shout', 50, 101_000, 10), stored('bang', 50, 102_000, 10)]).toEqual([20, 5, 0]);
  close();
});

test('after a start, what the events of the last minute were is not known: they count as those for which room is kept', () => {
  const { stored, restart, close } = openBusy();
  expect(stored('glass_break', 20, 0, 10)).toBe(20);
  restart();
  expect(stored('bang', 50, 1000, 10)).toBe(10);
  expect(stored('glass_break', 50, 3000, 10)).toBe(0);
  expect(stored('bang', 50, 70_000, 10)).toBe(20);
  close();
});
