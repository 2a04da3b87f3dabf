import { expect, test } from 'vitest';
import { noise } from '../../agent/cli/bench.ts';

test.each([8192, 11_025, 16_000, 22_050, 44_100])('noise at %i Hz has no gap, at which recognition would begin afresh, and is never silent', async (rate) => {
  let next = 0;
  for await (const { samples, firstSample } of noise(rate, 3).frames(new AbortController().signal)) {
    expect(firstSample).toBe(next);
    expect(samples.some((sample) => sample !== 0)).toBe(true);
    next += samples.length;
    samples.fill(0); // as a reader leaves it
  }
  expect(Math.abs(next - 3 * rate)).toBeLessThan(20);
});

test('noise ends when its time is over: a model slower than real time would be measured for hours', async () => {
  const lengths: number[] = [];
  for await (const { samples } of noise(16_000, 60, performance.now()).frames(new AbortController().signal)) lengths.push(samples.length);
  expect(lengths).toEqual([]);
});
