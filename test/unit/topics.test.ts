import { expect, test } from 'vitest';
import { clientIdOf } from '../../agent/delivery/topics.ts';

test('each sensor and each of its test clients has a unique MQTT client id', () => {
  const names = ['a', 'b', 'a-b', 'b-a', 'a-doctor', 'doctor', 'selftest', 'b-selftest'];
  const sensors = names.flatMap((site) => names.map((sensor) => ({ site, sensor })));
  const ids = sensors.flatMap((one) => [clientIdOf(one), clientIdOf(one, 'doctor'), clientIdOf(one, 'selftest')]);
  expect(new Set(ids).size).toBe(ids.length);
});
