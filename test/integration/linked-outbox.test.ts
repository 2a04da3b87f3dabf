import { mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { viewOutbox } from '../../agent/outbox/view-outbox.ts';
import { openConnectedSensor } from '../support/connected-sensor.ts';
import { fakeArecord } from '../support/fake-arecord.ts';
import { startHalf } from '../support/half.ts';

test('with an outbox behind symbolic links, a courier that starts beside the listener does not treat the WAL as lost', async () => {
  const { folder, path, outbox: link, seen } = await openConnectedSensor('linked');
  const real = join(folder, 'card', 'outbox.db');
  mkdirSync(join(folder, 'card'));
  symlinkSync('card/outbox.db', join(folder, 'link.db'));
  symlinkSync(join(folder, 'link.db'), link);
  const { env } = fakeArecord('sound');
  startHalf('listen', path, env);
  const told = (kind: string, what: string) => seen.messages.filter(({ topic, text }) => topic.endsWith(kind) && text.includes(what)).length;
  const first = startHalf('deliver', path, env);
  await seen.until(() => told('/health', '"listening"') > 0); // by now the listener has reserved its sequence numbers
  first.child.kill('SIGTERM');
  expect(await first.ended).toBe(0);
  startHalf('deliver', path, env);
  await seen.until(() => told('/status', '"online"') === 2); // the courier has opened the outbox
  const outbox = viewOutbox(real);
  expect(outbox.lastSequence()).toBe(0);
  outbox.close();
  expect(seen.messages.filter(({ topic }) => topic.endsWith('/gap'))).toEqual([]);
  expect(readdirSync(folder).sort()).toEqual(['card', 'link.db', 'outbox.db', 'tocsin.yaml']);
  expect(readdirSync(join(folder, 'card'))).toEqual(expect.arrayContaining(['outbox.db-wal', 'outbox.db.listener.lock', 'outbox.db.courier.lock']));
});
