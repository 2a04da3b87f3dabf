// The agent's main task without a microphone or a broker: npm run demo.
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connectAsync } from 'mqtt';
import { stringify } from 'yaml';
import { screenOf } from '../../agent/cli/output.ts';
import type { SoundEvent } from '../../agent/events/event.ts';
import { openEmbeddedBroker } from '../support/broker.ts';
import { sceneSeconds, sceneSounds } from './synthesise-scene.ts';

const broker = await openEmbeddedBroker();
const subscriber = await connectAsync(broker.url);
await subscriber.subscribeAsync('tocsin/v1/#', { qos: 1 });
const say = (text: string) => process.stdout.write(`${text}\n`);
const { colours } = screenOf(process.stdout);
const folder = mkdtempSync(join(tmpdir(), 'tocsin-demo-'));

const config = {
  site: 'demo',
  sensor: 'lamp-post-1',
  microphone: { adapter: 'file', sampleRateHz: 48000, file: fileURLToPath(new URL('./scene.flac', import.meta.url)) },
  outbox: { path: join(folder, 'outbox.db') },
  mqtt: { url: broker.url, protocol: '3.1.1' },
  log: { level: 'error' },
};
writeFileSync(join(folder, 'tocsin.yaml'), stringify(config));

say(colours.bold('Tocsin demo: a synthesised street scene, played in real time as if from a microphone'));
say(`  listener (hears, no network) ─▶ outbox.db ─▶ courier (speaks, no microphone) ─▶ MQTT ${broker.url}`);
say(`  ${sceneSeconds} s with ${sceneSounds.map((s) => `${s.label} at ${s.onset} s`).join(', ')}\n`);

let received = 0;
subscriber.on('message', (topic, payload) => {
  const arrivedMs = Date.now();
  if (topic.endsWith('/status')) return say(colours.dim(`  status  ${JSON.parse(payload.toString()).state}`));
  if (topic.endsWith('/health')) return say(colours.dim(`  health  ${JSON.parse(payload.toString()).hearing.state}`));
  if (!topic.endsWith('/event')) return say(colours.dim(`  ${topic.slice(topic.lastIndexOf('/') + 1)}`));
  const { time, data } = JSON.parse(payload.toString()) as SoundEvent;
  received++;
  say(
    `  ${colours.green(data.label.padEnd(12))} confidence ${data.confidence.toFixed(2)}  ${String(data.levelAboveBackgroundDb).padStart(3)} dB above background  onset ${time.slice(11, 23)}  arrived ${arrivedMs - Date.parse(time)} ms after it`,
  );
});

const agent = spawn(process.execPath, [fileURLToPath(new URL('../../agent/main.ts', import.meta.url)), 'run', '--config', join(folder, 'tocsin.yaml')], {
  stdio: ['ignore', 'inherit', 'inherit'],
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => agent.kill('SIGTERM'));
process.stdout.on('error', () => agent.kill('SIGTERM')); // nobody reads on
const code = await new Promise<number>((resolve) => agent.once('close', (exit) => resolve(exit ?? 1)));
await subscriber.endAsync();
await broker.close();

const left = readdirSync(folder)
  .filter((name) => name !== 'tocsin.yaml')
  .map((name) => `${name} (${statSync(join(folder, name)).size} bytes)`);
rmSync(folder, { recursive: true });
say(`\n${received} events reached the subscriber. The agent wrote ${left.join(', ')} and nothing else:`);
say('integers and enumerated names, no column that could hold sound. The sound was overwritten in memory as it was scored,');
say('and the folder is now removed: nothing of it is left.');
process.exitCode = code !== 0 || received === 0 ? 1 : 0;
