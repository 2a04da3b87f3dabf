import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { openAudioFile } from '../../agent/audio/audio-file.ts';
import { readFileHeader } from '../../agent/audio/file-header.ts';

const folder = mkdtempSync(join(tmpdir(), 'tocsin-adpcm-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const blockBytes = 256;
const samplesPerBlock = 505; // of one channel: the header holds the first, then two in each byte
const blocks = 40;

/** A wav file of IMA ADPCM in one channel at 8 kHz. `damaged`: the block whose step index is one that there is not. */
function adpcm(damaged?: number): Buffer {
  const header = Buffer.alloc(48);
  header.write('RIFF____WAVEfmt ', 'latin1');
  header.writeUInt32LE(20, 16);
  for (const [at, value] of Object.entries({ 20: 17, 22: 1, 32: blockBytes, 34: 4, 36: 2, 38: samplesPerBlock })) header.writeUInt16LE(value, Number(at));
  header.writeUInt32LE(8000, 24);
  header.writeUInt32LE(Math.round((8000 * blockBytes) / samplesPerBlock), 28);
  header.write('data', 40, 'latin1');
  header.writeUInt32LE(blocks * blockBytes, 44);
  const block = (_: unknown, number: number) => {
    const bytes = Buffer.alloc(blockBytes, 0x19); // up and down by turns
    bytes.writeInt16LE(0, 0);
    bytes.writeUInt8(number === damaged ? 200 : 40, 2);
    bytes.writeUInt8(0, 3);
    return bytes;
  };
  const file = Buffer.concat([header, ...Array.from({ length: blocks }, block)]);
  file.writeUInt32LE(file.length - 8, 4);
  return file;
}

const opened = (bytes: Buffer) => {
  const path = join(folder, 'sound.wav');
  writeFileSync(path, bytes);
  return openAudioFile(path, 8000, 'fast');
};

test('a wav file of ADPCM is heard to its end', async () => {
  const { seconds, isZeros } = await opened(adpcm());
  expect([seconds, isZeros]).toEqual([(blocks * samplesPerBlock) / 8000, false]);
});

test('a wav file of ADPCM with a damaged block is refused: what comes after it would be heard too early', async () => {
  await expect(opened(adpcm(7))).rejects.toThrow(/damaged or cut short: 2.399 s of sound, not 2.525 s/);
});

test('the header of a compressed wav file tells how many samples it takes memory for', () => {
  const adaptive = adpcm();
  for (const tag of [2, 17]) {
    adaptive.writeUInt16LE(tag, 20);
    expect(readFileHeader(adaptive).samples).toBe(blocks * samplesPerBlock);
  }
  adaptive.writeUInt16LE(0x55, 20); // mp3
  expect(readFileHeader(adaptive).samples).toBeUndefined();
  const law = adpcm();
  for (const tag of [6, 7]) {
    law.writeUInt16LE(tag, 20);
    law.writeUInt16LE(1, 32);
    expect(readFileHeader(law).samples).toBe(blocks * blockBytes);
  }
  const without = adpcm();
  without.writeUInt16LE(0, 38);
  expect(readFileHeader(without).samples).toBeUndefined();
  const short = Buffer.concat([adpcm().subarray(0, 36), adpcm().subarray(40)]);
  short.writeUInt32LE(16, 16);
  expect(readFileHeader(short).samples).toBeUndefined();
});
