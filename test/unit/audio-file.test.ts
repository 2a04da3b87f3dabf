import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import { memoryNeeded, openAudioFile, requireMemory } from '../../agent/audio/audio-file.ts';
import { readFileHeader } from '../../agent/audio/file-header.ts';
import { AudioError } from '../../agent/lib/errors.ts';
import { wavFile } from '../demo/synthesise-scene.ts';

const folder = mkdtempSync(join(tmpdir(), 'tocsin-audio-file-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const tone = (hz: number, rate: number) => Float64Array.from({ length: 2 * rate }, (_, i) => 0.5 * Math.sin((2 * Math.PI * hz * i) / rate));
const pcm16 = (sound: Float64Array, rate: number) =>
  wavFile(
    Int16Array.from(sound, (x) => Math.round(x * 32767)),
    rate,
  );

async function hear(bytes: Uint8Array, rate = 16_000): Promise<number[]> {
  const path = join(folder, 'sound');
  writeFileSync(path, bytes);
  const heard: number[] = [];
  for await (const { samples } of (await openAudioFile(path, rate, 'fast')).frames(new AbortController().signal)) heard.push(...samples);
  return heard;
}

function expectTone(heard: readonly number[], hz: number, rate: number, within: number): void {
  const expected = tone(hz, rate);
  expect(heard).toHaveLength(expected.length);
  let worst = 0;
  for (let i = 200; i < heard.length - 200; i++) worst = Math.max(worst, Math.abs((heard[i] as number) - (expected[i] as number)));
  expect(worst).toBeLessThan(within);
}

test.each([8000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])(
  'a %i Hz file is resampled so that its tone keeps its frequency at the model rate',
  async (rate) => {
    expectTone(await hear(pcm16(tone(1000, rate), rate)), 1000, 16_000, 0.005);
  },
);

test('a file below the microphone rate is upsampled with the same length and without image frequencies', async () => {
  expectTone(await hear(pcm16(tone(3000, 16_000), 16_000), 48_000), 3000, 48_000, 0.005);
});

test.each([
  [9000, 44_100],
  [9000, 48_000],
  [12_000, 48_000],
  [15_000, 96_000],
])('a %i Hz tone in a file of %i Hz is not aliased into the model band', async (hz, rate) => {
  const heard = (await hear(pcm16(tone(hz, rate), rate))).slice(200, -200);
  expect(Math.sqrt(heard.reduce((sum, x) => sum + x * x, 0) / heard.length)).toBeLessThan(0.001);
});

/** Returns a wav file in a format other than 16-bit PCM, with the given data. */
function wavOf(tag: number, channels: number, bits: number, rate: number, data: Buffer): Buffer {
  const header = Buffer.from(pcm16(new Float64Array(0), rate).subarray(0, 44));
  header.writeUInt32LE(36 + data.length, 4);
  header.writeUInt16LE(tag, 20);
  header.writeUInt16LE(channels, 22);
  header.writeUInt32LE((rate * channels * bits) / 8, 28);
  header.writeUInt16LE((channels * bits) / 8, 32);
  header.writeUInt16LE(bits, 34);
  header.writeUInt32LE(data.length, 40);
  return Buffer.concat([header, data]);
}
function written(bytes: number, write: (data: Buffer, value: number, at: number) => void, repeat = 1): Buffer {
  const sound = tone(1000, 16_000);
  const data = Buffer.alloc(sound.length * bytes * repeat);
  sound.forEach((x, i) => {
    for (let channel = 0; channel < repeat; channel++) write(data, x, (i * repeat + channel) * bytes);
  });
  return data;
}
const formats: [string, Buffer, number][] = [
  [
    '8 bit',
    wavOf(
      1,
      1,
      8,
      16_000,
      written(1, (to, x, at) => to.writeUInt8(Math.round(x * 127) + 128, at)),
    ),
    0.01,
  ],
  [
    '24 bit',
    wavOf(
      1,
      1,
      24,
      16_000,
      written(3, (to, x, at) => to.writeIntLE(Math.round(x * 8388607), at, 3)),
    ),
    1e-4,
  ],
  [
    '32 bit',
    wavOf(
      1,
      1,
      32,
      16_000,
      written(4, (to, x, at) => to.writeInt32LE(Math.round(x * 2147483647), at)),
    ),
    1e-4,
  ],
  [
    'float',
    wavOf(
      3,
      1,
      32,
      16_000,
      written(4, (to, x, at) => to.writeFloatLE(x, at)),
    ),
    1e-4,
  ],
  [
    'stereo',
    wavOf(
      1,
      2,
      16,
      16_000,
      written(2, (to, x, at) => to.writeInt16LE(Math.round(x * 32767), at), 2),
    ),
    1e-3,
  ],
];
test.each(formats)('a wav file is decoded: %s', async (_, bytes, within) => {
  expectTone(await hear(bytes), 1000, 16_000, within);
});

const wav = Buffer.from(pcm16(tone(1000, 16_000), 16_000));
const floats = wavOf(
  3,
  1,
  32,
  16_000,
  written(4, (to, x, at) => to.writeFloatLE(x, at)),
);
const flac = readFileSync('test/demo/scene.flac');
const changed = (bytes: Buffer, change: (copy: Buffer) => void) => {
  const copy = Buffer.from(bytes);
  change(copy);
  return copy;
};
test.each([
  ['wav, half of it', wav.subarray(0, wav.length / 2), /cut short: \d+ of 64000 bytes of sound/],
  ['wav, only its header', wav.subarray(0, 44), /cut short: 0 of 64000 bytes/],
  ['wav, half of its header', wav.subarray(0, 30), /a header that is cut short/],
  ['wav, without samples', Buffer.from(pcm16(new Float64Array(0), 16_000)), /without sound/],
  ['wav, 0 Hz', changed(wav, (copy) => copy.writeUInt32LE(0, 24)), /a sampling rate of 0 Hz/],
  ['wav, 4 GHz', changed(wav, (copy) => copy.writeUInt32LE(4e9, 24)), /a sampling rate of 4000000000 Hz/],
  ['two wav files joined', Buffer.concat([wav, wav]), /a wav file that goes on for 2.0 s after the sound that its header counts/],
  ['wav, half of its sound counted in its header', changed(wav, (copy) => copy.writeUInt32LE(32_000, 40)), /goes on for 1.0 s after/],
  ['flac, half of it', flac.subarray(0, flac.length / 2), /damaged or cut short: [\d.]+ s of sound, not 26.000 s/],
  ['flac, last ten bytes missing', flac.subarray(0, -10), /damaged or cut short: [\d.]+ s of sound, not 26.000 s/],
  [
    'flac, one byte changed',
    changed(flac, (copy) => copy.fill(0x55, flac.length / 2, flac.length / 2 + 1)),
    /damaged or cut short: [\d.]+ s of sound, not 26.000 s/,
  ],
  ['wav, float, a sample that is not a number', changed(floats, (copy) => copy.writeFloatLE(Number.NaN, 44 + 4 * 16_000)), /no finite number, 1.00 s in/],
  [
    'wav, float, samples on a 16-bit scale',
    changed(floats, (copy) => copy.writeFloatLE(-20_000, 44 + 4 * 8000)),
    /a sample of -20000 where full scale is 1, 0.50 s in/,
  ],
  ['an empty file', Buffer.alloc(0), /an empty file, of 0 bytes/],
  ['a file that is not audio', Buffer.from('{}'), /no header/],
])('%s: the whole file is refused', async (_, bytes, message) => {
  const refused = hear(bytes);
  await expect(refused).rejects.toThrow(AudioError);
  await expect(refused).rejects.toThrow(message);
});

test('a wav file written into a pipe, which states no length, is heard to its end', async () => {
  const piped = changed(wav, (copy) => copy.fill(0xff, 4, 8).fill(0xff, 40, 44));
  expectTone(await hear(piped), 1000, 16_000, 1e-3);
});

test('chunks and padding behind the sound of a wav file are no sound that is missed', async () => {
  const notes = Buffer.concat([Buffer.from('id3 \x10\x27\0\0', 'latin1'), Buffer.alloc(10_000, 7), Buffer.from('LIST\x04\0\0\0INFO', 'latin1')]);
  for (const end of [notes, Buffer.alloc(50_000), Buffer.concat([notes, Buffer.alloc(500, 7)])])
    expectTone(await hear(Buffer.concat([wav, end])), 1000, 16_000, 1e-3);
});

test('the file format is recognised by content, not by extension', async () => {
  expect(readFileHeader(flac)).toEqual({ sampleRate: 16_000, channels: 1, samples: 416_000 });
  expect(readFileHeader(wav)).toEqual({ sampleRate: 16_000, channels: 1, samples: 32_000 });
});

/** Returns an Ogg page with its flags (4: last page) and content. */
function page(flags: number, content: Buffer, position = 0): Buffer {
  const head = Buffer.alloc(28);
  head.write('OggS', 'latin1');
  head.writeUInt8(flags, 5);
  head.writeBigInt64LE(BigInt(position), 6);
  head.writeUInt8(1, 26);
  head.writeUInt8(content.length, 27);
  return Buffer.concat([head, content]);
}

test('ogg and mp3 headers give the sampling rate; an ogg file without its last page is cut short', () => {
  const vorbis = changed(Buffer.alloc(30), (copy) => copy.fill('\x01vorbis', 0, 7, 'latin1').writeUInt8(2, 11) && copy.writeUInt32LE(44_100, 12));
  const whole = Buffer.concat([page(2, vorbis), page(0, Buffer.alloc(200), 40_000), page(4, Buffer.alloc(200), 80_000)]);
  expect(readFileHeader(whole)).toEqual({ sampleRate: 44_100, channels: 2, samples: 80_000 });
  const cutOut = Buffer.concat([page(2, vorbis), page(0, Buffer.alloc(200), 9_040_000), page(4, Buffer.alloc(200), 9_080_000)]);
  // the position at which the excerpt began is unknown
  expect(readFileHeader(cutOut)).toEqual({ sampleRate: 44_100, channels: 2 });
  expect(() => readFileHeader(whole.subarray(0, -1))).toThrow(/last page is missing/);
  expect(() => readFileHeader(page(2, vorbis))).toThrow(/last page is missing/);
  const tag = Buffer.from('ID3\x04\x00\x00\x00\x00\x01\x00'.padEnd(138, '\0'), 'latin1');
  for (const [head, sampleRate, samples] of [
    [0xfffb9064, 44_100, 1152],
    [0xfff39464, 24_000, 576],
    [0xffe39864, 8000, 576],
  ] as const) {
    const frame = changed(Buffer.alloc(4), (copy) => copy.writeUInt32BE(head));
    expect(readFileHeader(Buffer.concat([tag, frame]))).toEqual({ sampleRate, channels: 2, samples, tolerance: 2 * samples });
  }
});

const [ogg, mp3] = [readFileSync('test/fixtures/tone.ogg'), readFileSync('test/fixtures/tone.mp3')];
// without the header frame that states the frame count
const framesOnly = mp3.subarray(mp3.indexOf(mp3.subarray(0, 2), 4));
// the decoder refuses the first page
const mangled = (bytes: Buffer, length: number) => changed(bytes, (copy) => copy.fill(0, (copy.length * 0.7) | 0, ((copy.length * 0.7) | 0) + length));
/** flac as written by a program that cannot seek back to the header. */
const piped = changed(flac, (copy) => {
  copy.writeUInt8((copy[21] as number) & 0xf0, 21);
  copy.fill(0, 22, 26);
});

test.each([
  ['ogg', ogg, 160_000, 0],
  ['ogg with trailing bytes', Buffer.concat([ogg, Buffer.alloc(500)]), 160_000, 0],
  ['mp3', mp3, 160_000, 0],
  ['mp3 with a tag at each end', Buffer.concat([Buffer.from('ID3\x03\0\0\0\0\0\x05     ', 'latin1'), mp3, Buffer.from('TAG'.padEnd(128))]), 160_000, 0],
  ['mp3 that does not state its length', framesOnly, 160_000, 3 * 576],
  ['the same twice, with a tag between', Buffer.concat([framesOnly, Buffer.from('TAG'.padEnd(128)), framesOnly]), 320_000, 6 * 576],
  ['flac written into a pipe', piped, 416_000, 0],
  ['the same with trailing bytes', Buffer.concat([piped, Buffer.alloc(500)]), 416_000, 0],
])('%s is heard to its end', async (_, bytes, samples, within) => {
  expect(Math.abs((await hear(bytes)).length - samples)).toBeLessThanOrEqual(within);
});

test.each([
  ['ogg', mangled(ogg, 1000)],
  ['ogg, ten bytes', mangled(ogg, 10)],
  ['mp3', mangled(mp3, 1000)],
  ['mp3, half of it', mp3.subarray(0, mp3.length / 2)],
  ['mp3 that does not state its length', mangled(framesOnly, 1000)],
  ['two mp3 files in one, of which a decoder hears only the first', Buffer.concat([mp3, mp3])],
  ['flac written into a pipe', mangled(piped, 1000)],
  ['the same, half of it', piped.subarray(0, piped.length / 2)],
  ['the same without its last ten bytes', piped.subarray(0, -10)],
])('%s, damaged: the file is refused, because later sound would be placed too early', async (_, bytes) => {
  await expect(hear(bytes)).rejects.toThrow(/a file that is damaged or cut short: [\d.]+ s of sound, not [\d.]+ s/);
});

test('a pipe, a folder and a file over 2000 MB are refused before they are read', async () => {
  const fifo = join(folder, 'pipe');
  spawnSync('mkfifo', [fifo]);
  // an opened pipe could not be interrupted
  const child = spawnSync(process.execPath, ['agent/main.ts', 'replay', fifo], { encoding: 'utf8', timeout: 20_000, killSignal: 'SIGKILL' });
  expect([child.status, child.stderr]).toEqual([
    4,
    `Error: Expected an audio file at ${fifo}, got a pipe or a device\nTry: store the sound in a file first, and name that\n`,
  ]);
  await expect(openAudioFile(folder, 16_000, 'fast')).rejects.toThrow(`Expected an audio file at ${folder}, got a folder`);
  const huge = join(folder, 'huge.wav');
  writeFileSync(huge, '');
  truncateSync(huge, 2_000_000_001); // a sparse file without data
  await expect(openAudioFile(huge, 16_000, 'fast')).rejects.toThrow(/Expected at most 2000 MB at .*huge.wav, got 2001 MB/);
});

test('a file that needs more memory than is free is refused before the memory is allocated', async () => {
  expect(memoryNeeded({ sampleRate: 16_000, channels: 1, samples: 52_000_000 }, 16_000)).toBe(416_000_000);
  expect(memoryNeeded({ sampleRate: 48_000, channels: 2, samples: 3_000_000 }, 16_000)).toBe(40_000_000);
  expect(() => requireMemory('/a.wav', 416e6, 416e6)).not.toThrow();
  expect(() => requireMemory('/a.wav', 416e6, 300e6)).toThrow(/at most the 300 MB of memory that are free here, got one that takes 416 MB to hear/);
  const own = vi.spyOn(process.memoryUsage, 'rss').mockReturnValue(5e7);
  const limit = vi.spyOn(process, 'constrainedMemory');
  try {
    for (const bytes of [1000, wav.length]) {
      limit.mockReturnValue(5e7 + bytes);
      await expect(hear(wav)).rejects.toThrow(/^Expected a file at .* that takes at most the 0 MB of memory/);
    }
  } finally {
    own.mockRestore();
    limit.mockRestore();
  }
});
