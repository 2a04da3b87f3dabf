import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { endianness } from 'node:os';

/**
 * Counts the commits that stand in a WAL file after the last one that SQLite will read. After a power cut that is at
 * most one, whose transaction had not been synced. More means that a synced part was damaged; SQLite would drop it
 * silently. Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
 */
export function commitsBeyondDamage(walPath: string): number {
  const wal = readOrNothing(walPath);
  if (!wal || wal.length < 32) return 0;
  const littleEndian = wal.readUInt32BE(0) === 0x377f0682;
  const frameBytes = 24 + wal.readUInt32BE(8);
  const salts = wal.subarray(16, 24);
  let sums = checksum([0, 0], wal.subarray(0, 24), littleEndian);
  let intact = sums[0] === wal.readUInt32BE(24) && sums[1] === wal.readUInt32BE(28);
  if (!intact && isHalfBegun(wal)) return 0;
  let commits = 0;
  for (let at = 32; at + frameBytes <= wal.length; at += frameBytes) {
    if (!wal.subarray(at + 8, at + 16).equals(salts)) {
      if (intact) intact = false;
      continue;
    }
    if (intact) {
      sums = checksum(checksum(sums, wal.subarray(at, at + 8), littleEndian), wal.subarray(at + 24, at + frameBytes), littleEndian);
      intact = sums[0] === wal.readUInt32BE(at + 16) && sums[1] === wal.readUInt32BE(at + 20);
    }
    if (!intact && wal.readUInt32BE(at + 4) > 0) commits++;
  }
  return commits;
}

/**
 * Whether the WAL lacks frames that were committed to it: it is gone, cut, empty or noise. SQLite takes that for a log
 * that was never written, and numbers would be given out twice. The shared memory beside it tells, since SQLite writes
 * its header only after the frames are synced, and deletes it together with the WAL when the last process closes in
 * order.
 *
 * Frames that are already in the main file do not count. After a power cut the shared memory may be some 30 s old: then
 * it does not describe what was written since, nor a log that began anew since, which increments its first salt. If it
 * is missing, this finds nothing, and reserved-numbers.ts makes sure that no number is given out twice. Format:
 * https://www.sqlite.org/walformat.html#the_wal_index_file_format
 */
export function lacksCommits(path: string): boolean {
  const index = readIndex(`${path}-shm`);
  if (!index || index.frames <= index.inMainFile) return false;
  const log = intactFrames(`${path}-wal`);
  if (log?.isHalfBegun || (log?.isHeaderIntact && isLater(log.salts, index.salts))) return false;
  const short = !log?.salts.equals(index.salts) || log.frames < index.frames;
  // another process may have begun the log anew in between
  return short && readIndex(`${path}-shm`)?.header.equals(index.header) === true;
}

/**
 * Whether there is no WAL, or none that SQLite would read, so that the file itself holds all that the outbox shows. A
 * log that begins anew has a header, or part of one if the power failed while it was written.
 */
export function isWithoutHeader(walPath: string): boolean {
  const log = intactFrames(walPath);
  return !log?.isHeaderIntact && !log?.isHalfBegun;
}

/**
 * Whether the header is a torn mix of the new header and the one it replaces, as left by a power cut while the log
 * began anew, with all frames in the file. The old header is known: the first frame has its salts, its count was one
 * less, and its end is still there.
 */
function isHalfBegun(wal: Buffer): boolean {
  if (wal.length < 32 + 24) return false;
  const littleEndian = wal.readUInt32BE(0) === 0x377f0682;
  const before = Buffer.from(wal.subarray(0, 24));
  before.writeUInt32BE((wal.readUInt32BE(12) - 1) >>> 0, 12);
  wal.copy(before, 16, 32 + 8, 32 + 16);
  const [written, earlier] = [wal.subarray(0, 24), before].map((header) => {
    const sums = Buffer.alloc(8);
    checksum([0, 0], header, littleEndian).forEach((sum, i) => void sums.writeUInt32BE(sum, 4 * i));
    return sums;
  }) as [Buffer, Buffer];
  const found = wal.subarray(24, 32);
  return Array.from({ length: 8 }, (_, at) => Buffer.concat([written.subarray(0, at), earlier.subarray(at)])).some((sums) => sums.equals(found));
}

/** Whether a log with these salts began after one with those: the first salt is incremented, and wraps to 0. */
function isLater(salts: Buffer, than: Buffer): boolean {
  const ahead = (salts.readUInt32BE(0) - than.readUInt32BE(0)) >>> 0;
  return ahead > 0 && ahead < 2 ** 31;
}

/** The first bytes of a WAL; they differ once it has begun anew. */
export function headerOf(walPath: string): Buffer | undefined {
  return readOrNothing(walPath)?.subarray(0, 32);
}

/**
 * The offset after the last frame of the WAL that SQLite reads. Undefined if a frame of this log, by its salts, stands
 * behind that, or if the shared memory, an open file, does not list exactly the whole frames: processes that have the
 * outbox open may still read others. Call it only while nobody can write.
 */
export function staleFrom(walPath: string, memory: number): number | undefined {
  const [wal, log, index] = [readOrNothing(walPath), intactFrames(walPath), indexIn(memory)];
  if (!wal || !log?.isHeaderIntact || !index?.salts.equals(log.salts) || index.frames !== log.frames) return undefined;
  const frameBytes = 24 + wal.readUInt32BE(8);
  const end = 32 + log.frames * frameBytes;
  for (let at = end; at + 16 <= wal.length; at += frameBytes) if (wal.subarray(at + 8, at + 16).equals(log.salts)) return undefined;
  return end;
}

interface WalIndex {
  readonly header: Buffer;
  readonly frames: number;
  readonly inMainFile: number;
  readonly salts: Buffer;
}

/** Do not call it while this process has the outbox open: closing a file drops all locks of the process on it. */
function readIndex(path: string): WalIndex | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return undefined;
  }
  try {
    return indexIn(file);
  } finally {
    closeSync(file);
  }
}

function indexIn(file: number): WalIndex | undefined {
  const bytes = Buffer.alloc(136);
  if (readSync(file, bytes, 0, bytes.length, 0) < bytes.length) return undefined;
  const header = bytes.subarray(0, 48);
  const number = (at: number) => (endianness() === 'LE' ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
  // there are two copies: if they differ, a process died while it wrote them
  if (number(0) !== 3_007_000 || bytes.readUInt8(12) !== 1 || !header.equals(bytes.subarray(48, 96))) return undefined;
  const [first, second] = checksum([0, 0], header.subarray(0, 40), endianness() === 'LE');
  if (first !== number(40) || second !== number(44)) return undefined;
  return { header, frames: number(16), inMainFile: number(96), salts: header.subarray(32, 40) };
}

/** How many frames of a WAL are whole, counted from the first. */
function intactFrames(path: string): { isHeaderIntact: boolean; isHalfBegun: boolean; salts: Buffer; frames: number } | undefined {
  const wal = readOrNothing(path);
  if (!wal || wal.length < 32) return undefined;
  const littleEndian = wal.readUInt32BE(0) === 0x377f0682;
  const frameBytes = 24 + wal.readUInt32BE(8);
  const salts = wal.subarray(16, 24);
  let sums = checksum([0, 0], wal.subarray(0, 24), littleEndian);
  let frames = 0;
  if (sums[0] !== wal.readUInt32BE(24) || sums[1] !== wal.readUInt32BE(28)) return { isHeaderIntact: false, isHalfBegun: isHalfBegun(wal), salts, frames };
  for (let at = 32; at + frameBytes <= wal.length; at += frameBytes) {
    if (!wal.subarray(at + 8, at + 16).equals(salts)) break;
    sums = checksum(checksum(sums, wal.subarray(at, at + 8), littleEndian), wal.subarray(at + 24, at + frameBytes), littleEndian);
    if (sums[0] !== wal.readUInt32BE(at + 16) || sums[1] !== wal.readUInt32BE(at + 20)) break;
    frames++;
  }
  return { isHeaderIntact: true, isHalfBegun: false, salts, frames };
}

function readOrNothing(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

type Sums = readonly [number, number];

function checksum([first, second]: Sums, data: Buffer, littleEndian: boolean): Sums {
  let [a, b] = [first, second];
  for (let at = 0; at + 8 <= data.length; at += 8) {
    a = (a + (littleEndian ? data.readUInt32LE(at) : data.readUInt32BE(at)) + b) >>> 0;
    b = (b + (littleEndian ? data.readUInt32LE(at + 4) : data.readUInt32BE(at + 4)) + a) >>> 0;
  }
  return [a, b];
}
