import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import Database from 'better-sqlite3';
import { beforeEach, expect, test } from 'vitest';
import type { RecordedEvent } from '../../agent/events/event.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { leaveOutbox, pageBytes, pagesOf, quarantined, range, stored } from '../support/damaged-outbox.ts';
import { limits, recordedEvent } from '../support/samples.ts';

let path: string;
let id: string;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'tocsin-flipped-')), 'outbox.db');
  id = leaveOutbox(path);
  openSqliteOutbox(path, limits, { repair: true, reserve: true }).close();
});

/** Opens the outbox as a process does, stores the events `next`, and returns its state. */
function reopened(next: readonly RecordedEvent[] = []) {
  const outbox = openSqliteOutbox(path, limits, { repair: true });
  const kept = outbox.pending(0, 1000);
  for (const event of next) outbox.append(event);
  const heard = outbox.pending(kept.at(-1)?.sequence ?? 0, 10).map(({ sequence, ...event }) => event);
  const gaps = outbox.gaps(100);
  const fates = outbox.fates();
  outbox.close();
  const isNamed = (n: number) => kept.some(({ sequence }) => sequence === n) || gaps.some(({ first, last }) => first <= n && n <= last);
  return { sameId: outbox.id === id, kept, heard, fates, unnamed: range(101, stored).filter((n) => !isNamed(n)), isRepaired: quarantined(path).length > 0 };
}

test.each([
  ['negative', '-5'],
  ['a blob', "x'00'"],
  ['more than there can be', '4611686018427387904'],
  ['a word', "'many'"],
])('a count that is %s is repaired without any other loss', (_name, value) => {
  const db = new Database(path).unsafeMode();
  db.pragma('ignore_check_constraints = ON');
  db.pragma('writable_schema = ON');
  const { sql } = db.prepare("SELECT sql FROM sqlite_master WHERE name = 'fate'").get() as { sql: string };
  const alter = db.prepare("UPDATE sqlite_master SET sql = ? WHERE name = 'fate'");
  alter.run(sql.replace('STRICT, ', '').replace('INTEGER', '')); // as damage does: the table itself would refuse the value
  db.pragma('writable_schema = RESET');
  db.exec(`UPDATE fate SET events = ${value} WHERE name = 'sent'`);
  db.pragma('writable_schema = ON');
  alter.run(sql);
  db.close();
  writeFileSync(`${path}.new`, '');
  const { sameId, kept, fates, isRepaired } = reopened();
  expect([sameId, kept.length, isRepaired]).toEqual([true, 200, true]);
  expect(fates).toMatchObject({ stored: 300, sent: 0, unreadable: 100 });
});

test('each flipped bit in the counts and their names: the id and every event are kept', { timeout: 120_000 }, () => {
  const page = pagesOf(path).findIndex(({ table }) => table === 'fate');
  const lost = eachBit(page, usedOf(page), ({ sameId, kept, unnamed }) => !sameId || kept.length !== 200 || unnamed.length > 0);
  expect(lost).toEqual([]);
});

// labels, boots and models are looked up by index: with a wrong entry every later event would be refused or get
// another label
test.each(['label', 'model'])(
  'each flipped bit in the index of table %s: pending events are unchanged, and new events are stored correctly',
  { timeout: 120_000 },
  (table) => {
    const page = pagesOf(path).findIndex((one) => one.table === `sqlite_autoindex_${table}_1`);
    const next = (['glass_break', 'shout', 'bang'] as const).map((label, i) => recordedEvent(9000 + i, { label }));
    const isWrong = ({ sameId, kept, heard }: ReturnType<typeof reopened>) => !sameId || kept.length !== 200 || !isDeepStrictEqual(heard, next);
    expect(eachBit(page, usedOf(page), isWrong, next)).toEqual([]);
  },
);

test.each([
  ['boot', recordedEvent(1).bootId],
  ['boot', recordedEvent(1).bootId.slice(9)],
  ['model', recordedEvent(1).model.name],
  ['model', recordedEvent(1).model.version],
])('an invalid letter in a %s, in its table or its index (%s): every event is kept', (table, text) => {
  const sound = readFileSync(path);
  const pages = pagesOf(path);
  for (const name of [table, `sqlite_autoindex_${table}_1`]) {
    const page = pages.findIndex((one) => one.table === name) * pageBytes;
    for (const letter of ['~', '\0', 'Z']) {
      for (const file of readdirSync(join(path, '..'))) rmSync(join(path, '..', file));
      const bytes = Buffer.from(sound);
      const at = bytes.indexOf(text, page);
      expect(at).toBeLessThan(page + pageBytes);
      bytes.write(letter, at, 'latin1');
      writeFileSync(path, bytes);
      writeFileSync(`${path}.new`, '');
      const { sameId, kept, unnamed } = reopened();
      expect([sameId, kept.length, unnamed]).toEqual([true, 200, []]);
      for (const { sequence, ...event } of kept) expect(event).toEqual(recordedEvent(sequence));
    }
  }
});

/** The offsets of non-zero bytes on a page, without its header. */
function usedOf(page: number): number[] {
  const bytes = readFileSync(path).subarray(page * pageBytes, (page + 1) * pageBytes);
  return range(32, pageBytes - 1).filter((at) => bytes[at] !== 0);
}

/** Flips each bit of the bytes at `offsets` on a page in turn. Returns those after which `isWrong`. */
function eachBit(
  page: number,
  offsets: readonly number[],
  isWrong: (after: ReturnType<typeof reopened>) => boolean,
  next?: readonly RecordedEvent[],
): string[] {
  const folder = join(path, '..');
  const copy = mkdtempSync(join(tmpdir(), 'tocsin-sound-'));
  cpSync(folder, copy, { recursive: true });
  return offsets.flatMap((offset) =>
    range(0, 7).flatMap((bit) => {
      for (const name of readdirSync(folder)) rmSync(join(folder, name));
      cpSync(copy, folder, { recursive: true });
      const bytes = readFileSync(path);
      const at = page * pageBytes + offset;
      bytes[at] = bytes.readUInt8(at) ^ (1 << bit);
      writeFileSync(path, bytes);
      return isWrong(reopened(next)) ? [`bit ${bit} of byte ${offset}`] : [];
    }),
  );
}
