import { expect, test } from 'vitest';
import { openDownmix } from '../../agent/audio/downmix.ts';
import { seededRandom } from '../support/random.ts';

const sampleRate = 16_000;
const tenth = sampleRate / 10;
const random = seededRandom(5);
const noise = (peak: number) => (random() - 0.5) * 2 * peak;

/**
 * Mixes seconds of two-channel sound in steps of 0.1 s. Returns the power of the last step, relative to samples of 1.
 */
function mixed(downmix: ReturnType<typeof openDownmix>, seconds: number, channels: (i: number) => readonly [number, number]): number {
  const samples = new Float32Array(tenth);
  for (let at = 0; at < seconds * 10; at++) {
    const pcm = Buffer.alloc(tenth * 4);
    for (let i = 0; i < tenth; i++) channels(at * tenth + i).forEach((value, c) => void pcm.writeInt16LE(Math.round(value), i * 4 + c * 2));
    downmix.mix(pcm, samples);
  }
  return (samples.reduce((sum, x) => sum + x * x, 0) / tenth) * 32768 ** 2;
}
test('similar or uncorrelated channels are averaged exactly', () => {
  const downmix = openDownmix(sampleRate);
  const pcm = Buffer.alloc(8);
  [1000, 1000, -32768, -32768].forEach((value, i) => void pcm.writeInt16LE(value, i * 2));
  const samples = new Float32Array(2);
  downmix.mix(pcm, samples);
  expect([...samples]).toEqual([1000 / 32768, -1]);
  const mean = new Float32Array(tenth);
  for (const other of [() => Math.round(noise(1000)), () => 0])
    for (let tenths = 0; tenths < 200; tenths++) {
      const channels = Array.from({ length: tenth }, () => [Math.round(noise(1000)), other()] as const);
      const pair = Buffer.alloc(tenth * 4);
      channels.flat().forEach((value, i) => void pair.writeInt16LE(value, i * 2));
      downmix.mix(pair, mean);
      expect([...mean]).toEqual(channels.map(([l, r]) => (l + r) / 65536));
    }
  expect(downmix.antiphase).toBe(false);
});

/** The same sound in both channels, inverted in the second, with independent noise in each. */
const against = (gain: number, own: number) => () => ((sound) => [sound + noise(own), noise(own) - gain * sound] as const)(noise(1000));

test.each([
  ['equal levels', 1, 0],
  ['one channel at half the level', 0.5, 0],
  ['with independent noise 6 dB lower', 1, 500],
])('channels in antiphase are heard from the first 0.1 s: %s', (_, gain, own) => {
  const downmix = openDownmix(sampleRate);
  expect(mixed(downmix, 0.1, against(gain, own))).toBeGreaterThan((1000 ** 2 / 3) * 0.5);
  expect(downmix.antiphase).toBe(true);
});

test('a louder antiphase sound is detected at once; silence and offsets change nothing; in-phase sound ends the antiphase state', () => {
  const downmix = openDownmix(sampleRate);
  mixed(downmix, 60, () => [noise(20) + 500, noise(20) - 500]);
  expect(downmix.antiphase).toBe(false);
  mixed(downmix, 0.1, against(1, 20));
  expect(downmix.antiphase).toBe(true);
  expect(mixed(downmix, 60, () => [0, 0])).toBe(0);
  mixed(downmix, 60, () => [noise(20), noise(20)]);
  expect(downmix.antiphase).toBe(true);
  mixed(downmix, 60, against(1, 20));
  mixed(downmix, 30, () => ((sound) => [sound, sound] as const)(noise(1000)));
  expect(downmix.antiphase).toBe(false);
});

test('an off-axis tone at two capsules does not count as antiphase, and sound from the front stays audible', () => {
  const tone = (level: number, i: number, turned = 0) => level * Math.sin((2 * Math.PI * 1700 * i) / sampleRate + turned);
  for (const level of [100, 1000, 10_000]) {
    const downmix = openDownmix(sampleRate);
    const channels = (i: number) => ((sound) => [sound + tone(level, i), sound + tone(level, i, Math.PI)] as const)(noise(100));
    for (let tenths = 0; tenths < 100; tenths++) {
      const heard = mixed(downmix, 0.1, channels);
      expect(downmix.antiphase, `a tone of ${level}`).toBe(false);
      expect(heard).toBeGreaterThan((100 ** 2 / 3) * 0.8);
    }
  }
});

test('an off-axis tone that leaves nothing in the low band does not count as antiphase; with sound from the front it ends that state', () => {
  const tone = (i: number) => 10_000 * Math.sin((2 * Math.PI * 1700 * i) / sampleRate);
  const downmix = openDownmix(sampleRate);
  mixed(downmix, 5, (i) => ((sound) => [sound + tone(i), sound - tone(i)] as const)(noise(1)));
  expect(downmix.antiphase).toBe(false);
  mixed(downmix, 5, against(1, 0));
  expect(downmix.antiphase).toBe(true);
  mixed(downmix, 30, (i) => ((sound) => [sound + tone(i), sound - tone(i)] as const)(noise(5000)));
  expect(downmix.antiphase).toBe(false);
});

test('antiphase channels are detected despite in-phase mains hum from the cable', () => {
  const downmix = openDownmix(sampleRate);
  const hum = (i: number) => 80 * Math.sin((2 * Math.PI * 50 * i) / sampleRate);
  mixed(downmix, 1, (i) => ((sound) => [sound + hum(i), hum(i) - sound] as const)(noise(1000)));
  expect(downmix.antiphase).toBe(true);
});

test('wind at two capsules does not count as antiphase, however it begins', () => {
  const wind = (belowHz: number) => {
    const step = 1 - Math.exp((-2 * Math.PI * belowHz) / sampleRate);
    let [once, twice] = [0, 0];
    const next = () => {
      once += step * (noise(32767) - once);
      twice += step * (once - twice);
      return twice * (20 / Math.sqrt(belowHz)); // some thousand RMS
    };
    for (let i = 0; i < sampleRate; i++) next();
    return next;
  };
  for (const belowHz of [5, 20, 50])
    for (let opening = 0; opening < 20; opening++) {
      const [left, right] = [wind(belowHz), wind(belowHz)];
      const downmix = openDownmix(sampleRate);
      const channels = () => ((sound) => [sound + left(), sound + right()] as const)(noise(10));
      for (let tenths = 0; tenths < 20; tenths++) {
        mixed(downmix, 0.1, channels);
        expect(downmix.antiphase, `wind below ${belowHz} Hz, opened ${opening} times`).toBe(false);
      }
    }
});

test('a full-scale sample in either channel counts as clipped', () => {
  const counted = (...values: number[]) => {
    const pcm = Buffer.alloc(2 * values.length);
    values.forEach((value, i) => void pcm.writeInt16LE(value, i * 2));
    return openDownmix(sampleRate).mix(pcm, new Float32Array(values.length / 2));
  };
  for (const one of [32_767, -32_768]) expect([counted(one, 5), counted(5, one), counted(one, one), counted(one, -1 - one)]).toEqual([1, 1, 1, 1]);
  expect(counted(32_766, -32_767, 0, 0)).toBe(0);
  expect(counted(32_767, 5, 5, -32_768, 32_766, -32_767, 32_767, -32_768)).toBe(3);
});
