import { renameSync, rmSync, statSync } from 'node:fs';
import { ifPossible } from '../lib/if-possible.ts';
import { moveFile, syncFolderOf } from '../lib/place-file.ts';
import { awaitReadable } from './beside.ts';
import { copyCounts } from './counts.ts';
import { createFile, emptyLock, isThere, makeEmpty } from './files.ts';
import { mendHeader } from './header.ts';
import { type HearingRow, readHearingSql, writeHearingSql } from './hearing-rows.ts';
import { know, knowModel } from './known.ts';
import type { Gap } from './outbox.ts';
import { discard, makingRoom, quarantined, repairedSql } from './quarantine.ts';
import { isOfPlainTables, isOfShape, readableRows, reading, readReferredTo, writing } from './readable-rows.ts';
import { giveOutAfter, isNumber, maxHour, maxNumber, skipped, skippedHours, unusedHour } from './reserved-numbers.ts';
import { insertSql, pendingSql, type Row } from './rows.ts';
import { forgetSchema, mendSchema, notedId } from './schema-note.ts';
import type { OpenDatabase, SqliteDatabase } from './sqlite.ts';
import { openLock } from './sqlite-database.ts';
import { readSummariesSql, type SummaryRow, writeSummarySql } from './summary-rows.ts';
import { type ListeningDay, readListeningDays, writeListeningDay } from './threshold-rows.ts';
import { hidesNewerPages } from './wal-check.ts';

const kept = 3; // damaged files kept beside the outbox

/**
 * Puts a new outbox with every readable event in the place of a damaged one, which is kept beside it as PATH.damaged-N.
 * Sequence numbers and the outbox id stay (the id by the note of the schema, if it cannot be read itself), so that the
 * platform takes nothing that was sent before for new. Numbers that may be lost become a gap.
 *
 * INVARIANTS
 * - One process repairs at a time (a lock that dies with it). Where the old file can be locked, nobody writes to it
 *   from the first row that is copied until it is moved.
 * - The new file is complete and synced before the old one is moved. A crash at any point leaves either the old file,
 *   or PATH.new to be put in place.
 * - On a full disk, earlier damaged files make room, the oldest first. If the new file cannot be written even so, that
 *   error is thrown and the old file stays.
 * - PATH.new exists before the old file is opened. Its presence says that a repair must begin again: SQLite may remove
 *   the evidence of damage, since it rebuilds the shared memory and deletes the WAL.
 * - A process that still has the old file open notices by the inode. SQLite does not checkpoint a file that was moved.
 */
export function repairOutbox(path: string, open: OpenDatabase, isSound: () => boolean, progress: () => void = () => undefined): void {
  emptyLock(`${path}.lock`);
  const lock = openLock(`${path}.lock`);
  let damaged: SqliteDatabase | undefined;
  try {
    lock.pragma('busy_timeout = 0'); // a half that waits for the other hears nothing and sends nothing: it comes back in a second
    lock.exec('BEGIN EXCLUSIVE');
    awaitReadable([path, `${path}-wal`, `${path}-shm`], progress);
    const isCutOff = !isThere(path) && isThere(`${path}.new`); // between two renames: the log belongs to the file that was set aside
    const number = Math.max(isCutOff ? 1 : 0, ...quarantined(path)) + (isCutOff ? 0 : 1);
    if (isThere(path)) {
      mendHeader(path);
      if (isSound()) return;
      damaged = makingRoom(path, () => salvage(path, number, open, progress));
      forgetSchema(path); // the new file has pages of its own
    } else if (!isThere(`${path}.new`)) {
      makeEmpty(`${path}.new`);
      const fresh = open(`${path}.new`, 'migrate');
      fresh.exec(repairedSql);
      fresh.close();
      createFile(path); // of its log alone nothing can be read: it is set aside beside an empty file
    }
    if (isThere(path)) renameSync(path, `${path}.damaged-${number}`);
    setLogAside(path, number);
    rmSync(`${path}-shm`, { force: true });
    moveFile(`${path}.new`, path);
    for (const old of quarantined(path).filter((other) => other <= number - kept)) discard(path, old);
  } finally {
    ifPossible(() => damaged?.close()); // what could be read has been read
    lock.close();
  }
}

/**
 * An empty log does not replace one that was set aside earlier: SQLite makes one when the file is opened without its
 * own.
 */
function setLogAside(path: string, number: number): void {
  const aside = `${path}.damaged-${number}-wal`;
  const log = statSync(`${path}-wal`, { throwIfNoEntry: false });
  if (log?.size === 0 && isThere(aside)) rmSync(`${path}-wal`);
  else if (log) renameSync(`${path}-wal`, aside);
}

/** Makes PATH.new of what can be read. Returns the damaged file with its lock held, if it can be opened. */
function salvage(path: string, number: number, open: OpenDatabase, progress: () => void): SqliteDatabase | undefined {
  makeEmpty(`${path}.new`);
  let damaged: SqliteDatabase | undefined;
  try {
    const fresh = open(`${path}.new`, 'migrate');
    try {
      // a log would need the same space again, and closing reports nothing when there is no room to bring it into the
      // file
      fresh.pragma('journal_mode = MEMORY');
      fresh.exec(repairedSql);
      if (hidesNewerPages(path)) setLogAside(path, number);
      mendSchema(path, open); // where its log is damaged too, which need not show any more
      damaged = reading(() => open(path));
      if (!damaged) {
        setLogAside(path, number); // a log that the disk cannot read keeps SQLite from the file as well
        damaged = reading(() => open(path));
      }
      // if nothing can be read: a new outbox with an id of its own
      if (damaged && isOfPlainTables(damaged)) copyLocked(path, damaged, fresh, progress);
      fresh.pragma('journal_mode = WAL');
    } finally {
      fresh.close();
    }
    syncFolderOf(path);
    return damaged;
  } catch (error) {
    ifPossible(() => damaged?.close()); // what could be read has been read
    makeEmpty(`${path}.new`); // its space may be what others need
    throw error;
  }
}

/**
 * No other process writes while this copies: what it stored in a file that is set aside next would be lost. What rows
 * refer to is read before that, since SQLite keeps nothing in a transaction that has met damage, and read again if
 * another process wrote meanwhile.
 */
function copyLocked(path: string, damaged: SqliteDatabase, fresh: SqliteDatabase, progress: () => void): void {
  damaged.pragma('temp_store = MEMORY'); // a half has no folder for temporary files
  const written = () => reading(() => damaged.pragma('data_version', { simple: true }));
  for (let before: unknown = {}; written() !== before; ) {
    if (damaged.inTransaction) damaged.exec('ROLLBACK');
    before = written();
    readReferredTo(damaged, fresh);
    reading(() => damaged.exec('BEGIN IMMEDIATE'));
  }
  damaged.pragma('cell_size_check = ON');
  copy(damaged, fresh, progress, notedId(path, damaged));
}

function copy(from: SqliteDatabase, to: SqliteDatabase, progress: () => void, idNoted: string | undefined): void {
  const read = (sql: string) => reading(() => from.prepare(sql).pluck().get());
  const numbers = ["SELECT seq FROM sqlite_sequence WHERE name = 'event'", 'SELECT max(sequence) FROM event', 'SELECT max(sequence) FROM recent'];
  const found = numbers.map(read);
  const newest = Math.max(0, ...found.filter((number) => isNumber(number, maxNumber)));
  const id = [read('SELECT id FROM outbox'), idNoted].find((text) => isOfShape(text, /^[0-9a-f]{16}$/));
  to.transaction(() => {
    copyBoots(from, to);
    copyUsualLevels(from, to);
    copyListeningDays(from, to);
    // The triggers bound what is heard, and would run for every row; they are restored to the letter.
    const triggers = to.prepare("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'event'").all() as { name: string; sql: string }[];
    for (const { name } of triggers) to.exec(`DROP TRIGGER ${name}`);
    const { sound, last: lastSound, holes } = copyEvents(from, to, newest || 1_000_000_000, progress);
    to.exec('INSERT INTO recent (sequence, boot, onset_monotonic_ms) SELECT sequence, boot, onset_monotonic_ms FROM event ORDER BY sequence DESC LIMIT 60');
    for (const { sql } of triggers) to.exec(sql);
    const last = Math.max(newest, lastSound);
    copySummaries(from, to, last, progress);
    copyHearing(from, to);
    const { unreadable, areCountsRight } = copyCounts(from, to, sound);
    // without evidence of how far the numbers of the old id went, keep the new id: some numbers could be used twice
    if (id === undefined || (sound === 0 && found.every((number) => number === undefined))) return;
    to.prepare('UPDATE outbox SET id = ?').run(id);
    const noted = reading(() => from.prepare('SELECT first, last, reason FROM gap').all() as Gap[]);
    const gaps = noted ?? [];
    // wrong counts do not prove that nothing is missing, and gaps that cannot be read may not have been reported
    if (unreadable > 0 || !areCountsRight || !noted) {
      if (last > lastSound) holes.push({ first: lastSound + 1, last, reason: 'unreadable' });
      for (const hole of holes) gaps.push(hole); // half a million of them are no arguments of one call
    }
    gaps.push({ first: last + 1, last: last + skipped, reason: 'unreadable' });
    const insertGap = to.prepare('INSERT OR REPLACE INTO gap (first, last, reason) VALUES (@first, @last, @reason)');
    for (const gap of gaps) writing(() => insertGap.run({ ...gap }));
    giveOutAfter(to, 'event', last + skipped);
    // also where the next repair finds it if it cannot read that one; so old that it counts in no minute of any event
    to.prepare('INSERT INTO recent (sequence, boot, onset_monotonic_ms) SELECT ?, id, -600000 FROM boot LIMIT 1').run(last + skipped);
  })();
}

/**
 * Copies the readable events unchanged, a thousand at a time; the schema refuses impossible ones. Returns how many, the
 * last number, and the numbers before it that no event has: sent before, or lost.
 */
function copyEvents(from: SqliteDatabase, to: SqliteDatabase, newest: number, progress: () => void): { sound: number; last: number; holes: Gap[] } {
  const insert = to.prepare(insertSql);
  const holes: Gap[] = [];
  let [sound, last, known] = [0, 0, ''];
  for (const row of readableRows<Row>(from, { table: 'event', sql: pendingSql }, newest, progress))
    writing(() => {
      const referred = `${row.boot_id} ${row.model_name} ${row.model_version}`;
      if (referred !== known) knowOf(to, row);
      known = referred;
      insert.run(row);
      if (row.sequence > last + 1) holes.push({ first: last + 1, last: row.sequence - 1, reason: 'unreadable' });
      last = row.sequence;
      sound++;
    });
  return { sound, last, holes };
}

/**
 * Copies boots in their order, since the last one is looked up, and when they began: hours refer to that, and a half
 * that noted it in this boot does not note it again.
 */
function copyBoots(from: SqliteDatabase, to: SqliteDatabase): void {
  const boots = reading(() => from.prepare<[], object>('SELECT boot_id, began_wall_ms FROM boot ORDER BY id').all());
  const insert = to.prepare('INSERT INTO boot (boot_id, began_wall_ms) VALUES (@boot_id, @began_wall_ms)');
  for (const boot of boots ?? []) writing(() => insert.run(boot)) ?? writing(() => insert.run({ ...boot, began_wall_ms: null }));
}

/**
 * Copies what the listener reported last, if it can be read: the next report may be twenty minutes away, and until then
 * the listener would be taken for silent.
 */
function copyHearing(from: SqliteDatabase, to: SqliteDatabase): void {
  const row = reading(() => from.prepare<[], HearingRow>(readHearingSql).get());
  if (!row) return;
  writing(() => {
    knowOf(to, row);
    to.prepare(writeHearingSql).run({ interval_seconds: null, ...row }); // a column that older releases do not have
  });
}

/**
 * Copies the hours that can be read and whose numbers can be right. Numbering continues far behind the last one, since
 * unreadable hours may have been sent. If the last number cannot be right, it continues behind any number that may have
 * been given out.
 */
function copySummaries(from: SqliteDatabase, to: SqliteDatabase, lastEvent: number, progress: () => void): void {
  const most = maxHour - skippedHours;
  const read = (sql: string) => reading(() => from.prepare(sql).pluck().get());
  const last = read("SELECT seq FROM sqlite_sequence WHERE name = 'hour_summary'");
  const known = [last, read('SELECT max(sequence) FROM hour_summary')].filter((number) => isNumber(number, most));
  let waiting = 0;
  for (const hour of readableRows<SummaryRow>(from, { table: 'hour_summary', sql: readSummariesSql }, Math.max(0, ...known) || most, progress)) {
    writing(() => {
      knowOf(to, hour);
      to.prepare(writeSummarySql).run(hour);
    });
    waiting = hour.sequence;
  }
  const newest = isNumber(last, most) && last >= waiting ? last : Math.max(waiting, unusedHour(lastEvent));
  giveOutAfter(to, 'hour_summary', newest + skippedHours);
}

/** Copies what the listener has learnt of this place in two weeks, as far as it can be read. */
function copyUsualLevels(from: SqliteDatabase, to: SqliteDatabase): void {
  const levels = reading(() => from.prepare('SELECT * FROM usual_level').all());
  const insert = to.prepare(
    'INSERT INTO usual_level (hour, quarters, floor_millibels, loud_millibels) VALUES (@hour, @quarters, @floor_millibels, @loud_millibels)',
  );
  for (const level of levels ?? []) writing(() => insert.run(level));
}

/**
 * Copies the days from which thresholds are calibrated. A day is whole or left out: without its counts it would be a
 * day on which nothing was heard.
 */
function copyListeningDays(from: SqliteDatabase, to: SqliteDatabase): void {
  const days = reading(() => readListeningDays(from, reading));
  const insert = to.transaction((day: ListeningDay) => {
    knowModel((sql) => to.prepare(sql), day.model);
    writeListeningDay(to, day);
  });
  for (const day of days ?? []) writing(() => insert(day));
}

function knowOf(to: SqliteDatabase, { boot_id, model_name, model_version }: Pick<Row, 'boot_id' | 'model_name' | 'model_version'>): void {
  know((sql) => to.prepare(sql), { bootId: boot_id, model: { name: model_name, version: model_version } });
}
