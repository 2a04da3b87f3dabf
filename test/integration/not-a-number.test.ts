import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { openConnectedSensor } from '../support/connected-sensor.ts';
import { fakeArecord } from '../support/fake-arecord.ts';
import { startHalf } from '../support/half.ts';

test('a model that returns NaN ends the listener with an error, and the platform learns that the listener is silent', async () => {
  const { folder, path, seen, of } = await openConnectedSensor('nan', { log: { level: 'silent' } });
  const trigger = join(folder, 'plant');
  const env = { ...fakeArecord('sound').env, PLANT_WHEN: trigger };
  startHalf('deliver', path, env);
  const listener = startHalf('listen', path, env, '--import', resolve('test/support/plant-nan.ts'));
  const state = () => of('health').map(({ hearing }) => hearing.state);
  await seen.until(() => state().at(-1) === 'listening');
  writeFileSync(trigger, '');
  expect(await Promise.race([listener.ended, new Promise((done) => setTimeout(done, 10_000, 'still running'))])).toBe(5);
  expect(listener.said()).toMatch(/^Error: Expected finite numbers as scores and states from model\.onnx/m);
  expect(listener.said()).toMatch(/^Try: /m);
  await seen.until(() => state().at(-1) === 'silent' || state().at(-1) === 'stopped');
  expect(state().at(-1)).toBe('silent');
});
