import { expect, test } from 'vitest';
import { openAudioSearch } from '../support/audio-search.ts';
import { seededRandom } from '../support/random.ts';

const random = seededRandom(5);
const sound = Float32Array.from({ length: 2000 }, () => Math.round((random() - 0.5) * 20_000) / 32768);
const search = openAudioSearch([sound]);
const int16 = Int16Array.from(sound, (x) => x * 32768);
const around = (bytes: Uint8Array | string) => Buffer.concat([Buffer.from('some text before'), Buffer.from(bytes as string), Buffer.alloc(50)]);
const piece = int16.slice(700, 740);
const bytes = new Uint8Array(piece.buffer);

test.each([
  ['int16 little-endian', around(bytes)],
  ['int16 big-endian', around(Buffer.from(bytes).swap16())],
  ['float32', around(new Uint8Array(sound.slice(300, 340).buffer))],
  ['float64', around(new Uint8Array(Float64Array.from(sound.slice(300, 340)).buffer))],
  ['int8', around(new Uint8Array(Int8Array.from(piece, (x) => x >> 8).buffer))],
  ['uint8', around(Uint8Array.from(piece, (x) => (x >> 8) + 128))],
  ['int16 little-endian in base64', around(Buffer.from(bytes).toString('base64'))],
  ['int16 little-endian in hexadecimal', around(Buffer.from(bytes).toString('hex'))],
  ['decimal numbers', around(JSON.stringify([...piece]))],
])('the audio search finds a piece of sound stored as %s', (form, where) => {
  expect(search.in(where)).toContain(form);
});

test('the audio search does not report other sound, zeros or text', () => {
  const other = Int16Array.from({ length: 20_000 }, () => (random() - 0.5) * 20_000);
  expect(search.in(Buffer.from(other.buffer))).toEqual([]);
  expect(search.in(Buffer.alloc(20_000))).toEqual([]);
  expect(search.in(Buffer.from(JSON.stringify({ id: '0b6f1c2e-7d3a-4f5b-9c8d-1e2f3a4b5c6d', scores: [0.1, 0.2, 1, 2, 3, 4, 5, 6, 7, 8, 9] })))).toEqual([]);
});
