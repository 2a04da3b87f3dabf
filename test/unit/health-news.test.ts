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

test('news take four of the allowance; without these health is told once an interval, counted from the start', async () => {
  const allowance = {
    left: 9,
    allows(count: number) {
      return this.left >= count;
    },
    take(count = 1) {
      this.left -= count;
    },
  };
  const { outbox, at, reconnect } = healthCourier(undefined, undefined, {}, { allowance });
  const news = (ms: number) => {
    outbox.writeHearing(hearingRecord({ writtenMonotonicMs: ms }));
    return at(ms);
  };
  expect(await news(21_000)).toBeDefined();
  expect(await news(23_000)).toBeDefined();
  expect(allowance.left).toBe(1);
  for (let ms = 25_000; ms < 141_000; ms += 2000) {
    reconnect(); // as by a courier that is ended again and again
    expect(await news(ms), `${ms}`).toBeUndefined();
  }
  expect(await news(143_000)).toBeDefined(); // 120 s after the last
  expect(await news(263_000)).toBeDefined();
  expect(allowance.left).toBe(1);
});

test('what the listener reports once an interval is no news, however short the interval', async () => {
  const { outbox, at } = healthCourier(undefined, undefined, {}, { newsPerMinute: 0, intervalMs: 5000 });
  for (let ms = 25_000; ms < 500_000; ms += 5000) {
    outbox.writeHearing(hearingRecord({ writtenMonotonicMs: ms }));
    expect(await at(ms), `${ms}`).toBeDefined();
  }
});

test('where few events a minute are allowed, few news are', async () => {
  const { outbox, at } = healthCourier(undefined, undefined, {}, { newsPerMinute: 0.1 });
  let told = 0;
  for (let ms = 21_000; ms < 140_000; ms += 1000) {
    outbox.writeHearing(hearingRecord({ writtenMonotonicMs: ms }));
    if (await at(ms)) told++;
  }
  expect(told).toBe(20);
});
