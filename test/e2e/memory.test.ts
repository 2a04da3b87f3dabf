import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, createWriteStream, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { openResampler } from '../../agent/audio/resample.ts';
import { formsInMemory, pieceOf } from '../support/memory-search.ts';
import { seededRandom } from '../support/random.ts';

const rate = 48_000;
const random = seededRandom(77);
const noise = (seconds: number, peak: number) => Int16Array.from({ length: seconds * rate }, () => (random() - 0.5) * 2 * peak);
const bytesOf = (samples: Int16Array | Float32Array) => Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
/**
 * Half a second made of repeated, unique ten milliseconds, and a piece of it in every form in which the listener could
 * hold it.
 */
const period = noise(0.01, 6000);
const canary = Int16Array.from({ length: 0.5 * rate }, (_, i) => period[i % period.length] as number);
const floats = Float32Array.from(canary, (sample) => sample / 32768);
/** A mono microphone as arecord gives it, in both channels. */
const both = (samples: Int16Array) => bytesOf(Int16Array.from({ length: 2 * samples.length }, (_, i) => samples[i >> 1] as number));
const second = 4 * rate; // of both channels, in bytes
const pieces = [
  pieceOf('int16 from the pipe', both(canary)),
  pieceOf('float32 as captured', bytesOf(floats)),
  ...[0, 1, 2].map((phase) => pieceOf(`float32 for the model, phase ${phase}`, bytesOf(openResampler(rate, 16_000).push(floats.slice(phase))))),
];

const held = 2; // seconds of sound in all, including what waits for the listener
const between = 65_536 + 9600 + 52_000; // bytes on their way: the pipe, `dd`, and what this process has not written yet

/** Lets the listener hear noise, the canary, and more noise until over two seconds of it have reached the listener. */
async function listened(plant: NodeJS.ProcessEnv = {}): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-memory-'));
  const pipe = join(folder, 'sound');
  execFileSync('mkfifo', [pipe]);
  writeFileSync(join(folder, 'arecord'), `#!/bin/sh\nexec dd if='${pipe}' bs=9600 status=none\n`);
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
  const background = noise(0.1, 300);
  const sound = [both(background), both(canary)];
  for (let bytes = 0; bytes < between + held * second; bytes += 2 * background.byteLength) sound.push(both(background));
  const all = Buffer.concat(sound);
  const began = performance.now();
  const chunk = second / 10;
  for (let at = 0; at < all.length; at += chunk) {
    if (!microphone.write(all.subarray(at, at + chunk))) await new Promise<void>((done) => microphone.once('drain', done));
    const ahead = at / second - (performance.now() - began) / 1000;
    if (ahead > 0) await new Promise((done) => setTimeout(done, ahead * 1000)); // at the pace of a microphone
  }
  const found = formsInMemory(listener.pid as number, pieces);
  microphone.destroy();
  return found;
}

test('two seconds after a sound, the memory of the listener does not contain it', async () => {
  expect(await listened()).toEqual([]);
});

test('the sound is found in memory if buffers are overwritten four seconds late', async () => {
  const found = await listened({ NODE_OPTIONS: `--import=${pathToFileURL(resolve('test/support/plant-late-zeros.ts'))}` });
  expect(found).toContain('float32 as captured');
});
