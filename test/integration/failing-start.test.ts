import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { openConnectedSensor } from '../support/connected-sensor.ts';
import { fakeArecord } from '../support/fake-arecord.ts';
import { startHalf } from '../support/half.ts';
import { limits, recordedEvent } from '../support/samples.ts';

test('a listener that fails at every start is reported as silent, after a kill and after an orderly stop', async () => {
  const { folder, path, seen, configure, of } = await openConnectedSensor('start', { log: { level: 'silent' } });
  const damaged = join(folder, 'damaged');
  const microphone = fakeArecord('sound');
  const env = { ...microphone.env, PLANT_WHEN: damaged };
  const start = () => startHalf('listen', path, env, '--import', resolve('test/support/plant-failing-model.ts'));
  const is = (state: string) => seen.until(() => of('health').at(-1)?.hearing.state === state);
  let listener = start();
  let restarting = true;
  /** Restarts the listener two seconds after its end, as systemd does. */
  const restarts = async () => {
    while (restarting) {
      await listener.ended;
      await wait(2000);
      if (restarting) listener = start();
    }
  };
  startHalf('deliver', path, env);
  await is('listening');

  writeFileSync(damaged, '');
  listener.child.kill('SIGKILL');
  let loop = restarts();
  const died = performance.now();
  await is('silent');
  process.stdout.write(`a listener that fails at every start is silent after ${((performance.now() - died) / 1000).toFixed(1)} s\n`);

  microphone.set('flat');
  rmSync(damaged);
  await is('deaf');
  expect(of('health').at(-1).hearing).toMatchObject({ fault: 'flat', starts: 2 });
  const stopInOrder = async () => {
    restarting = false;
    listener.child.kill('SIGTERM');
    await is('stopped');
    await loop;
  };
  await stopInOrder();
  await seen.until(() => of('summary').length > 0);
  expect(of('summary')).toMatchObject([{ listenedSeconds: 0 }]);
  expect(of('summary')[0].levelsDbfs).toBeUndefined();

  for (const refused of [{ microphone: { device: 'hw:0' } }, { model: { path: join(folder, 'nowhere') } }]) {
    configure(refused);
    restarting = true;
    loop = restarts();
    await is('silent');
    configure({});
    await is('deaf');
    await stopInOrder();
  }
});

test('a courier that cannot read its model still sends events and health, but no privacy message', async () => {
  const { folder, path, outbox, seen, configure } = await openConnectedSensor('start', { log: { level: 'silent' } });
  const model = { path: join(folder, 'model') };
  configure({ model });
  mkdirSync(model.path);
  writeFileSync(join(model.path, 'manifest.json'), '{"format": 1, "version": "1.0_b"}');
  const stored = openSqliteOutbox(outbox, limits);
  stored.append(recordedEvent(0));
  const { child, ended } = startHalf('deliver', path, process.env);
  const kinds = () => new Set(seen.messages.map(({ topic }) => topic.split('/').at(-1)));
  await seen.until(() => kinds().has('event') && kinds().has('health'));
  expect(kinds()).toEqual(new Set(['status', 'event', 'health']));
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
  stored.close();
});
