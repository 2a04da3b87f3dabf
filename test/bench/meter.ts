// The cost of watching: a listener alone, then with a meter on a terminal: node test/bench/meter.ts [SECONDS]. Needs
// script(1).
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { synthesiseScene, wavFile } from '../demo/synthesise-scene.ts';
import { oneFolderForThisCommand } from '../support/one-temporary-folder.ts';

const seconds = Number(process.argv[2] ?? 60);
oneFolderForThisCommand();
const folder = mkdtempSync(join(tmpdir(), 'tocsin-bench-'));
const [config, scene, socket] = ['tocsin.yaml', 'scene.wav', 'meter.sock'].map((name) => join(folder, name)) as [string, string, string];
const once = synthesiseScene();
const times = Math.ceil((4 * seconds + 60) / (once.length / 16_000));
writeFileSync(
  scene,
  wavFile(
    Int16Array.from({ length: times * once.length }, (_, i) => once[i % once.length] as number),
    16_000,
  ),
);
const microphone = { adapter: 'file', file: scene };
writeFileSync(
  config,
  stringify({ site: 'test', sensor: 'post-1', microphone, outbox: { path: join(folder, 'outbox.db') }, mqtt: { url: 'mqtt://127.0.0.1:1' } }),
);

/** CPU seconds of a process so far: utime and stime of proc(5). */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
const percentOf = (cpu: number) => Math.round((10_000 * cpu) / seconds) / 100;
async function measured(...pids: number[]): Promise<number[]> {
  const before = pids.map(cpuSeconds);
  await delay(seconds * 1000);
  return pids.map((pid, i) => percentOf(cpuSeconds(pid) - (before[i] as number)));
}

const listener = spawn(process.execPath, ['agent/main.ts', 'listen', '-c', config], { stdio: 'ignore' });
while (!existsSync(socket)) await delay(200);
await delay(5000); // code that is compiled once
const [alone] = await measured(listener.pid as number);
const results: Record<string, unknown>[] = [];
for (const columns of [60, 120]) {
  const command = `stty cols ${columns} rows 40; exec '${process.execPath}' agent/main.ts meter -c '${config}'`;
  const terminal = spawn('script', ['-qfc', command, '/dev/null'], { stdio: ['pipe', 'pipe', 'ignore'], env: { ...process.env, TERM: 'xterm-256color' } });
  let bytes = 0;
  terminal.stdout.on('data', (drawn: Buffer) => {
    bytes += drawn.length;
  });
  await delay(3000);
  const [pid] = readFileSync(`/proc/${terminal.pid}/task/${terminal.pid}/children`, 'utf8').trim().split(' ').map(Number);
  const from = bytes;
  const [view, seen] = await measured(pid as number, listener.pid as number);
  results.push({ columns, meterPercentOfACore: view, listenerPercentOfACore: seen, bytesPerSecond: Math.round((bytes - from) / seconds) });
  const gone = new Promise((resolve) => terminal.once('close', resolve));
  terminal.stdin.write('q');
  await gone;
}
listener.kill('SIGKILL');
console.log(JSON.stringify({ seconds, listenerAlonePercentOfACore: alone, views: results }, null, 2));
