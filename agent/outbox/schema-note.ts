// Without its schema no row of an outbox can be read, and the pages of the schema change only when a release brings its
// own. They are kept a second time, in PATH.schema, and put back where they are damaged. A note is a hint: if it is
// missing, damaged or of another outbox, it changes nothing.
import { hash } from 'node:crypto';
import { closeSync, constants, existsSync, fchmodSync, fstatSync, fsyncSync, openSync, readSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { z } from 'zod';
import { hasCode } from '../lib/errors.ts';
import { readingBeside } from './beside.ts';
import { headerBytes, pageBytes } from './header.ts';
import { isOfPlainTables, reading } from './readable-rows.ts';
import type { OpenDatabase, SqliteDatabase } from './sqlite.ts';

const blockBytes = 4096; // of the file systems that a card has
const mostNoteBytes = 1_000_000; // fifty times what one takes
const pagesInBlock = blockBytes / pageBytes;
const blockOf = (page: number) => Math.floor((page - 1) / pagesInBlock);

const Note = z.strictObject({
  outbox: z.string(),
  version: z.int(), // of the schema
  changes: z.int(), // of the schema, as SQLite counts them
  pages: z.array(z.strictObject({ page: z.int().min(1), content: z.base64() })).min(1),
});
const Summed = z.strictObject({ note: z.string(), sha256: z.string() });

type SchemaNote = z.infer<typeof Note>;

/** What a note describes. */
type Noted = Omit<SchemaNote, 'pages'> & { readonly pages: readonly number[] };

const noteOf = (path: string) => `${path}.schema`;

export function notedOf(db: SqliteDatabase): Noted {
  return { outbox: idOf(db) as string, ...schemaIn(db) };
}

function idOf(db: SqliteDatabase): unknown {
  return db.prepare('SELECT id FROM outbox').pluck().get();
}

function schemaIn(db: SqliteDatabase): Omit<Noted, 'outbox'> {
  return {
    version: db.pragma('user_version', { simple: true }) as number,
    changes: db.pragma('schema_version', { simple: true }) as number,
    pages: db.prepare("SELECT pageno FROM dbstat WHERE name = 'sqlite_schema' ORDER BY pageno").pluck().all() as number[],
  };
}

export function isNoted(path: string, { outbox, ...schema }: Noted): boolean {
  const note = readNote(path);
  return note !== undefined && note.outbox === outbox && isOfSchema(note, schema);
}

function isOfSchema({ version, changes, pages }: SchemaNote, schema: Omit<Noted, 'outbox'>): boolean {
  return JSON.stringify({ version, changes, pages: pages.map(({ page }) => page) }) === JSON.stringify(schema);
}

/**
 * Notes the pages, which must stand in the file and not only in its log. Do not call it while this process has the
 * outbox open: closing a file drops all locks of the process on it.
 */
export function noteSchema(path: string, noted: Noted): void {
  const content = readPages(path, noted.pages);
  const pages = noted.pages.map((page, i) => ({ page, content: content[i]?.toString('base64') }));
  const text = textOf(Note.parse({ ...noted, pages }));
  const file = openSync(noteOf(path), 'wx', 0o600);
  try {
    fchmodSync(file, statSync(path).mode & 0o777);
    writeFileSync(file, text);
    fsyncSync(file);
  } catch (error) {
    forgetSchema(path); // what is cut off is none
    throw error;
  } finally {
    closeSync(file);
  }
}

/**
 * The id of the outbox that the note describes, if its schema stands on the noted pages; the header, in which SQLite
 * counts, may be damaged as well.
 */
export function notedId(path: string, db: SqliteDatabase): string | undefined {
  const note = readNote(path);
  const pages = reading(() => schemaIn(db).pages);
  return note && pages && isOfSchema(note, { version: note.version, changes: note.changes, pages }) ? note.outbox : undefined;
}

export function forgetSchema(path: string): void {
  rmSync(noteOf(path), { force: true });
}

/** Whether a note holds anything but the pages in the file. Do not call it while this process has the outbox open. */
export function isFalseNote(path: string): boolean {
  const note = readNote(path);
  return !note || !existsSync(path) || textAt(path) !== textOf(note) || damagedPages(path, note).length > 0;
}

/**
 * Puts back the pages that differ from the note, and returns whether it did. If the outbox then turns out to be another
 * one, the former content returns. It opens the outbox, after which damage to the log no longer shows. Do not call it
 * while this process has the outbox open.
 */
export function mendSchema(path: string, open: OpenDatabase): boolean {
  const note = readNote(path);
  if (!note || statSync(path).size < pageBytes * Math.max(...note.pages.map(({ page }) => page))) return false;
  const seen = damagedPages(path, note);
  // if the first block cannot be read, it could be written only together with the header in it
  if (seen.length === 0 || seen.some(({ page, found }) => !found && blockOf(page) === 0)) return false;
  // what can be read must match the note: a release may have brought its own schema since, in the log, which this moves
  // into the file
  const schema = reading(() => asking(path, open, schemaIn));
  if (schema && !isOfSchema(note, schema)) return false;
  const damaged = damagedPages(path, note);
  let isOfThis = false;
  try {
    if (!writePages(path, damaged, 'noted')) return false;
    const id = reading(() => asking(path, open, (db) => (isOfPlainTables(db) ? idOf(db) : 'of a schema that is not ours')));
    // the page of the id may be damaged as well: then most of the schema must match the note
    const isLikely = () => damaged.length * 2 < note.pages.length && reading(() => asking(path, open, schemaIn)) !== undefined;
    isOfThis = id === undefined ? isLikely() : id === note.outbox;
  } finally {
    if (!isOfThis) writePages(path, damaged, 'found');
  }
  return isOfThis;
}

interface DamagedPage {
  readonly page: number;
  readonly noted: Buffer;
  readonly found: Buffer | undefined; // nothing where the disk cannot read it
}

function damagedPages(path: string, { pages }: SchemaNote): DamagedPage[] {
  const found = readPages(
    path,
    pages.map(({ page }) => page),
  );
  return pages
    .map(({ page, content }, i) => ({ page, noted: Buffer.from(content, 'base64'), found: found[i] }))
    .filter(({ noted, found }) => !found?.equals(noted));
}

/** A page; of the first one, what follows the header, in which SQLite counts. */
const placeOf = (page: number) => (page === 1 ? { at: headerBytes, length: pageBytes - headerBytes } : { at: (page - 1) * pageBytes, length: pageBytes });

function readPages(path: string, pages: readonly number[]): (Buffer | undefined)[] {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK); // a pipe would wait for somebody who writes
  try {
    return pages.map((page) => {
      const { at, length } = placeOf(page);
      const content = Buffer.alloc(length);
      try {
        return readSync(file, content, 0, length, at) === length ? content : undefined;
      } catch (error) {
        if (hasCode(error, /^EIO$/)) return undefined;
        throw error;
      }
    });
  } finally {
    closeSync(file);
  }
}

/** Whether the disk took them: a block that cannot be read may not be writable either. */
function writePages(path: string, pages: readonly DamagedPage[], which: 'noted' | 'found'): boolean {
  const file = openSync(path, 'r+');
  try {
    if (which === 'noted') clearUnreadable(path, file, pages);
    for (const page of pages) {
      const content = page[which];
      if (content) writeSync(file, content, 0, content.length, placeOf(page.page).at);
    }
    fsyncSync(file);
    return true;
  } catch (error) {
    if (hasCode(error, /^EIO$/)) return false;
    throw error;
  } finally {
    closeSync(file);
  }
}

/** A block that cannot be read can be written only as a whole, with whatever else of it can be read. */
function clearUnreadable(path: string, file: number, pages: readonly DamagedPage[]): void {
  const blocks = new Set(pages.filter(({ found }) => !found).map(({ page }) => blockOf(page)));
  for (const block of blocks) {
    const content = readPages(
      path,
      Array.from({ length: pagesInBlock }, (_, i) => block * pagesInBlock + i + 1),
    ).map((page) => page ?? Buffer.alloc(pageBytes));
    writeSync(file, Buffer.concat(content), 0, Math.min(blockBytes, fstatSync(file).size - block * blockBytes), block * blockBytes);
  }
}

function asking<T>(path: string, open: OpenDatabase, ask: (db: SqliteDatabase) => T): T {
  const db = open(path);
  try {
    return ask(db);
  } finally {
    db.close();
  }
}

/** Undefined if there is none, or if it is not exactly as it was written. */
function readNote(path: string): SchemaNote | undefined {
  try {
    const { note, sha256 } = Summed.parse(JSON.parse(textAt(path)));
    if (sha256 !== hash('sha256', note)) return undefined;
    const parsed = Note.parse(JSON.parse(note));
    return parsed.pages.every(({ page, content }) => Buffer.from(content, 'base64').length === placeOf(page).length) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

function textAt(path: string): string {
  return readingBeside(noteOf(path), ({ read }) => read(0, mostNoteBytes).toString('utf8')) ?? '';
}

function textOf(note: SchemaNote): string {
  const text = JSON.stringify(note);
  return `${JSON.stringify({ note: text, sha256: hash('sha256', text) })}\n`;
}
