import { readFileSync } from 'node:fs';

/**
 * Commits that stand in a WAL file after the last one SQLite will read. After a power cut that is at most one, whose
 * transaction had not been synced; more means that a synced part was damaged, and SQLite would drop it without a word.
 * Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
 */
export function commitsBeyondDamage(walPath: string): number {
  let wal: Buffer;
  try {
    wal = readFileSync(walPath);
  } catch {
    return 0;
  }
  if (wal.length < 32) return 0;
  const littleEndian = wal.readUInt32BE(0) === 0x377f0682;
  const frameBytes = 24 + wal.readUInt32BE(8);
  const salts = wal.subarray(16, 24);
  let sums = checksum([0, 0], wal.subarray(0, 24), littleEndian);
  let intact = sums[0] === wal.readUInt32BE(24) && sums[1] === wal.readUInt32BE(28);
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

type Sums = readonly [number, number];

function checksum([first, second]: Sums, data: Buffer, littleEndian: boolean): Sums {
  let [a, b] = [first, second];
  for (let at = 0; at + 8 <= data.length; at += 8) {
    a = (a + (littleEndian ? data.readUInt32LE(at) : data.readUInt32BE(at)) + b) >>> 0;
    b = (b + (littleEndian ? data.readUInt32LE(at + 4) : data.readUInt32BE(at + 4)) + a) >>> 0;
  }
  return [a, b];
}
