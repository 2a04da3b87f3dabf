import { mkdirSync, mkdtempSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { viewOutbox } from '../../agent/outbox/view-outbox.ts';
import { openEmbeddedBroker } from '../support/broker.ts';
import { fakeArecord } from '../support/fake-arecord.ts';
import { startHalf } from '../support/half.ts';
import { openMessages } from '../support/messages.ts';

test('with an outbox behind symbolic links, a courier that starts beside the listener does not treat the WAL as lost', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-linked-'));
  const real = join(folder, 'card', 'outbox.db');
  mkdirSync(join(folder, 'card'));
  symlinkSync('card/outbox.db', join(folder, 'link.db'));
  symlinkSync(join(folder, 'link.db'), join(folder, 'outbox.db'));
  const broker = await openEmbeddedBroker();
  const seen = await openMessages(broker.url);
  onTestFinished(async () => {
    await seen.close();
    await broker.close();
  });
  const path = join(folder, 'tocsin.yaml');
  const mqtt = { url: broker.url, protocol: '3.1.1' };
  writeFileSync(path, stringify({ site: 'test', sensor: 'post-1', outbox: { path: join(folder, 'outbox.db') }, mqtt }));
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
