import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { openAudioFile } from '../../agent/audio/audio-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'tocsin-mp3-checksums-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const opened = (bytes: Buffer) => {
  const path = join(folder, 'sound.mp3');
  writeFileSync(path, bytes);
  return openAudioFile(path, 16_000, 'fast');
};

test('an mp3 file whose frames have checksums is heard, and refused where its end is missing', async () => {
  // the decoder and this reader judge by the first frame, which holds LAME's header in place of sound
  const checked = readFileSync('test/fixtures/tone.mp3');
  checked.writeUInt8((checked[1] as number) & 0xfe, 1);
  const { seconds } = await opened(checked);
  expect(Math.abs(seconds - 10)).toBeLessThan(4 * (576 / 16_000));
  await expect(opened(checked.subarray(0, checked.length / 2))).rejects.toThrow('damaged or cut short');
});
