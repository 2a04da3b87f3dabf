import { spawn } from 'node:child_process';
import { onTestFinished } from 'vitest';

/** Starts one process of the agent, which ends with the test; collects its output. */
export function startHalf(half: 'listen' | 'deliver', config: string, env: NodeJS.ProcessEnv, ...preload: string[]) {
  const child = spawn(process.execPath, [...preload, 'agent/main.ts', half, '-c', config], { stdio: ['ignore', 'pipe', 'pipe'], env });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (text) => {
      said += text;
    });
  const ended = new Promise<number | null>((done) => child.once('close', done));
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return { child, ended, said: () => said };
}
