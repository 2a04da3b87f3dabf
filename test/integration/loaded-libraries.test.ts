import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { openConnectedSensor } from '../support/connected-sensor.ts';
import { fakeArecord } from '../support/fake-arecord.ts';
import { startHalf } from '../support/half.ts';

/** The native libraries of dependencies that a process has loaded, from /proc. */
function librariesOf(pid: number | undefined): string[] {
  const paths = readFileSync(`/proc/${pid}/maps`, 'utf8').match(/\/node_modules\/.*\.(?:node|so[.\d]*)$/gm) ?? [];
  return ['better-sqlite3', 'onnxruntime-node', 'node-web-audio-api'].filter((name) => paths.some((path) => path.includes(`/${name}/`)));
}

test('the courier loads no native library but SQLite; the listener loads the ONNX runtime too, and neither the audio decoder', async () => {
  const { path, seen, of } = await openConnectedSensor('loaded', { log: { level: 'silent' } });
  const { env } = fakeArecord('sound');
  const courier = startHalf('deliver', path, env);
  const listener = startHalf('listen', path, env);
  await seen.until(() => of('health').some(({ hearing }) => hearing.state === 'listening'));
  expect(librariesOf(courier.child.pid)).toEqual(['better-sqlite3']);
  expect(librariesOf(listener.child.pid)).toEqual(['better-sqlite3', 'onnxruntime-node']);
});
