// The two version numbers in the header of a SQLite file, bytes 18 and 19: 2 with a write-ahead log, else 1. SQLite takes a file of a
// higher one for read-only, or for no database. https://www.sqlite.org/fileformat2.html#file_format_version_numbers
import { closeSync, existsSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';

const versionsAt = 18;
const withLog = 2;

/** Whether a file has versions that SQLite has never written. */
export function hasWrongVersions(path: string): boolean {
  if (!existsSync(path)) return false;
  const file = openSync(path, 'r');
  try {
    const versions = Buffer.alloc(2);
    const read = readSync(file, versions, 0, 2, versionsAt);
    return read === 2 && versions.some((version) => version < 1 || version > withLog);
  } finally {
    closeSync(file);
  }
}

/** Puts them right: nothing else in the file depends on them. */
export function mendVersions(path: string): void {
  const file = openSync(path, 'r+');
  try {
    writeSync(file, Buffer.from([withLog, withLog]), 0, 2, versionsAt);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
