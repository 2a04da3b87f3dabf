import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { openPcmWriter } from '../../agent/audio/pcm-writer.ts';

test('a late reader gets half a second of buffered sound and then new sound; buffers that were written become zeros', () => {
  const taken: number[] = [];
  const buffers: Buffer[] = [];
  let next: (() => void) | undefined;
  const out = new Writable({
    highWaterMark: 1,
    write(pcm: Buffer, _encoding, done) {
      buffers.push(pcm);
      taken.push(pcm.readInt16LE(0));
      next = done;
    },
  });
  const write = openPcmWriter(out, 16_000, 0.5);
  const tenth = (i: number) => write(new Float32Array(1600).fill(i / 1000));
  for (let i = 1; i <= 100; i++) tenth(i); // ten seconds
  expect(out.writableLength).toBe(6 * 3200); // a frame of 0.1 s is taken whole
  for (let i = 0; i < 6; i++) next?.();
  tenth(101);
  expect(taken).toEqual([1, 2, 3, 4, 5, 6, 101].map((i) => Math.round(i * 32.767)));
  next?.();
  expect(buffers.every((pcm) => pcm.every((byte) => byte === 0))).toBe(true);
});
