import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { beforeEach, expect, test } from 'vitest';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { leaveOutbox, overwrite, quarantined, range, recoveredOutbox, stored } from '../support/damaged-outbox.ts';
import { limits, recordedEvent } from '../support/samples.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tocsin-header-'));
  path = join(folder, 'outbox.db');
});

// each of the 100 bytes: one bit, its highest bit, and all bits; as closed by the last process, and with a log as
// after a power cut
test.each([
  ['without a log', () => openSqliteOutbox(path, limits, { reserve: true }).close()],
  ['with a log', () => undefined],
])('an overwritten header byte, %s: the id and every event are kept', { timeout: 120_000 }, (_name, settle) => {
  const id = leaveOutbox(path);
  settle();
  for (let at = 0; at < 100; at++)
    for (const flip of [1, 0x80, 0xff]) {
      const copy = mkdtempSync(join(folder, 'copy-'));
      cpSync(path, join(copy, 'outbox.db'));
      try {
        cpSync(`${path}-wal`, join(copy, 'outbox.db-wal'));
      } catch {
        // there is no log
      }
      const bytes = readFileSync(path);
      bytes[at] = (bytes[at] as number) ^ flip;
      writeFileSync(join(copy, 'outbox.db'), bytes);
      const outbox = openSqliteOutbox(join(copy, 'outbox.db'), limits, { repair: true });
      outbox.append(recordedEvent(9000));
      const found = { at, flip, id: outbox.id, kept: outbox.pending(0, 1000).map(({ onsetMonotonicMs }) => onsetMonotonicMs / 60_000) };
      expect(found).toEqual({ at, flip, id, kept: [...range(101, stored), 9000] });
      outbox.close();
      rmSync(copy, { recursive: true });
    }
});

const constants = [
  [18, 3],
  [18, 0xff],
  [19, 0x7f],
  [18, 0],
  [0, 0x7f],
  [16, 0x10],
  [20, 8],
  [21, 0],
  [30, 1],
  [47, 5],
  [53, 1],
  [59, 3],
] as const;
const release = readdirSync('agent/outbox/migrations').length;
// byte 63 is the last of the version; a version that no release has is no reason to refuse the file
const schemaVersion = [
  [60, 1],
  [61, 1],
  [62, 1],
  [63, release + 1],
  [63, release - 1],
  [63, 0],
] as const;

// a repair that only opened the file would find it read-only, no database, or of an unknown format
test.each([
  ...constants.map((of) => ['a constant byte: corrected, and nothing is set aside', [], ...of] as const),
  ...schemaVersion.map((of) => ['the schema version: repaired, with all events', ['outbox.db.damaged-1'], ...of] as const),
])('an overwritten header, %s (%j; byte %d with %d)', (_name, setAside, at, value) => {
  const id = leaveOutbox(path);
  openSqliteOutbox(path, limits, { reserve: true }).close();
  overwrite(path, at, 1, () => value);
  const { kept, sameId } = recoveredOutbox(path, id);
  expect(kept).toEqual(range(101, stored));
  expect(sameId).toBe(true);
  expect(quarantined(path)).toEqual(setAside);
});

test.each([512, 4096, 32_768])('an outbox that a person made anew with pages of %d bytes, as from a dump, keeps its id and every event', (bytes) => {
  const id = leaveOutbox(path);
  const db = new Database(path);
  db.exec(`PRAGMA journal_mode = DELETE; PRAGMA page_size = ${bytes}; VACUUM; PRAGMA user_version = 0`); // a dump does not tell the version
  db.close();
  const { kept, sameId, outbox } = recoveredOutbox(path, id);
  expect([sameId, kept]).toEqual([true, range(101, stored)]);
  outbox.close();
  const aside = new Database(`${path}.damaged-1`, { readonly: true });
  expect(aside.pragma('page_size', { simple: true })).toBe(bytes);
  aside.close();
});
