import { endianness } from 'node:os';
import { type BesideFile, pieceBytes, readingBeside } from './beside.ts';
import { pageBytes } from './header.ts';

const headBytes = 32; // of the log
const beginsWith = headBytes + 24; // with what the first frame begins with
const frameBytes = 24 + pageBytes;
export const indexBytes = 136; // of the shared memory: what is read here

/**
 * Counts the commits that stand in a WAL file after the last one that SQLite will read. After a power cut that is at
 * most one, whose transaction had not been synced. More means that a synced part was damaged; SQLite would drop it
 * silently. Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
 */
export function commitsBeyondDamage(walPath: string): number {
  return readingBeside(walPath, commitsBeyondDamageIn) ?? 0;
}

function commitsBeyondDamageIn(file: BesideFile): number {
  const log = readHead(file);
  if (!log || log.isHalfBegun) return 0;
  let { sums, isHeaderIntact: intact } = log;
  let commits = 0;
  for (const frame of framesOf(file)) {
    if (frame.length < frameBytes) break;
    if (!saltsOf(frame).equals(log.salts)) {
      intact = false;
      continue;
    }
    if (intact) {
      sums = checksumWith(sums, frame, log.littleEndian);
      intact = isSum(sums, frame, 16);
    }
    if (!intact && frame.readUInt32BE(4) > 0) commits++;
  }
  return commits;
}

/**
 * Whether the WAL lacks frames that were committed to it: it is gone, cut, empty or noise. SQLite takes that for a log
 * that was never written, and numbers would be given out twice. The shared memory beside it tells, since SQLite writes
 * its header only after the frames are synced, and deletes it together with the WAL when the last process closes in
 * order.
 *
 * If all frames are in the main file already, a log of which none is left has lost nothing. If some are left, SQLite
 * reads the pages in them in place of newer ones in the main file. After a power cut the shared memory may be some 30
 * s old: then it does not describe what was written since, nor a log that began anew since, which increments its first
 * salt. If it is missing, this finds nothing, and reserved-numbers.ts makes sure that no number is given out twice.
 * Format: https://www.sqlite.org/walformat.html#the_wal_index_file_format
 */
export function lacksCommits(path: string): boolean {
  const index = readIndex(`${path}-shm`);
  if (!index) return false;
  const log = readingBeside(`${path}-wal`, intactFrames);
  if (log?.isHalfBegun || (log?.isHeaderIntact && isLater(log.salts, index.salts))) return false;
  const frames = log?.salts.equals(index.salts) ? log.frames : 0;
  const short = frames < index.frames && (frames > 0 || index.frames > index.inMainFile);
  // another process may have begun the log anew in between
  return short && readIndex(`${path}-shm`)?.header.equals(index.header) === true;
}

/** Whether the WAL was cut below what was brought into the file: SQLite would read its pages in place of newer ones. */
export function hidesNewerPages(path: string): boolean {
  const [index, log] = [readIndex(`${path}-shm`), readingBeside(`${path}-wal`, intactFrames)];
  return index !== undefined && log?.salts.equals(index.salts) === true && log.frames > 0 && log.frames < index.inMainFile;
}

/**
 * Whether there is no WAL, or none that SQLite would read, so that the file itself holds all that the outbox shows. A
 * log that begins anew has a header, or part of one if the power failed while it was written.
 */
export function isWithoutHeader(walPath: string): boolean {
  const log = readingBeside(walPath, readHead);
  return !log?.isHeaderIntact && !log?.isHalfBegun;
}

/**
 * Whether the header is a torn mix of the new header and the one it replaces, as left by a power cut while the log
 * began anew, with all frames in the file. The old header is known: the first frame has its salts, its count was one
 * less, and its end is still there.
 */
function isHalfBegunAs(wal: Buffer): boolean {
  if (wal.length < beginsWith) return false;
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
  return readingBeside(walPath, ({ read }) => read(0, headBytes));
}

/**
 * The offset after the last frame of the WAL that SQLite reads. Undefined if a frame of this log, by its salts, stands
 * behind that, or if the shared memory does not list exactly the whole frames: processes that have the outbox open may
 * still read others. Call it only while nobody can write.
 */
export function staleFrom(file: BesideFile, memory: Buffer): number | undefined {
  const [log, index] = [intactFrames(file), indexIn(memory)];
  if (!log?.isHeaderIntact || !index?.salts.equals(log.salts) || index.frames !== log.frames) return undefined;
  const end = headBytes + log.frames * frameBytes;
  for (const frame of framesOf(file, end)) if (frame.length >= 16 && saltsOf(frame).equals(log.salts)) return undefined;
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
  return readingBeside(path, ({ read }) => indexIn(read(0, indexBytes)));
}

function indexIn(bytes: Buffer): WalIndex | undefined {
  if (bytes.length < indexBytes) return undefined;
  const header = bytes.subarray(0, 48);
  const number = (at: number) => (endianness() === 'LE' ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at));
  // there are two copies: if they differ, a process died while it wrote them
  if (number(0) !== 3_007_000 || bytes.readUInt8(12) !== 1 || !header.equals(bytes.subarray(48, 96))) return undefined;
  const [first, second] = checksum([0, 0], header.subarray(0, 40), endianness() === 'LE');
  if (first !== number(40) || second !== number(44)) return undefined;
  return { header, frames: number(16), inMainFile: number(96), salts: header.subarray(32, 40) };
}

interface Head {
  readonly isHeaderIntact: boolean;
  readonly isHalfBegun: boolean;
  readonly littleEndian: boolean;
  readonly salts: Buffer;
  readonly sums: Sums;
}

/** What the header of a WAL says; undefined if there is none. */
function readHead(file: BesideFile): Head | undefined {
  const wal = file.read(0, beginsWith);
  if (wal.length < headBytes) return undefined;
  const littleEndian = wal.readUInt32BE(0) === 0x377f0682;
  const sums = checksum([0, 0], wal.subarray(0, 24), littleEndian);
  const isHeaderIntact = isSum(sums, wal, 24);
  const isHalfBegun = !isHeaderIntact && isHalfBegunAs(wal);
  return { isHeaderIntact, isHalfBegun, littleEndian, salts: wal.subarray(16, 24), sums };
}

/** How many frames of a WAL are whole, counted from the first. */
function intactFrames(file: BesideFile): (Head & { readonly frames: number }) | undefined {
  const log = readHead(file);
  let frames = 0;
  if (!log?.isHeaderIntact) return log && { ...log, frames };
  let { sums } = log;
  for (const frame of framesOf(file)) {
    if (frame.length < frameBytes || !saltsOf(frame).equals(log.salts)) break;
    sums = checksumWith(sums, frame, log.littleEndian);
    if (!isSum(sums, frame, 16)) break;
    frames++;
  }
  return { ...log, frames };
}

/**
 * Every frame, and what is left behind the last whole one; of many in a row that are zeros only some, for they tell the
 * same and a hole in a file may be gigabytes long. A buffer is valid until the next is asked for.
 */
function* framesOf(file: BesideFile, from = headBytes): Generator<Buffer> {
  for (const piece of file.pieces(from, frameBytes)) {
    const isHole = piece.equals(zeros.subarray(0, piece.length));
    for (let at = 0; at < (isHole ? 1 : piece.length); at += frameBytes) yield piece.subarray(at, at + frameBytes);
  }
}

const zeros = Buffer.alloc(pieceBytes);
const saltsOf = (frame: Buffer) => frame.subarray(8, 16);

function checksumWith(sums: Sums, frame: Buffer, littleEndian: boolean): Sums {
  return checksum(checksum(sums, frame.subarray(0, 8), littleEndian), frame.subarray(24), littleEndian);
}

function isSum([first, second]: Sums, bytes: Buffer, at: number): boolean {
  return first === bytes.readUInt32BE(at) && second === bytes.readUInt32BE(at + 4);
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
