import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { expect, test } from 'vitest';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { leaveOutbox, pageBytes, pagesOf, quarantined, range, stored } from '../support/damaged-outbox.ts';
import { seededRandom } from '../support/random.ts';
import { limits, recordedEvent } from '../support/samples.ts';

const names = ['boot', 'model', 'label']; // the tables to which an event refers by number

// SQLite's pages have no checksum: a page overwritten with data that the schema allows is read as if it had been
// stored. This test shows that damage reaches no row that was not overwritten, and that no such row is lost.
test.each([11, 12, 13])(
  '100 random damages (seed %d): the outbox opens every time, other rows are unchanged, and no id is used twice',
  { timeout: 120_000 },
  (seed) => {
    const random = seededRandom(seed);
    const folder = mkdtempSync(join(tmpdir(), 'tocsin-random-'));
    const path = join(folder, 'outbox.db');
    const id = leaveOutbox(path);
    openSqliteOutbox(path, limits, { repair: true, reserve: true }).close();
    const sound = readFileSync(path);
    const note = readFileSync(`${path}.schema`);
    const pages = pagesOf(path);
    const outcome = { untouched: 0, repaired: 0, keptAll: 0, keptSome: 0, falseRows: 0, withFalseRows: 0, ofThemUntouched: 0 };
    for (let i = 0; i < 100; i++) {
      for (const name of readdirSync(folder)) rmSync(join(folder, name));
      const bytes = Buffer.from(sound);
      const length = 1 + Math.floor(random() ** 3 * 4000);
      const at = Math.floor(random() * bytes.length);
      for (let n = at; n < Math.min(bytes.length, at + length); n++) bytes[n] = Math.floor(random() * 256);
      writeFileSync(path, bytes);
      writeFileSync(`${path}.schema`, note);
      const outbox = openSqliteOutbox(path, limits, { repair: true });
      expect(outbox.append(recordedEvent(9000))).toBe('stored');
      const events = outbox.pending(0, 1000);
      const hit = pages.filter((_, page) => page * pageBytes < at + length && (page + 1) * pageBytes > at);
      const overwritten = new Set(hit.flatMap(({ events }) => events.map(({ sequence }) => sequence)));
      const altered = events.slice(0, -1).filter(({ sequence, ...event }) => !isDeepStrictEqual(event, recordedEvent(sequence)));
      if (!hit.some(({ table }) => names.includes(table))) expect(altered.filter(({ sequence }) => !overwritten.has(sequence))).toEqual([]);
      const kept = new Set(events.map(({ sequence }) => sequence));
      if (hit.every(({ table, isLeaf }) => table === 'sqlite_schema' || (isLeaf && ['event', ...names].includes(table)))) {
        expect(range(101, stored).filter((n) => !overwritten.has(n) && !kept.has(n))).toEqual([]);
      }
      expect(outbox.id).toBe(id);
      expect(events.at(-1)).toMatchObject(recordedEvent(9000));
      expect(events.at(-1)?.sequence).toBeGreaterThan(stored);
      const gaps = outbox.gaps(1000);
      expect(range(101, stored).filter((n) => !kept.has(n) && !gaps.some(({ first, last }) => first <= n && n <= last))).toEqual([]);
      expect(outbox.pendingCount()).toBe(events.length);
      const isUntouched = quarantined(path).length === 0;
      outcome[isUntouched ? 'untouched' : 'repaired']++;
      if (events.length === 201) outcome.keptAll++;
      else if (events.length > 1) outcome.keptSome++;
      outcome.falseRows += altered.length;
      if (altered.length > 0) outcome.withFalseRows++;
      if (altered.length > 0 && isUntouched) outcome.ofThemUntouched++;
      outbox.close();
      expect(() => openSqliteOutbox(path, limits).close()).not.toThrow();
    }
    process.stdout.write(`random damage, seed ${seed}: ${JSON.stringify(outcome)}\n`);
    expect(outcome.repaired).toBeGreaterThan(40);
    expect(outcome.keptAll).toBeGreaterThan(50);
    expect(outcome.keptAll + outcome.keptSome).toBeGreaterThan(80);
    expect(outcome.falseRows).toBeLessThan(5);
  },
);
