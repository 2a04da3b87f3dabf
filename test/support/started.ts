import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { onTestFinished } from 'vitest';
import type { Half, HalfName } from '../../agent/cli/privacy/machine.ts';

/** Runs a program until the test ends; returns once it has written its first line. */
export async function started(...[program, ...rest]: readonly [string, ...string[]]): Promise<number> {
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'ignore'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const ended = once(child, 'exit').then(() => Promise.reject(new Error(`${program} ended: ${rest.join(' ')}`)));
  await Promise.race([once(child.stdout, 'data'), ended]);
  return child.pid as number;
}

/** Runs a script in a Node of its own, with `koffi` for calls that Node does not have, until the test ends. */
export function startedScript(script: string, values: readonly string[] = [], around: readonly string[] = []): Promise<number> {
  const whole = `const koffi = require('koffi'), fs = require('node:fs'); (async () => { ${script}; console.log(); setInterval(() => 0, 1000); })()`;
  return started(...([...around, process.execPath, '-e', whole, ...values] as [string, ...string[]]));
}

/** What a thread of its own does in such a script, before the first line is written: `libc` is the C library. */
export const inThread = (script: string) =>
  `const thread = \`const libc = require('koffi').load(null), fs = require('node:fs');
     ${script};
     require('node:worker_threads').parentPort.postMessage(0);
     Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);\`;
   await new Promise((done, failed) => new (require('node:worker_threads').Worker)(thread, { eval: true, workerData: process.argv[1] }).once('message', done).once('error', failed))`;

/** A half of which nothing but its processes is known. */
export const halfOf = (name: HalfName, ...processes: number[]): Half => ({ name, pid: processes[0] as number, processes, hidden: false });
