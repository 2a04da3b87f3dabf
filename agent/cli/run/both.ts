import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../../config/load-config.ts';
import type { Config } from '../../config/schema.ts';
import { exitCodes, messageOf, TocsinError } from '../../lib/errors.ts';
import { sleep } from '../../lib/sleep.ts';
import { openSqliteOutbox } from '../../outbox/sqlite-outbox.ts';

/** How a half ended, or could not start: one that was stopped before it could listen to signals did so in order. */
interface End {
  readonly code: number;
  readonly how: string;
  readonly hint: string;
}

/**
 * Two children under one parent. When one ends by itself, the other is stopped, and the exit code of the first is
 * passed on.
 */
export async function runBoth(path: string, stopped: AbortSignal): Promise<void> {
  const terminal = new AbortController();
  process.once('SIGHUP', () => terminal.abort()); // the halves do not see it go
  const signal = AbortSignal.any([stopped, terminal.signal]);
  const config = loadConfig(path);
  const main = fileURLToPath(new URL('../../main.ts', import.meta.url));
  const start = (half: string) => spawn(process.execPath, [main, half, '--config', path], { stdio: ['ignore', 'inherit', 'inherit'] });
  const endOf = (child: ChildProcess) =>
    new Promise<End>((resolve) => {
      child.once('error', (error) => resolve({ code: exitCodes.failure, how: messageOf(error), hint: 'start again' }));
      child.once('close', (code, killed) =>
        resolve({ code: code ?? (killed === 'SIGTERM' ? 0 : 1), how: `exit ${killed ?? code ?? 1}`, hint: 'read the line above' }),
      );
    });
  const [children, ended]: [ChildProcess[], Promise<End>[]] = [[], []];
  const stopBoth = () => children.map((child) => child.kill('SIGTERM'));
  try {
    for (const half of ['deliver', 'listen']) {
      const child = start(half);
      children.unshift(child); // the courier is stopped last
      ended.unshift(endOf(child));
    }
  } catch (cause) {
    stopBoth(); // without memory for a process Node throws, and the first would run on alone
    throw notBoth(messageOf(cause), 'start again', exitCodes.failure);
  }
  signal.addEventListener('abort', stopBoth, { once: true });
  const first = await Promise.race(ended);
  try {
    if (first.code === 0 && config.microphone.adapter === 'file' && !signal.aborted) await drained(config, signal);
  } finally {
    stopBoth(); // also where the outbox cannot be opened
  }
  const bad = [first, ...(await Promise.all(ended))].find(({ code }) => code !== 0);
  if (bad && !signal.aborted) throw notBoth(bad.how, bad.hint, bad.code);
}

function notBoth(how: string, hint: string, code: number): TocsinError {
  return new TocsinError(`Expected both processes to run, got ${how} from one`, hint, code);
}

/** After a file has been played: waits until the courier has nothing more to send, at most fifteen seconds. */
async function drained({ outbox: place }: Config, signal: AbortSignal): Promise<void> {
  const outbox = openSqliteOutbox(place.path, place);
  try {
    for (let i = 0; i < 150 && outbox.pendingCount() > 0 && !signal.aborted; i++) await sleep(100, signal);
  } finally {
    outbox.close();
  }
}
