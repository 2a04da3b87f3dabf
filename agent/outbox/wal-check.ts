import { readFileSync } from 'node:fs';
import { endianness } from 'node:os';

/**
 * Commits that stand in a WAL file after the last one SQLite will read. After a power cut that is at most one, whose
 * transaction had not been synced; more means that a synced part was damaged, and SQLite would drop it without a word.
 * Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
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
 * Whether the WAL lacks frames that were committed to it: it is gone, cut, of zero length or noise, which SQLite takes for a log that was
 * never written, and numbers would be given out twice. The shared memory beside it tells, for SQLite writes its header only after the
 * frames are synced and deletes it together with the WAL when the last process closes in order. What it says of frames that stand
 * in the main file already does not count. After a power cut it may be some 30 s old: what was written since, and a log that began anew since, which counts
 * its first salt up, is not what it tells of. It may not be there at all: then this finds nothing, and reserved-numbers.ts sees to it that no number is given
 * out twice.
 * Format: https://www.sqlite.org/walformat.html#the_wal_index_file_format
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
 * Whether there is no WAL, or none that SQLite would read: what the outbox shows is then in its file. One that begins anew has its header, or a part of it where the
 * power went while that was written.
 */
export function isWithoutHeader(walPath: string): boolean {
  const log = intactFrames(walPath);
  return !log?.isHeaderIntact && !log?.isHalfBegun;
}

/**
 * Whether a header that is not whole is one that was being written over the one before, for a log that begins anew, once all was brought into the file: of that before
 * the first frame has the salts, its count was one less, and its end is still there.
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

/** Whether a log of these salts began after one of those: the first goes up by one, and begins with 0 behind its greatest value. */
function isLater(salts: Buffer, than: Buffer): boolean {
  const ahead = (salts.readUInt32BE(0) - than.readUInt32BE(0)) >>> 0;
  return ahead > 0 && ahead < 2 ** 31;
}

/** The first bytes of a WAL, which differ once it has begun anew. */
export function headerOf(walPath: string): Buffer | undefined {
  return readOrNothing(walPath)?.subarray(0, 32);
}

/**
 * From where on SQLite reads nothing of the WAL of an outbox any more; nothing where a frame of this log stands behind one that is not whole, or the shared memory knows
 * of more: who has the outbox open reads those unseen. Call while nobody can write.
 */
export function staleFrom(path: string): number | undefined {
  const [wal, log, index] = [readOrNothing(`${path}-wal`), intactFrames(`${path}-wal`), readIndex(`${path}-shm`)];
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

function readIndex(path: string): WalIndex | undefined {
  const bytes = readOrNothing(path);
  if (!bytes || bytes.length < 136) return undefined;
  const header = bytes.subarray(0, 48);
  const number = (at: number) => (endianness() === 'LE' ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
  // two copies: where they differ, a process died while it wrote them
  if (number(0) !== 3_007_000 || bytes.readUInt8(12) !== 1 || !header.equals(bytes.subarray(48, 96))) return undefined;
  const [first, second] = checksum([0, 0], header.subarray(0, 40), endianness() === 'LE');
  if (first !== number(40) || second !== number(44)) return undefined;
  return { header, frames: number(16), inMainFile: number(96), salts: header.subarray(32, 40) };
}

/** How many frames of a WAL are whole, from its first on. */
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
