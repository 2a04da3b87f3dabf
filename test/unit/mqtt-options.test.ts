import { expect, test } from 'vitest';
import { checkConfig } from '../../agent/config/load-config.ts';
import { optionsOf } from '../../agent/delivery/mqtt-connection.ts';
import { turned } from '../../agent/delivery/mqtt-options.ts';

const named = (count: number) => Array.from({ length: count }, (_, i) => ({ address: `192.0.2.${i}`, family: 4 }));
const lasts = (count: number, random: number) => turned(named(count), () => random).map(({ address }) => Number(address.split('.')[3]));

test('of more addresses than there is time for, each comes first in its turn, and up to three keep their order', () => {
  expect([0, 0.25, 0.5, 0.99].map((random) => lasts(4, random))).toEqual([
    [0, 1, 2, 3],
    [1, 2, 3, 0],
    [2, 3, 0, 1],
    [3, 0, 1, 2],
  ]);
  expect([1, 2, 3].map((count) => lasts(count, 0.99))).toEqual([[0], [0, 1], [0, 1, 2]]);
});

test('a connection with TLS looks its broker up so, directly or over a WebSocket', async () => {
  const { mqtt } = checkConfig({ site: 'a', sensor: 'b', mqtt: { url: 'mqtts://localhost' } }, 'test');
  const { lookup, wsOptions } = optionsOf(mqtt, {}, 'id', 1000) as { lookup?: unknown; wsOptions?: { lookup?: unknown } };
  expect([typeof lookup, typeof wsOptions?.lookup]).toEqual(['function', 'function']);
});
