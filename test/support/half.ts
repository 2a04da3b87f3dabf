import { spawn } from 'node:child_process';
import { onTestFinished } from 'vitest';

/** Starts one process of the agent as a service starts it, which ends with the test; collects its output. */
export function startHalf(half: 'listen' | 'deliver', config: string, env: NodeJS.ProcessEnv, ...preload: string[]) {
  const args = [...preload, 'agent/main.ts', half, '-c', config];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...env, NODE_COMPILE_CACHE: undefined } });
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
