import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import { openEmbeddedBroker } from './broker.ts';
import { openMessages } from './messages.ts';
import { longKept } from './samples.ts';

/**
 * The configuration of a sensor in a folder of its own, with its outbox beside it, and a broker with a subscriber. Both
 * end with the test. `configure` writes the configuration again, with other settings.
 */
export async function openConnectedSensor(name: string, settings: object = {}) {
  const folder = mkdtempSync(join(tmpdir(), `tocsin-${name}-`));
  const [path, outbox] = [join(folder, 'tocsin.yaml'), join(folder, 'outbox.db')];
  const broker = await openEmbeddedBroker();
  const seen = await openMessages(broker.url);
  onTestFinished(async () => {
    await seen.close();
    await broker.close();
  });
  const usual = { site: 'test', sensor: 'post-1', outbox: { path: outbox, ...longKept }, mqtt: { url: broker.url, protocol: '3.1.1' }, ...settings };
  const configure = (change: object) => writeFileSync(path, stringify({ ...usual, ...change }));
  configure({});
  /** The messages of a kind so far. */
  const of = (kind: string) => seen.messages.filter(({ topic }) => topic === `tocsin/v1/test/post-1/${kind}`).map(({ text }) => JSON.parse(text));
  return { folder, path, outbox, seen, configure, of };
}
