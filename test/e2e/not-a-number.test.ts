import { spawn } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { openEmbeddedBroker } from '../support/broker.ts';
import { fakeArecord } from '../support/fake-arecord.ts';
import { openMessages } from '../support/messages.ts';

test('both processes: a model that gives no numbers any more ends the listener with an error, and the platform learns that it is silent', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-nan-'));
  const broker = await openEmbeddedBroker();
  const seen = await openMessages(broker.url);
  const trigger = join(folder, 'plant');
  const path = join(folder, 'tocsin.yaml');
  const outbox = { path: join(folder, 'outbox.db') };
  writeFileSync(path, stringify({ site: 'test', sensor: 'post-1', outbox, mqtt: { url: broker.url, protocol: '3.1.1' }, log: { level: 'silent' } }));
  const start = (half: string, ...preload: string[]) => {
    const env = { ...fakeArecord('sound').env, PLANT_WHEN: trigger };
    const child = spawn(process.execPath, [...preload, 'agent/main.ts', half, '-c', path], { stdio: ['ignore', 'inherit', 'pipe'], env });
    let said = '';
    child.stderr.on('data', (text) => {
      said += text;
    });
    const ended = new Promise<number | null>((done) => child.once('close', done));
    onTestFinished(async () => {
      child.kill('SIGKILL');
      await ended;
    });
    return { child, ended, said: () => said };
  };
  start('deliver');
  const listener = start('listen', '--import', resolve('test/support/plant-nan.ts'));
  const state = () => seen.messages.filter((m) => m.topic.endsWith('/health')).map((m) => JSON.parse(m.text).hearing.state);
  await seen.until(() => state().at(-1) === 'listening');
  writeFileSync(trigger, '');
  expect(await Promise.race([listener.ended, new Promise((done) => setTimeout(done, 10_000, 'still running'))])).toBe(5);
  expect(listener.said()).toMatch(/^Error: Expected finite numbers as scores and states from model\.onnx/m);
  expect(listener.said()).toMatch(/^Try: /m);
  await seen.until(() => state().at(-1) === 'silent' || state().at(-1) === 'stopped');
  expect(state().at(-1)).toBe('silent');
  await seen.close();
  await broker.close();
});
