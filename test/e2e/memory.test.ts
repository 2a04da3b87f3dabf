import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, closeSync, createWriteStream, mkdtempSync, openSync, readFileSync, readSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { openResampler } from '../../agent/audio/resample.ts';
import { seededRandom } from '../support/random.ts';

const rate = 48_000;
const random = seededRandom(77);
const noise = (seconds: number, peak: number) => Int16Array.from({ length: seconds * rate }, () => (random() - 0.5) * 2 * peak);
const bytesOf = (samples: Int16Array | Float32Array) => Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
/** Half a second that is nowhere else, and pieces of it in every form in which the listener could hold it. */
const canary = noise(0.5, 6000);
const floats = Float32Array.from(canary, (sample) => sample / 32768);
const forms: Record<string, Buffer> = {
  'int16 from the pipe': bytesOf(canary),
  'float32 as captured': bytesOf(floats),
  ...Object.fromEntries([0, 1, 2].map((phase) => [`float32 for the model, phase ${phase}`, bytesOf(openResampler(rate, 16_000).push(floats.slice(phase)))])),
};
const pieceBytes = 96;
const pieces = Object.entries(forms).flatMap(([form, bytes]) =>
  [0.2, 0.4, 0.6, 0.8].map((at) => ({ form, bytes: Buffer.from(bytes.subarray(Math.floor((at * bytes.length) / 4) * 4).subarray(0, pieceBytes)) })),
);

/** The forms in which the canary is in the memory of a stopped process. */
function formsInMemory(pid: number): string[] {
  const found = new Set<string>();
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  for (const [, start = '', end = ''] of readFileSync(`/proc/${pid}/maps`, 'utf8').matchAll(/^([0-9a-f]+)-([0-9a-f]+) rw/gm)) {
    const to = Number.parseInt(end, 16);
    for (let at = Number.parseInt(start, 16); at < to; at += 2 ** 24) {
      const block = Buffer.alloc(Math.min(2 ** 24 + pieceBytes, to - at));
      try {
        const length = readSync(memory, block, 0, block.length, at);
        for (const { form, bytes } of pieces) if (block.subarray(0, length).includes(bytes)) found.add(form);
      } catch {
        break; // reserved, not there
      }
    }
  }
  closeSync(memory);
  return [...found];
}

const held = 2; // seconds of sound in all
const between = 600_000; // bytes in pipes and in `cat` on the way to the listener, more than their capacity

/** Lets the listener hear noise, the canary, and noise again until more than two seconds of it have reached the listener. */
async function listened(plant: NodeJS.ProcessEnv = {}): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-memory-'));
  const pipe = join(folder, 'sound');
  execFileSync('mkfifo', [pipe]);
  writeFileSync(join(folder, 'arecord'), `#!/bin/sh\nexec cat '${pipe}'\n`);
  chmodSync(join(folder, 'arecord'), 0o755);
  const config = join(folder, 'tocsin.yaml');
  const settings = { site: 'test', sensor: 'post-1', outbox: { path: join(folder, 'outbox.db') }, mqtt: { url: 'mqtt://localhost:1' }, log: { level: 'warn' } };
  writeFileSync(config, stringify({ ...settings, microphone: { silenceTimeoutSeconds: 60 } }));
  const listener = spawn(process.execPath, ['agent/main.ts', 'listen', '-c', config], {
    env: { ...process.env, PATH: `${folder}:${process.env.PATH}`, ...plant },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const gone = new Promise((done) => listener.once('close', done));
  onTestFinished(async () => {
    listener.kill('SIGKILL');
    await gone;
  });
  const microphone = createWriteStream(pipe).on('error', () => undefined);
  const background = noise(1, 300);
  const sound = [bytesOf(background), bytesOf(canary)];
  for (let bytes = 0; bytes < between + held * rate * 2; bytes += background.byteLength) sound.push(bytesOf(background));
  const all = Buffer.concat(sound);
  const began = performance.now();
  const chunk = (rate * 2) / 10;
  for (let at = 0; at < all.length; at += chunk) {
    if (!microphone.write(all.subarray(at, at + chunk))) await new Promise<void>((done) => microphone.once('drain', done));
    const ahead = at / (rate * 2) - (performance.now() - began) / 1000;
    if (ahead > 0) await new Promise((done) => setTimeout(done, ahead * 1000)); // at the pace of a microphone
  }
  listener.kill('SIGSTOP');
  const found = formsInMemory(listener.pid as number);
  listener.kill('SIGCONT');
  microphone.destroy();
  return found;
}

test('two seconds after a sound the listener holds it nowhere in its memory', async () => {
  expect(await listened()).toEqual([]);
});

test('and it is found there when buffers are not overwritten', async () => {
  const found = await listened({ NODE_OPTIONS: `--import=${resolve('test/support/plant-kept-buffers.ts')}` });
  expect(found).toContain('float32 as captured');
});
