import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { expect } from 'vitest';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import type { ListeningDay } from '../../agent/outbox/threshold-rows.ts';
import { viewOutbox } from '../../agent/outbox/view-outbox.ts';
import { openPatient } from './patient.ts';
import { limits, recordedEvent } from './samples.ts';

export const stored = 300;
export const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i);

/**
 * Leaves a listener's outbox as after a power cut (300 events, the first 100 sent, main file and WAL) or, with the
 * shared memory, as after a kill.
 */
export function leaveOutbox(path: string, ends = ['', '-wal']): string {
  const outbox = openSqliteOutbox(path, limits, { reserve: true });
  for (let i = 1; i <= stored; i++) {
    outbox.append(recordedEvent(i));
    if (i === 200) outbox.acknowledge(range(1, 100));
  }
  const copy = join(dirname(path), 'copy');
  mkdirSync(copy);
  for (const end of ends) cpSync(`${path}${end}`, join(copy, `outbox.db${end}`));
  const { id } = outbox;
  outbox.close();
  for (const end of ['', '-wal', '-shm']) rmSync(`${path}${end}`, { force: true });
  for (const end of ends) cpSync(join(copy, `outbox.db${end}`), `${path}${end}`);
  rmSync(copy, { recursive: true });
  return id;
}

export function overwrite(file: string, offset: number, length: number, fill: (i: number) => number): void {
  const bytes = readFileSync(file);
  for (let i = offset; i < Math.min(bytes.length, offset + length); i++) bytes[i] = fill(i);
  writeFileSync(file, bytes);
}

/**
 * The used part of a WAL: after a checkpoint it is rewritten from its start, and older frames behind have other salts.
 */
export function liveBytes(wal: string): number {
  const bytes = readFileSync(wal);
  const frameBytes = 24 + bytes.readUInt32BE(8);
  let at = 32;
  while (at + frameBytes <= bytes.length && bytes.subarray(at + 8, at + 16).equals(bytes.subarray(16, 24))) at += frameBytes;
  return at;
}

/** The days of listening in an outbox, as a command reads them. */
export function listeningDays(path: string): readonly ListeningDay[] {
  const view = viewOutbox(path);
  const days = view.listeningDays();
  view.close();
  return days;
}

/** The files set aside beside an outbox. */
export const quarantined = (path: string) => readdirSync(dirname(path)).filter((name) => /\.damaged-\d+$/.test(name));

/** Opens a damaged outbox, checks what must hold after any damage, and returns the sequence numbers kept. */
export function recoveredOutbox(path: string, id: string): { kept: number[]; sameId: boolean; outbox: Outbox } {
  const began = performance.now();
  const outbox = openPatient(path);
  expect(outbox.append(recordedEvent(9000))).toBe('stored');
  expect(performance.now() - began).toBeLessThan(10_000);
  const events = outbox.pending(0, 1000);
  const sameId = outbox.id === id;
  for (const { sequence, ...event } of events.slice(0, -1)) expect(event).toEqual(recordedEvent(sequence));
  // a sequence number is never used twice
  if (sameId) expect(events.at(-1)?.sequence).toBeGreaterThan(stored);
  const { stored: all, sent, expired, unreadable } = outbox.fates();
  expect(all).toBe(events.length + sent + expired + unreadable);
  const db = new Database(path);
  expect(db.pragma('integrity_check', { simple: true })).toBe('ok');
  db.close();
  return { kept: events.slice(0, -1).map((e) => e.sequence), sameId, outbox };
}

export const pageBytes = 1024;

interface Page {
  readonly table: string;
  readonly isLeaf: boolean;
  readonly events: readonly { sequence: number; at: number }[]; // `at`: the position of its number in the file
}

/** The content of each page of an intact outbox. */
export function pagesOf(path: string): Page[] {
  const bytes = readFileSync(path);
  const db = new Database(path, { readonly: true });
  const rows = db.prepare('SELECT pageno, name, pagetype FROM dbstat ORDER BY pageno').all() as { pageno: number; name: string; pagetype: string }[];
  db.close();
  const pages: Page[] = Array.from({ length: bytes.length / pageBytes }, () => ({ table: 'free', isLeaf: false, events: [] }));
  for (const { pageno, name, pagetype } of rows) {
    const isLeaf = pagetype === 'leaf';
    pages[pageno - 1] = { table: name, isLeaf, events: name === 'event' && isLeaf ? eventsOn(bytes, (pageno - 1) * pageBytes) : [] };
  }
  return pages;
}

/** The row numbers on a leaf page. https://www.sqlite.org/fileformat2.html#b_tree_pages */
function eventsOn(bytes: Buffer, page: number): { sequence: number; at: number }[] {
  return range(0, bytes.readUInt16BE(page + 3) - 1).map((cell) => {
    const cellAt = page + bytes.readUInt16BE(page + 8 + 2 * cell);
    const at = cellAt + variable(bytes, cellAt)[1]; // after its length
    return { sequence: variable(bytes, at)[0], at };
  });
}

/** Reads a number of seven bits per byte; returns it and its length in bytes. */
function variable(from: Buffer, at: number): [value: number, bytes: number] {
  let value = 0;
  for (let bytes = 1; ; bytes++) {
    const byte = from.readUInt8(at + bytes - 1);
    value = value * 128 + (byte & 0x7f);
    if (byte < 0x80) return [value, bytes];
  }
}
