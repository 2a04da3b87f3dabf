// The constant parts of an outbox file's header. With one byte of it overwritten, SQLite takes the file for read-only
// or for no database, or reads other pages than were written, although every row is still there.
// https://www.sqlite.org/fileformat2.html#the_database_header
import { closeSync, constants, existsSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { hasCode } from '../lib/errors.ts';

export const pageBytes = 1024; // 7 kB are written for an event with 1 kB pages, 17 kB with 4 kB pages

export const headerBytes = 100;
const [pageSizeAt, counterAt, pagesAt, counterOfPagesAt] = [16, 24, 28, 92];
const otherPageBytes = [512, 2048, 4096, 8192, 16_384, 32_768];

/** Its offset, its value, and what else a sound file may have there. */
const constantParts: readonly (readonly [at: number, is: readonly number[], or?: number])[] = [
  [0, [...Buffer.from('SQLite format 3\0')]],
  [pageSizeAt, [pageBytes >> 8, pageBytes & 0xff]],
  [18, [2], 1], // version to write it: 2 with a write-ahead log
  [19, [2], 1], // version to read it
  [20, [0, 64, 32, 32]], // bytes kept free in a page; fractions
  [44, [0, 0, 0]],
  [47, [4], 0], // format of the schema: 0 before the first table
  [52, [0, 0, 0, 0]], // no page is moved by itself
  [56, [0, 0, 0]],
  [59, [1], 0], // UTF-8: 0 before the first table
  [64, [0, 0, 0, 0]], // nor in steps
];

/** Whether a file has a header that SQLite never writes for an outbox, or one that the disk can no longer read. */
export function hasWrongHeader(path: string): boolean {
  if (!existsSync(path)) return false;
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK); // a pipe would wait for somebody who writes
  try {
    const header = readHeader(file);
    return header === 'unreadable' || (header !== undefined && wrongIn(header).length > 0);
  } finally {
    closeSync(file);
  }
}

/** Undefined if the file is shorter. */
function readHeader(file: number): Buffer | 'unreadable' | undefined {
  const header = Buffer.alloc(headerBytes);
  try {
    return readSync(file, header, 0, headerBytes, 0) === headerBytes ? header : undefined;
  } catch (error) {
    if (hasCode(error, /^EIO$/)) return 'unreadable';
    throw error;
  }
}

/**
 * Restores the constant parts; nothing else in the file depends on them. A page count that does not match the file is
 * corrected as well: SQLite counts the pages itself, with those in the log, if the counter of that number is not the
 * file's. Pages of another size, as of a file that a person made anew from a dump, keep it: else none could be read.
 */
export function mendHeader(path: string): void {
  const file = openSync(path, 'r+');
  try {
    const header = readHeader(file);
    if (header === undefined || header === 'unreadable') return;
    const { size } = fstatSync(file);
    const [pages, ofPage] = [header.readUInt32BE(pagesAt), header.readUInt16BE(pageSizeAt)];
    const hasOtherPages = otherPageBytes.includes(ofPage) && pages * ofPage === size; // a damaged number does not fit the file
    for (const [at, is] of wrongIn(header)) if (at !== pageSizeAt || !hasOtherPages) writeSync(file, Buffer.from(is), 0, is.length, at);
    if (!hasOtherPages && pages * pageBytes !== size) {
      const other = Buffer.alloc(4);
      other.writeUInt32BE(~header.readUInt32BE(counterAt) >>> 0);
      writeSync(file, other, 0, 4, counterOfPagesAt);
    }
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function wrongIn(header: Buffer) {
  return constantParts.filter(([at, is, or]) => !is.every((byte, i) => header[at + i] === byte || header[at + i] === or));
}
