import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { openAudioFile } from '../../agent/audio/audio-file.ts';
import { wavFile } from '../demo/synthesise-scene.ts';

const folder = mkdtempSync(join(tmpdir(), 'tocsin-long-wav-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const opened = (bytes: Buffer) => {
  const path = join(folder, 'sound.wav');
  writeFileSync(path, bytes);
  return openAudioFile(path, 16_000, 'fast');
};
const short = wavFile(
  Int16Array.from({ length: 16_000 }, (_, i) => 5000 * Math.sin(i)),
  16_000,
);

/** The same sound in the long form, whose sizes are in a chunk of their own, with a chunk before and behind the sound. */
function long(name: 'RF64' | 'BW64'): Buffer {
  const sizes = Buffer.alloc(36);
  sizes.write('ds64', 'latin1');
  sizes.writeUInt32LE(28, 4);
  sizes.writeUInt32LE(32_000, 16);
  sizes.writeUInt32LE(16_000, 24);
  const notes = Buffer.from('bext\x03\0\0\0abc\0', 'latin1');
  const file = Buffer.concat([short.subarray(0, 12), sizes, short.subarray(12, 36), notes, short.subarray(36), notes]);
  file.write(name, 'latin1');
  file.fill(0xff, 4, 8);
  file.fill(0xff, file.length - 32_000 - notes.length - 4, file.length - 32_000 - notes.length);
  return file;
}

test.each(['RF64', 'BW64'] as const)('a wav file of the long form (%s) is heard as that of the short form', async (name) => {
  const heard = async (bytes: Buffer) => {
    const samples: number[] = [];
    for await (const frame of (await opened(bytes)).frames(new AbortController().signal)) samples.push(...frame.samples);
    return samples;
  };
  expect(await heard(long(name))).toEqual(await heard(short));
});

test('a wav file of the long form that is cut short, or is little but its name, is refused', async () => {
  await expect(opened(long('RF64').subarray(0, 10_000))).rejects.toThrow(/cut short: \d+ of 32000 bytes of sound/);
  await expect(opened(long('RF64').subarray(0, 20))).rejects.toThrow('no header of such a file');
});

test('a wav file with a tag before it is heard', async () => {
  const tag = Buffer.from('ID3\x04\0\0\0\0\0\x0a0123456789', 'latin1');
  expect((await opened(Buffer.concat([tag, short]))).seconds).toBe(1);
});
