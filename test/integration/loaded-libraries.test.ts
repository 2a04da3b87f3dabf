import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { openEmbeddedBroker } from '../support/broker.ts';
import { fakeArecord } from '../support/fake-arecord.ts';
import { startHalf } from '../support/half.ts';
import { openMessages } from '../support/messages.ts';

/** The native libraries of dependencies that a process has loaded, from /proc. */
function librariesOf(pid: number | undefined): string[] {
  const paths = readFileSync(`/proc/${pid}/maps`, 'utf8').match(/\/node_modules\/.*\.(?:node|so[.\d]*)$/gm) ?? [];
  return ['better-sqlite3', 'onnxruntime-node', 'node-web-audio-api'].filter((name) => paths.some((path) => path.includes(`/${name}/`)));
}

test('the courier loads no native library but SQLite; the listener loads the ONNX runtime too, and neither the audio decoder', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-loaded-'));
  const broker = await openEmbeddedBroker();
  const seen = await openMessages(broker.url);
  const path = join(folder, 'tocsin.yaml');
  const outbox = { path: join(folder, 'outbox.db') };
  writeFileSync(path, stringify({ site: 'test', sensor: 'post-1', outbox, mqtt: { url: broker.url, protocol: '3.1.1' }, log: { level: 'silent' } }));
  const { env } = fakeArecord('sound');
  const courier = startHalf('deliver', path, env);
  const listener = startHalf('listen', path, env);
  await seen.until(() => seen.messages.some(({ topic, text }) => topic.endsWith('/health') && JSON.parse(text).hearing.state === 'listening'));
  expect(librariesOf(courier.child.pid)).toEqual(['better-sqlite3']);
  expect(librariesOf(listener.child.pid)).toEqual(['better-sqlite3', 'onnxruntime-node']);
  await seen.close();
  await broker.close();
});
