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

test('series of points that were measured one by one have marks of different shapes, and the key beside the plot shows them', () => {
  const series = ['a', 'b', 'c'].map((name) => ({ name, colour: 'black', dots: true, points: [[0.5, 0.5, `point of ${name}`]] as const }));
  const axis = { name: 'x', from: 0, to: 1 };
  const svg = plot(axis, axis, series, { width: 515, height: 330, number: String });
  const shapesOf = (rest: RegExp) => Array.from(svg.matchAll(rest), ([, shape]) => shape);
  const marks = shapesOf(/<path d="M\S+ \S+?(m[^"]+)" fill="black"><title>point of .<\/title>/g);
  expect(new Set(marks).size).toBe(3);
  expect(shapesOf(/<path d="M\S+ \S+?(m[^"]+)" fill="black"><\/path><text/g)).toEqual(marks);
});
