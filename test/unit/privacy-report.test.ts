// The publisher is a fake. That the message reaches a broker, retained, is shown in test/e2e.
import { expect, test } from 'vitest';
import { openPrivacyReport } from '../../agent/delivery/privacy-report.ts';
import type { Publisher } from '../../agent/delivery/publisher.ts';
import { BrokerError } from '../../agent/lib/errors.ts';
import { fixedClock, silentLogger } from '../support/samples.ts';

function reporting() {
  const state = { nowMs: 0, checkedAt: 'first', failure: undefined as Error | undefined, held: Promise.resolve() };
  const told: [number, string][] = []; // when, and of which verification
  const open = (): Publisher => ({
    lost: new AbortController().signal,
    close: async () => undefined,
    publish: async (topic, payload, { retain }) => {
      expect([topic, retain]).toEqual(['t/privacy', true]);
      told.push([state.nowMs, JSON.parse(payload).verification.checkedAt]);
      await state.held;
      if (state.failure) throw state.failure;
    },
  });
  const verification = () => ({ checkedAt: state.checkedAt }) as never;
  const report = openPrivacyReport('t/privacy', {} as never, { clock: fixedClock({ monotonicMs: () => state.nowMs }), logger: silentLogger, verification });
  let connection = open();
  const turns = async (ms: number) => {
    for (const until = state.nowMs + ms; state.nowMs < until; state.nowMs += 1000) {
      report.tick(connection);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const reconnect = () => {
    connection = open();
  };
  return { state, told, turns, reconnect };
}

test('the privacy message is published once per connection, and within ten seconds after a new verification', async () => {
  const { state, told, turns, reconnect } = reporting();
  await turns(105_000);
  expect(told).toEqual([[0, 'first']]);
  state.checkedAt = 'second';
  await turns(14_000);
  expect(told.slice(1)).toEqual([[110_000, 'second']]);
  reconnect();
  await turns(30_000);
  expect(told.slice(2)).toEqual([[119_000, 'second']]);
});

test('a refused privacy message is sent again each minute or over the next connection; an unanswered one is not sent twice', async () => {
  const { state, told, turns, reconnect } = reporting();
  state.failure = new BrokerError('Expected a PUBACK, got reason code 135', 'check the ACL', true);
  await turns(130_000);
  expect(told.map(([ms]) => ms)).toEqual([0, 60_000, 120_000]);
  state.failure = undefined;
  reconnect();
  await turns(100_000);
  expect(told.slice(3).map(([ms]) => ms)).toEqual([130_000]);
  const { promise, resolve } = Promise.withResolvers<void>();
  state.held = promise;
  reconnect();
  await turns(20_000);
  reconnect();
  await turns(20_000);
  expect(told.slice(4)).toHaveLength(1);
  resolve();
  await turns(20_000);
  expect(told.slice(5)).toHaveLength(1);
});
