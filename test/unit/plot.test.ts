import { expect, test } from 'vitest';
import { plot } from '../../agent/cli/plot.ts';

test('axes that do not start at 0 are mapped to the corners of the plot', () => {
  const ends = [
    [10, -60],
    [20, -20],
  ] as const;
  const line = { name: 'line', colour: 'black', points: ends };
  const svg = plot({ name: 'x', from: 10, to: 20 }, { name: 'y', from: -60, to: -20 }, [line], { width: 640, height: 360, number: String });
  expect(svg).toContain('points="60,310 510,20"'); // with 130 at the side for the names
});
