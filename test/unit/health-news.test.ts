import { expect, test } from 'vitest';
import { healthCourier } from '../support/health-courier.ts';
import { hearingRecord } from '../support/samples.ts';

test('a listener that makes news each second is told twenty times at once, then three times a minute, and a new connection all the same', async () => {
  const { outbox, at, reconnect, link } = healthCourier();
  const told: number[] = [];
  let ms = 20_000;
  const second = async () => {
    ms += 1000;
    outbox.writeHearing(hearingRecord({ writtenMonotonicMs: ms, droppedSamples: ms }));
    const health = await at(ms);
    if (health) told.push(health.hearing.droppedSamples);
    return health;
  };
  for (let i = 0; i < 21; i++) await second();
  expect(told).toHaveLength(21); // twenty, and what was earned meanwhile
  for (let i = 0; i < 60; i++) await second();
  expect(told).toHaveLength(24);
  link.refusing('refused'); // the courier's own news wait as well, for twenty seconds at most
  let waited = 0;
  while (!(await second())) waited++;
  expect(waited).toBeLessThan(20);
  reconnect();
  expect(await second()).toBeDefined();
  reconnect();
  expect(await second()).toBeDefined();
});
