import { expect, test } from 'vitest';
import { plot } from '../../agent/cli/plot.ts';

test('axes that do not start at 0 are mapped to the corners of the plot', () => {
  const svg = plot({ name: 'x', from: 10, to: 20 }, { name: 'y', from: -60, to: -20 }, [
    {
      name: 'line',
      colour: 'black',
      points: [
        [10, -60],
        [20, -20],
      ],
    },
  ]);
  expect(svg).toContain('points="60,310 510,20"'); // of 640 by 360, with 130 at the side for the names
});
