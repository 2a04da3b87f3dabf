import { execFile, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { exitCodes, messageOf, TocsinError } from '../../lib/errors.ts';

const unit = 'tocsin-listener.service';

/** Runs `use` while the listener's service is stopped, and starts it again whatever happens; where it does not run, nothing is done. */
export async function withoutListener<T>(use: () => Promise<T>, paused: (running: boolean) => void): Promise<T> {
  if (!(await isActive())) return use();
  const start = openStart();
  await stop();
  paused(true);
  try {
    return await use();
  } finally {
    await start();
    paused(false);
  }
}

function isActive(): Promise<boolean> {
  return new Promise((done) => execFile('systemctl', ['is-active', '--quiet', unit], (error) => done(error === null)));
}

function stop(): Promise<void> {
  return new Promise((done, fail) => {
    execFile('systemctl', ['stop', unit], { timeout: 60_000 }, (error) => (error === null ? done() : fail(refused('stop', messageOf(error), error))));
  });
}

/**
 * What starts the listener when it is called, or when this process has gone without a call: a terminal that is closed and a connection that
 * breaks kill it where it stands, and the sensor would stay deaf. So it is a process of its own, in a session of its own, that waits for the end of its stdin.
 */
function openStart(): () => Promise<void> {
  const starter = spawn('sh', ['-c', 'read -r _; exec systemctl start "$0"', unit], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  const ended = new Promise<string | undefined>((done) => {
    starter.once('error', (error) => done(messageOf(error)));
    starter.once('exit', (code, signal) => done(code === 0 ? undefined : `exit ${signal ?? code}`));
  });
  starter.unref();
  (starter.stdin as unknown as Socket).unref();
  return async () => {
    starter.ref();
    starter.stdin.end();
    const got = await ended; // Type=notify: returns once it hears
    if (got !== undefined) throw refused('start', got);
  };
}

function refused(verb: 'start' | 'stop', got: string, cause?: Error): TocsinError {
  const hint = verb === 'start' ? `sudo systemctl start ${unit}` : 'run it again with sudo';
  return new TocsinError(`Expected systemctl ${verb} ${unit} to succeed, got: ${got}`, hint, exitCodes.failure, { cause });
}
