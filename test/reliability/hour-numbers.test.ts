import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { beforeEach, expect, test, vi } from 'vitest';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { unusedHour } from '../../agent/outbox/reserved-numbers.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { openSummaryReport } from '../../agent/outbox/summary-report.ts';
import { overwrite, pageBytes, pagesOf, quarantined } from '../support/damaged-outbox.ts';
import { hourSummary, limits, recordedEvent, silentLogger } from '../support/samples.ts';

let path: string;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'tocsin-hours-')), 'outbox.db');
});
const open = () => openSqliteOutbox(path, limits, { repair: true, reserve: true });

/** Writes `count` hourly summaries, reports all but the first `waiting` at once, and closes. Returns their numbers. */
function tell(outbox: Outbox, count: number, waiting = 0): number[] {
  const told: number[] = [];
  for (let hour = 0; hour < count; hour++) {
    outbox.writeSummary(hourSummary());
    const { sequence } = outbox.summaries(10).at(-1) as { sequence: number };
    told.push(sequence);
    if (hour >= waiting) outbox.summaryReported(sequence);
  }
  outbox.close();
  return told;
}

const damageNumbers = () => overwrite(path, pagesOf(path).findIndex(({ table }) => table === 'sqlite_sequence') * pageBytes, pageBytes, () => 0xff);

test.each([
  ['all reported', 0],
  ['one waits because the platform refuses it', 1],
])('after repeated loss of the page of last numbers (%s) no summary gets a number that was used before', (_name, waiting) => {
  const first = open();
  const { id } = first;
  first.append(recordedEvent(1));
  const told = tell(first, 1200, waiting);
  for (let repair = 1; repair <= 3; repair++) {
    damageNumbers();
    const outbox = open(); // no event is stored in between
    expect(outbox.id).toBe(id);
    expect(quarantined(path)).toHaveLength(repair);
    told.push(...tell(outbox, 1200));
  }
  expect(new Set(told).size).toBe(told.length);
  expect(Math.max(...told), 'the schema allows 10^12, the table 10^9').toBeLessThan(1e9);
  const outbox = open();
  outbox.append(recordedEvent(2));
  expect(outbox.pending(0, 10).at(-1)?.sequence, 'nor does an event').toBeGreaterThan(300_000);
  outbox.close();
});

test.each([
  ['its name is not that of a table', "SET name = 'hour_summarx'"],
  ['it has no name', 'SET name = NULL'],
  ['it is text', "SET seq = 'many'"],
  ['it is null', 'SET seq = NULL'],
  ['it is negative', 'SET seq = -4'],
])('without pending summaries, a wrong last number (%s) is damage, and no number is used twice', (_name, change) => {
  const told = tell(open(), 5);
  const db = new Database(path);
  db.exec(`UPDATE sqlite_sequence ${change} WHERE name = 'hour_summary'`);
  db.close();
  const outbox = open();
  expect(quarantined(path)).toHaveLength(1);
  expect(tell(outbox, 1)[0]).toBeGreaterThan(Math.max(...told));
});

test('a last number lower than that of pending events or summaries is damage, and no number is used twice', () => {
  const first = open();
  for (let i = 1; i <= 5; i++) first.append(recordedEvent(i));
  const told = tell(first, 5, 4);
  const sound = readFileSync(path);
  for (const change of ["SET seq = 3 WHERE name = 'hour_summary'", "SET seq = 3 WHERE name = 'event'; DELETE FROM recent"]) {
    writeFileSync(path, sound);
    const db = new Database(path);
    db.exec(`UPDATE sqlite_sequence ${change}`);
    db.close();
    const outbox = open();
    outbox.append(recordedEvent(6));
    outbox.writeSummary(hourSummary());
    expect(outbox.newest()).toBeGreaterThan(1000);
    expect(outbox.summaries(10).at(-1)?.sequence).toBeGreaterThan(Math.max(...told) + 1000);
    outbox.close();
    for (const name of readdirSync(dirname(path))) rmSync(join(dirname(path), name));
  }
});

test('a damaged page of summaries or of the outbox id: summaries on other pages are kept, and no number is used twice', () => {
  const before = open();
  before.append(recordedEvent(1));
  for (let hour = 0; hour < 90; hour++) before.writeSummary(hourSummary({ beganMonotonicMs: hour * 3_600_000 }));
  const hours = before.summaries(100);
  before.close();
  const sound = readFileSync(path);
  const pages = pagesOf(path);
  const pagesNamed = (name: string) => [...pages.keys()].filter((page) => pages[page]?.table === name && pages[page].isLeaf);
  const ofHours = pagesNamed('hour_summary');
  expect(ofHours.length).toBeGreaterThan(3);
  for (const page of [...ofHours, ...pagesNamed('outbox')]) {
    for (const name of readdirSync(dirname(path))) rmSync(join(dirname(path), name));
    writeFileSync(path, sound);
    overwrite(path, page * pageBytes, pageBytes, () => 0xa5);
    const outbox = open();
    const kept = outbox.summaries(100);
    expect(kept.length).toBeGreaterThanOrEqual(ofHours.includes(page) ? 60 : 90);
    expect(kept).toEqual(hours.filter(({ sequence }) => kept.some((hour) => hour.sequence === sequence)));
    outbox.writeSummary(hourSummary());
    expect(outbox.summaries(100).at(-1)?.sequence).toBeGreaterThan(1000);
    outbox.close();
  }
});

test('if the last event number is unknown, the outbox gets a new id, since numbers would be used twice under the old one', () => {
  const first = open();
  const { id } = first;
  for (let i = 1; i <= 5; i++) first.append(recordedEvent(i));
  first.close();
  const pages = pagesOf(path);
  for (const name of ['sqlite_sequence', 'event', 'recent'])
    for (const [page, { table }] of pages.entries()) if (table === name) overwrite(path, page * pageBytes, pageBytes, () => 0xff);
  let now = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => (now += 10_000)); // so that no search lasts longer than needed
  const outbox = open();
  clock.mockRestore();
  expect(outbox.id).not.toBe(id);
  expect(outbox.append(recordedEvent(6))).toBe('stored');
  outbox.close();
});

test('summaries beyond the memory limit, and one that the schema refuses, leave missing numbers', () => {
  const outbox = open();
  const logged: string[] = [];
  const inner = outbox.writeSummary.bind(outbox);
  let full = false;
  outbox.writeSummary = (...hour) => {
    if (full) throw Object.assign(new Error('full'), { code: 'SQLITE_FULL' });
    inner(...hour);
  };
  let now = 0;
  const report = openSummaryReport(outbox, { ...silentLogger, error: (_, message) => logged.push(message) }, () => now);
  const add = (hour: number, change = {}) => report.add(hourSummary({ beganMonotonicMs: hour * 3_600_000, ...change }));
  const numbers = () => outbox.summaries(100).map(({ sequence, beganMonotonicMs }) => [sequence, beganMonotonicMs / 3_600_000]);
  add(1);
  full = true;
  for (let hour = 2; hour <= 60; hour++) add(hour);
  full = false;
  now += 60_000;
  report.retry();
  add(61);
  expect(numbers()).toEqual([1, ...Array.from({ length: 49 }, (_, i) => i + 13)].map((hour) => [hour, hour]));
  expect(logged.filter((message) => message.startsWith('too many hourly summaries'))).toHaveLength(1);
  add(62, { recognised: { glass_break: -1, shout: 0, bang: 0 } });
  add(63);
  add(64);
  expect(
    numbers()
      .slice(-3)
      .map(([sequence]) => sequence),
  ).toEqual([61, 63, 64]);
  outbox.close();
});

// storing all at once would block the listener for longer than its watchdog waits, and lose them with it
test('held summaries are stored for a second at a time, on a disk that takes 5 s for each', () => {
  const outbox = open();
  const inner = outbox.writeSummary;
  let [now, isBroken] = [0, true];
  outbox.writeSummary = (...hour) => {
    if (isBroken) throw new Error('a disk that takes no writes');
    now += 5000;
    inner.call(outbox, ...hour);
  };
  const report = openSummaryReport(outbox, silentLogger, () => now);
  for (const hour of [1, 2, 3]) report.add(hourSummary({ beganMonotonicMs: hour * 3_600_000 }));
  isBroken = false;
  now = 60_000;
  for (const stored of [1, 2, 3, 3]) {
    report.retry();
    expect(outbox.summaries(10).map(({ beganMonotonicMs }) => beganMonotonicMs / 3_600_000)).toEqual([1, 2, 3].slice(0, stored));
  }
  outbox.close();
});

test('a summary that cannot be stored uses no numbers', () => {
  const outbox = open();
  expect(() => outbox.writeSummary(hourSummary({ recognised: { glass_break: -1, shout: 0, bang: 0 } }), 5)).toThrow();
  outbox.writeSummary(hourSummary());
  outbox.writeSummary(hourSummary(), 2);
  expect(outbox.summaries(10).map(({ sequence }) => sequence)).toEqual([1, 4]);
  outbox.close();
});

test('there is a number for the next summary after any count of events', () => {
  expect(unusedHour(0)).toBe(1_000_000);
  expect(unusedHour(899_999_900_000)).toBeLessThan(900_000_000);
});
