// Length of the sound in files whose header does not tell. It is needed because a decoder skips what it cannot read
// without an error. A library for this (music-metadata) would add ten more packages to what runs beside a microphone,
// and does not count a flac without a total.

/** Returns the offset after an ID3 tag of either version at `at`, or `at` itself if there is no tag. */
export function skipId3(bytes: Buffer, at = 0): number {
  const name = bytes.toString('latin1', at, at + 3);
  if (name === 'TAG' && at + 128 <= bytes.length) return at + 128;
  if (name !== 'ID3' || at + 10 > bytes.length) return at;
  return at + 10 + [6, 7, 8, 9].reduce((size, i) => size * 128 + ((bytes[at + i] as number) & 127), 0);
}

// Most samples of Vorbis in an ogg page: a stream whose first page ends later is cut out of a longer one.
const pageSamples = 255 * 4096;

/**
 * Samples per channel of an ogg file, from its last page at `last`. Undefined for a part cut out of a stream and for
 * several streams in one file.
 */
export function oggSamples(bytes: Buffer, last: number): number | undefined {
  const positionOf = (page: number) => Number(bytes.readBigInt64LE(page + 6));
  let first = 0;
  while (first < last && positionOf(first) <= 0) first = Math.max(first + 1, bytes.indexOf('OggS', first + 1));
  const isOne = bytes.readUInt32LE(14) === bytes.readUInt32LE(last + 14);
  return isOne && positionOf(first) <= pageSamples && positionOf(last) > 0 ? positionOf(last) : undefined;
}

/**
 * Samples per channel of a flac file, from the header of its last frame. `start`: where the file begins, after its
 * tags.
 */
export function flacSamples(bytes: Buffer, start: number): number | undefined {
  let first = start + 4;
  for (let isLast = false; !isLast; first += 4 + bytes.readUIntBE(first + 1, 3)) isLast = bytes.readUInt8(first) >= 128;
  if (first + 6 > bytes.length) return undefined;
  const like = bytes.subarray(first, first + 4);
  for (let at = bytes.lastIndexOf(like.subarray(0, 2)); at >= first; at = bytes.lastIndexOf(like.subarray(0, 2), at - 1)) {
    // all frames of a stream have the same rate and sample size; their channels may be coded as differences
    const isLike =
      at + 16 <= bytes.length &&
      ((bytes[at + 2] as number) & 15) === ((like[2] as number) & 15) &&
      ((bytes[at + 3] as number) & 15) === ((like[3] as number) & 15);
    const end = isLike ? endOfFlacFrame(bytes, at, bytes.readUInt16BE(start + 8)) : undefined;
    if (end !== undefined) return end;
    if (at === 0) return undefined;
  }
  return undefined;
}

/**
 * The number of the sample after the frame whose header is at `at`; undefined if the checksum shows that it is no
 * header.
 */
function endOfFlacFrame(bytes: Buffer, at: number, fixedBlock: number): number | undefined {
  const lead = bytes[at + 4] as number; // the frame or sample number, encoded like UTF-8
  const more = lead < 0x80 ? 0 : Math.clz32(~(lead << 24)) - 1;
  let number = more === 0 ? lead : lead & (0x3f >> more);
  for (let i = 0; i < more; i++) number = number * 64 + ((bytes[at + 5 + i] as number) & 63);
  let check = at + 5 + more;
  const code = (bytes[at + 2] as number) >> 4;
  const block = code === 1 ? 192 : code === 6 ? bytes.readUInt8(check) + 1 : code === 7 ? bytes.readUInt16BE(check) + 1 : code < 6 ? 144 << code : 1 << code;
  check += code === 6 ? 1 : code === 7 ? 2 : 0;
  const rateCode = (bytes[at + 2] as number) & 15;
  check += rateCode === 12 ? 1 : rateCode === 13 || rateCode === 14 ? 2 : 0;
  if (code === 0 || crc8(bytes.subarray(at, check)) !== bytes[check]) return undefined;
  const isVariable = ((bytes[at + 1] as number) & 1) === 1;
  return (isVariable ? number : number * fixedBlock) + block;
}

function crc8(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 128 ? ((crc << 1) ^ 7) & 255 : crc << 1;
  }
  return crc;
}

const bitRates = {
  first: [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0], // of MPEG 1, layer III, in kbit/s
  lower: [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0], // of MPEG 2 and 2.5
};
const same = 0xfffe0c00; // mask of sync word, version, layer and rate

/**
 * Samples per channel of an mp3 file whose first frame is at `first`, and by how many they may be off. Counts the
 * frames one after the other; a higher count stated in the file is used instead.
 */
export function mp3Samples(bytes: Buffer, first: number, sampleRate: number): { samples: number; tolerance: number } {
  const head = bytes.readUInt32BE(first);
  const isFirst = ((head >>> 19) & 3) === 3;
  const perFrame = isFirst ? 1152 : 576;
  const isMono = ((head >>> 6) & 3) === 3;
  let frames = 0;
  for (let at = first; at + 4 <= bytes.length; ) {
    const next = bytes.readUInt32BE(at);
    const bitRate = bitRates[isFirst ? 'first' : 'lower'][(next >>> 12) & 15] as number;
    if ((next & same) >>> 0 !== (head & same) >>> 0 || bitRate === 0) {
      const tag = skipId3(bytes, at); // tag of a second file, appended to the first
      if (tag === at) break;
      at = tag;
      continue;
    }
    at += Math.floor((perFrame * bitRate * 125) / sampleRate) + ((next >>> 9) & 1);
    frames++;
  }
  // a Xing header takes the place of the first frame's sound; LAME's, after it, states what the encoder padded at both
  // ends
  const note = first + 4 + (isFirst ? (isMono ? 17 : 32) : isMono ? 9 : 17);
  const name = bytes.toString('latin1', note, note + 4);
  if (name !== 'Xing' && name !== 'Info') return { samples: frames * perFrame, tolerance: 2 * perFrame };
  const flags = bytes.readUInt32BE(note + 4);
  const counted = flags & 1 ? bytes.readUInt32BE(note + 8) : 0;
  const lame = note + 8 + (flags & 1 ? 4 : 0) + (flags & 2 ? 4 : 0) + (flags & 4 ? 100 : 0) + (flags & 8 ? 4 : 0);
  const added = lame + 24 <= bytes.length ? bytes.readUIntBE(lame + 21, 3) : 0;
  const isLame = /^(LAME|Lavc|Lavf|GOGO)/.test(bytes.toString('latin1', lame, lame + 4));
  // of frames with a checksum the decoder removes no padding: it looks for the header behind the checksum, LAME writes
  // none into that frame
  const hasChecksums = ((head >>> 16) & 1) === 0;
  const trimmed = isLame && !hasChecksums ? (added >>> 12) + (added & 4095) : 0;
  return { samples: Math.max(0, Math.max(counted, frames - 1) * perFrame - trimmed), tolerance: 2 * perFrame };
}
