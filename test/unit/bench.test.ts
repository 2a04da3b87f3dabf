import { expect, test } from 'vitest';
import { noise } from '../../agent/cli/bench.ts';

test.each([8192, 11_025, 16_000, 22_050, 44_100])('benchmark noise at %i Hz has no gap that would reset recognition, and no silent frame', async (rate) => {
  let next = 0;
  for await (const { samples, firstSample } of noise(rate, 3).frames(new AbortController().signal)) {
    expect(firstSample).toBe(next);
    expect(samples.some((sample) => sample !== 0)).toBe(true);
    next += samples.length;
    samples.fill(0); // as a reader does
  }
  expect(Math.abs(next - 3 * rate)).toBeLessThan(20);
});

test('benchmark noise ends when its time is over, so a model slower than real time does not run for hours', async () => {
  const lengths: number[] = [];
  for await (const { samples } of noise(16_000, 60, performance.now()).frames(new AbortController().signal)) lengths.push(samples.length);
  expect(lengths).toEqual([]);
});
