import { flacSamples, mp3Samples, oggSamples, skipId3 } from './sound-length.ts';

/**
 * What a sound file states about itself. `samples`: per channel, if the file states it credibly; an intact file may
 * decode to `tolerance` more or fewer.
 */
export interface FileHeader {
  readonly sampleRate: number;
  readonly channels: number;
  readonly samples?: number;
  readonly tolerance?: number;
}

// Lengths from here on mean `unknown`: programs that write into a pipe use them.
const streamed = 0x7ffff000;
// PCM, float, A-law and mu-law, and the extensible format, which names the channels: one sample of each in a block
const whole = new Set([1, 3, 6, 7, 0xfffe]);
// Microsoft's and IMA's ADPCM: the format says how many are in a block. A `fact` chunk is not to be trusted: some
// programs count the channels wrong.
const adaptive = new Set([2, 17]);

const mostSecondsBehind = 0.5; // padding of some programs, and chunks that they wrote carelessly

/** A decoder would hear the sound that the header counts and, without an error, nothing of what follows. */
export class UncountedSoundError extends Error {}

/** Reads the header of wav, flac, ogg or mp3. Throws if there is none or the end of the announced sound is missing. */
export function readFileHeader(bytes: Buffer): FileHeader {
  if (bytes.length === 0) throw new Error('an empty file, of 0 bytes');
  const start = skipId3(bytes);
  const read = { RIFF: readWav, fLaC: readFlac, OggS: readOgg }[bytes.toString('latin1', start, start + 4)] ?? readMp3;
  let header: FileHeader;
  try {
    header = read(bytes, start);
  } catch (error) {
    throw error instanceof RangeError ? new Error('a header that is cut short') : error;
  }
  if (header.sampleRate < 8000 || header.sampleRate > 192_000) throw new Error(`a sampling rate of ${header.sampleRate} Hz, not 8000 to 192000`);
  return header;
}

/**
 * Turns a wav file of the long form (RF64, BW64; EBU Tech 3306) into one of the short form, where the decoder reads
 * sizes: no file that is read at once is too long for it.
 */
export function shortenWav(bytes: Buffer): void {
  if (!/^(RF64|BW64)....WAVEds64/s.test(bytes.toString('latin1', 0, 16)) || bytes.length < 36) return;
  const dataSize = Number(bytes.readBigUInt64LE(28));
  for (let at = 12; at + 8 <= bytes.length; ) {
    const [name, size] = [bytes.toString('latin1', at, at + 4), bytes.readUInt32LE(at + 4)];
    if (name === 'data' && size === 0xffffffff) bytes.writeUInt32LE(Math.min(dataSize, streamed - 1), at + 4);
    if (name === 'data') break;
    at += 8 + size + (size % 2);
  }
  bytes.write('RIFF', 'latin1');
  bytes.writeUInt32LE(bytes.length - 8, 4);
}

function readWav(bytes: Buffer, start: number): FileHeader {
  let format: { perBlock: number; channels: number; sampleRate: number; blockAlign: number } | undefined;
  for (let at = start + 12; ; ) {
    const [name, size] = [bytes.toString('latin1', at, at + 4), bytes.readUInt32LE(at + 4)];
    at += 8;
    if (name === 'fmt ') {
      const tag = bytes.readUInt16LE(at);
      format = {
        perBlock: whole.has(tag) ? 1 : adaptive.has(tag) && size >= 20 ? bytes.readUInt16LE(at + 18) : 0,
        channels: bytes.readUInt16LE(at + 2),
        sampleRate: bytes.readUInt32LE(at + 4),
        blockAlign: bytes.readUInt16LE(at + 12),
      };
    }
    if (name === 'data') {
      if (!format?.blockAlign) throw new Error('a wav file without a format');
      const there = bytes.length - at;
      if (size > there && size < streamed) throw new Error(`a file that is cut short: ${there} of ${size} bytes of sound`);
      const behind = size < there ? bytesBehind(bytes, at + size + (size % 2)) : 0;
      const seconds = (behind / format.blockAlign) * (format.perBlock / format.sampleRate);
      if (seconds > mostSecondsBehind && format.sampleRate > 0)
        throw new UncountedSoundError(`a wav file that goes on for ${seconds.toFixed(1)} s after the sound that its header counts`);
      const samples = Math.floor(Math.min(size, there) / format.blockAlign) * format.perBlock;
      return { sampleRate: format.sampleRate, channels: format.channels, ...(format.perBlock > 0 ? { samples } : {}) };
    }
    at += size + (size % 2);
  }
}

/**
 * How many bytes from `from` on are neither chunks nor zeros: a file that was joined to the first, or sound that a
 * recorder without power could not count any more.
 */
function bytesBehind(bytes: Buffer, from: number): number {
  let at = from;
  while (at + 8 <= bytes.length) {
    const [name, size] = [bytes.toString('latin1', at, at + 4), bytes.readUInt32LE(at + 4)];
    if (!/^(?!data|RIFF)[ -~]{4}$/.test(name) || at + 8 + size > bytes.length) break;
    at += 8 + size + (size % 2);
  }
  return bytes.subarray(at).some((byte) => byte !== 0) ? bytes.length - at : 0;
}

function readFlac(bytes: Buffer, start: number, count = flacSamples): FileHeader {
  const samples = (bytes.readUInt8(start + 21) & 15) * 2 ** 32 + bytes.readUInt32BE(start + 22) || (count(bytes, start) ?? 0);
  return { sampleRate: bytes.readUIntBE(start + 18, 3) >> 4, channels: ((bytes.readUInt8(start + 20) >> 1) & 7) + 1, ...(samples > 0 ? { samples } : {}) };
}

function readOgg(bytes: Buffer): FileHeader {
  const first = 27 + bytes.readUInt8(26);
  const last = bytes.lastIndexOf('OggS');
  const isEnd = (bytes.readUInt8(last + 5) & 4) !== 0;
  const segments = bytes.subarray(last + 27, last + 27 + bytes.readUInt8(last + 26));
  const length = 27 + segments.length + segments.reduce((sum, size) => sum + size, 0);
  if (!isEnd || last + length > bytes.length) throw new Error('a file that is cut short: its last page is missing');
  if (bytes.toString('latin1', first, first + 7) === '\x01vorbis') {
    const samples = oggSamples(bytes, last);
    return { sampleRate: bytes.readUInt32LE(first + 12), channels: bytes.readUInt8(first + 11), ...(samples === undefined ? {} : { samples }) };
  }
  if (bytes.toString('latin1', first, first + 5) === '\x7fFLAC') return readFlac(bytes, first + 9, () => oggSamples(bytes, last));
  throw new Error('ogg with neither Vorbis nor FLAC in it');
}

const mp3Rates = [44_100, 48_000, 32_000];

function readMp3(bytes: Buffer, start: number): FileHeader {
  let at = start;
  while (bytes[at] === 0) at++; // padding after the tag
  const head = at + 4 <= bytes.length ? bytes.readUInt32BE(at) : 0;
  const [version, layer, rate] = [(head >>> 19) & 3, (head >>> 17) & 3, (head >>> 10) & 3];
  const own = mp3Rates[rate];
  if (head >>> 21 !== 0x7ff || version === 1 || layer !== 1 || own === undefined) throw new Error('no header of such a file');
  const sampleRate = own / (version === 3 ? 1 : version === 2 ? 2 : 4);
  return { sampleRate, channels: ((head >>> 6) & 3) === 3 ? 1 : 2, ...mp3Samples(bytes, at, sampleRate) };
}
