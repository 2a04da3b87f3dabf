// A damaged page of the schema. Without it no row can be read. The pages never change, so outbox.db.schema holds a
// copy of them.
import { createHash } from 'node:crypto';
import { chmodSync, cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { beforeEach, expect, test } from 'vitest';
import { isFalseNote, notedOf, noteSchema } from '../../agent/outbox/schema-note.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { liveBytes, overwrite, pageBytes, quarantined, range } from '../support/damaged-outbox.ts';
import { olderId, openOlderOutbox } from '../support/older-outbox.ts';
import { seededRandom } from '../support/random.ts';
import { hourSummary, limits, recordedEvent } from '../support/samples.ts';

const noise = seededRandom(17);
const harms: [string, (i: number) => number][] = [
  ['zeros', () => 0],
  ['noise', () => Math.floor(noise() * 256)],
];
const ends = ['', '-wal', '.schema'];

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tocsin-schema-'));
  path = join(folder, 'outbox.db');
});
const open = (at = path) => openSqliteOutbox(at, limits, { repair: true });

/**
 * Leaves an outbox of 40 events, of which 1 to 10 were sent: closed, or with a log as after a power cut. Returns its
 * id.
 */
function leave(how: 'closed' | 'with a log', at = path): string {
  open(at).close(); // otherwise the log contains the schema too
  const outbox = open(at);
  for (const n of range(1, 40)) outbox.append(recordedEvent(n));
  outbox.acknowledge(range(1, 10));
  const cut = mkdtempSync(join(tmpdir(), 'tocsin-schema-cut-'));
  for (const end of ends) cpSync(`${at}${end}`, join(cut, `cut${end}`));
  outbox.close();
  if (how === 'with a log') for (const end of ends) cpSync(join(cut, `cut${end}`), `${at}${end}`);
  expect(existsSync(`${at}-wal`)).toBe(how === 'with a log');
  return outbox.id;
}

/** The page numbers of a table in a copy of the outbox. */
function pagesOf(table: string): number[] {
  const copy = mkdtempSync(join(tmpdir(), 'tocsin-schema-look-'));
  for (const name of readdirSync(folder)) cpSync(join(folder, name), join(copy, name));
  const db = new Database(join(copy, 'outbox.db'));
  const pages = db.prepare('SELECT pageno FROM dbstat WHERE name = ? ORDER BY pageno').pluck().all(table) as number[];
  db.close();
  return pages;
}

/** The state of an outbox after pages of a copy were overwritten and one more event was stored. */
function damaged(pages: readonly number[], fill: (i: number) => number, prepare: (at: string) => void = () => undefined) {
  const copy = mkdtempSync(join(tmpdir(), 'tocsin-schema-copy-'));
  const at = join(copy, 'outbox.db');
  for (const name of readdirSync(folder)) cpSync(join(folder, name), join(copy, name));
  prepare(at);
  for (const page of pages) overwrite(at, (page - 1) * pageBytes, pageBytes, fill);
  const harmed = readFileSync(at);
  const outbox = open(at);
  expect(outbox.append(recordedEvent(9000))).toBe('stored');
  const events = outbox.pending(0, 1000);
  const found = { id: outbox.id, kept: events.slice(0, -1), last: events.at(-1)?.sequence ?? 0, fates: outbox.fates() };
  outbox.close();
  expect(() => open(at).close()).not.toThrow();
  const setAside = quarantined(at).length;
  expect(statSync(at).size).toBeLessThan(200 * pageBytes);
  // without the header, which is corrected in place
  const isAsFound = setAside === 1 && readFileSync(`${at}.damaged-1`).subarray(pageBytes).equals(harmed.subarray(pageBytes));
  expect(isFalseNote(at)).toBe(false);
  rmSync(copy, { recursive: true });
  return { ...found, setAside, isAsFound };
}

const fates = { stored: 41, sent: 10, expired: 0, refused: 0, dropped: 0, unreadable: 0 };

test.each(['closed', 'with a log'] as const)(
  'each damaged page of the schema, outbox left %s: id, events, counts and numbers are kept',
  { timeout: 120_000 },
  (how) => {
    const id = leave(how);
    const pages = pagesOf('sqlite_schema');
    expect(pages.length).toBeGreaterThan(8);
    for (const page of pages)
      for (const [name, fill] of harms) {
        const { kept, last, setAside, isAsFound: _, ...found } = damaged([page], fill);
        expect({ page, name, ...found }).toEqual({ page, name, id, fates });
        expect(kept).toEqual(range(11, 40).map((n) => ({ sequence: n, ...recordedEvent(n) })));
        // all but the first page, in which SQLite also counts pages, are restored completely: the file is intact
        // again
        if (page > 1) expect({ last, setAside }).toEqual({ last: 41, setAside: 0 });
        else expect(last).toBeGreaterThan(40);
      }
  },
);

test('several damaged pages of the schema with one of events: everything on other pages is kept', () => {
  const id = leave('closed');
  const pages = pagesOf('sqlite_schema');
  const [event] = pagesOf('event').slice(1);
  expect(damaged(pages.slice(1), () => 0)).toMatchObject({ id, last: 41, setAside: 0 });
  const beside = damaged([pages[3] as number, event as number], () => 0);
  expect(beside).toMatchObject({ id, setAside: 1 });
  expect(beside.kept.length).toBeGreaterThan(10);
  expect(beside.kept.length + beside.fates.unreadable).toBe(30);
});

test('a damaged outbox id is restored from the schema note, but not from the note of another outbox', () => {
  const id = leave('closed');
  const [page] = pagesOf('outbox') as [number];
  for (const pages of [[page], [1, page]]) {
    const found = damaged(pages, () => 0);
    expect(found).toMatchObject({ id, fates, setAside: 1 });
    expect(found.kept).toHaveLength(30);
    expect(found.last).toBeGreaterThan(100_000);
  }
  const ofIt = (at: string) => overwrite(at, readFileSync(at).indexOf(id), 1, () => 0x5a);
  expect(damaged([], () => 0, ofIt)).toMatchObject({ id, setAside: 1 });
  const other = damaged(
    [page],
    () => 0,
    (at) => writeFileSync(`${at}.schema`, noteOfAnother()),
  );
  expect([id, olderId]).not.toContain(other.id);
  expect(other.kept).toHaveLength(30);
});

test.each([1, 4, 8])('each damaged page of the schema of an outbox migrated from version %d: id and events are kept', { timeout: 120_000 }, (version) => {
  openOlderOutbox(path, version).close();
  const before = open();
  const waiting = before.pending(0, 1000);
  expect(before.id).toBe(olderId);
  before.close();
  for (const page of pagesOf('sqlite_schema')) {
    const { id, kept, last } = damaged([page], harms[1]?.[1] as () => number);
    expect({ page, id, kept: kept.length }).toEqual({ page, id: olderId, kept: 190 });
    expect(kept).toEqual(waiting);
    expect(last).toBeGreaterThan(302);
  }
});

test('a damaged schema page with a damaged log: events in the main file are kept under the same id, and no number is reused', () => {
  const id = leave('with a log');
  const [, , page] = pagesOf('sqlite_schema');
  const found = damaged(
    [page as number],
    () => 0,
    (at) => overwrite(`${at}-wal`, Math.floor(liveBytes(`${at}-wal`) / 2), 8, (i) => i % 251),
  );
  expect(found).toMatchObject({ id, setAside: 1 });
  expect(found.kept.length).toBeGreaterThan(10);
  for (const { sequence, ...event } of found.kept) expect(event).toEqual(recordedEvent(sequence));
  expect(found.last).toBeGreaterThan(100_000);
});

const text = (at: string) => readFileSync(`${at}.schema`, 'utf8');
/** Rewrites a note with changed content and a valid checksum. */
function forge(at: string, change: (note: { outbox: string; version: number; pages: { page: number; content: string }[] }) => void): void {
  const note = JSON.parse(JSON.parse(text(at)).note);
  change(note);
  const changed = JSON.stringify(note);
  writeFileSync(`${at}.schema`, JSON.stringify({ note: changed, sha256: createHash('sha256').update(changed).digest('hex') }));
}
/** Cases that no damage creates: the note is trusted. */
const isOfThisId = (name: string) => ['that of another outbox under this id', 'one with the number of a page of events'].includes(name);
/** The note of another outbox, whose tables begin on other pages. */
function noteOfAnother(): string {
  const other = join(mkdtempSync(join(tmpdir(), 'tocsin-schema-other-')), 'outbox.db');
  openOlderOutbox(other, 1).close();
  open(other).close();
  return text(other);
}

test.each<[string, (at: string) => void]>([
  ['missing', (at) => rmSync(`${at}.schema`)],
  ['empty', (at) => truncateSync(`${at}.schema`)],
  ['cut off', (at) => truncateSync(`${at}.schema`, statSync(`${at}.schema`).size - 5000)],
  ['noise', (at) => overwrite(`${at}.schema`, 0, 1e6, () => Math.floor(noise() * 256))],
  ['one letter changed', (at) => writeFileSync(`${at}.schema`, text(at).replace('AA', 'AB'))],
  ['of another outbox', (at) => writeFileSync(`${at}.schema`, noteOfAnother())],
  ['of another outbox with the same pages', (at) => forge(at, (note) => Object.assign(note, { outbox: 'ffffffffffffffff' }))],
  [
    'that of another outbox under this id',
    (at) => {
      const id = JSON.parse(JSON.parse(text(at)).note).outbox;
      writeFileSync(`${at}.schema`, noteOfAnother());
      forge(at, (note) => Object.assign(note, { outbox: id }));
    },
  ],
  [
    'with two page numbers swapped',
    (at) =>
      forge(at, ({ pages }) => {
        const [a, b] = [pages[4], pages[5]];
        if (a && b) [a.page, b.page] = [b.page, a.page];
      }),
  ],
  ['one with the number of a page of events', (at) => forge(at, ({ pages }) => Object.assign(pages.at(-1) ?? {}, { page: 10 }))],
  ['with a page number far beyond the file', (at) => forge(at, ({ pages }) => Object.assign(pages.at(-1) ?? {}, { page: 2_000_000_000 }))],
])('a wrong schema note (%s) changes no event, and other damage is repaired as without a note', { timeout: 60_000 }, (name, harm) => {
  const id = leave('closed');
  const isTrue = ({ sequence, ...event }: { sequence: number }) => expect(event).toEqual(recordedEvent(sequence));
  const [, , page] = pagesOf('sqlite_schema');
  const schema = damaged([page as number], () => 0, harm);
  schema.kept.forEach(isTrue);
  if (!isOfThisId(name)) expect([schema.id === id, schema.kept, schema.isAsFound]).toEqual([false, [], true]);
  const [, leaf] = pagesOf('event');
  const events = damaged([leaf as number], () => 0, harm);
  events.kept.forEach(isTrue);
  const asEver = damaged(
    [leaf as number],
    () => 0,
    (at) => rmSync(`${at}.schema`),
  );
  expect({ name, ...events }).toEqual({ name, ...asEver });
  const sound = damaged([], () => 0, harm);
  expect(sound).toMatchObject({ id, last: 41, fates, setAside: 0 });
});

test('a note older than the schema, as after a kill, is not used for a repair', () => {
  const db = openOlderOutbox(path, 3);
  const noted = notedOf(db);
  db.close();
  noteSchema(path, noted);
  const outbox = openSqliteOutbox(path, limits);
  outbox.writeSummary(hourSummary());
  outbox.close();
  const [, leaf] = pagesOf('event');
  overwrite(path, ((leaf as number) - 1) * pageBytes, pageBytes, () => 0);
  const repaired = open();
  expect(quarantined(path)).toHaveLength(1);
  expect(repaired.id).toBe(olderId);
  expect(repaired.summaries(10)).toHaveLength(1);
  expect(repaired.pending(0, 1000).length).toBeGreaterThan(150);
  repaired.close();
});

test('the numbers reserved by a killed listener are not skipped when the schema note is written', () => {
  const listener = openSqliteOutbox(path, limits, { reserve: true });
  for (const n of range(1, 40)) listener.append(recordedEvent(n));
  const cut = mkdtempSync(join(tmpdir(), 'tocsin-schema-cut-'));
  for (const end of ['', '-wal']) cpSync(`${path}${end}`, join(cut, `cut${end}`));
  listener.close();
  for (const end of ['', '-wal']) cpSync(join(cut, `cut${end}`), `${path}${end}`);
  const again = open();
  expect(existsSync(`${path}.schema`)).toBe(true);
  expect(again.gaps(10)).toEqual([]);
  expect(again.newest()).toBe(40);
  const other = open();
  expect(other.gaps(10)).toEqual([]);
  other.close();
  again.close();
});

test('the schema note is written once with mode 660, and again for the file that a repair makes', () => {
  chmodSync(folder, 0o2770);
  leave('closed');
  const { ino, mode } = statSync(`${path}.schema`);
  expect(mode & 0o777).toBe(0o660);
  open().close();
  expect(statSync(`${path}.schema`).ino).toBe(ino);
  overwrite(path, 1024 * ((pagesOf('event')[1] as number) - 1), 1024, () => 0);
  writeFileSync(`${path}.new`, '');
  open().close();
  expect(quarantined(path)).toHaveLength(1);
  expect(statSync(`${path}.schema`).ino).not.toBe(ino);
  expect(isFalseNote(path)).toBe(false);
});
