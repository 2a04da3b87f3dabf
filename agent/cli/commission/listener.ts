import { execFile, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import type { Clock } from '../../lib/clock.ts';
import { exitCodes, messageOf, TocsinError } from '../../lib/errors.ts';
import { ifPossible } from '../../lib/if-possible.ts';
import { sleep } from '../../lib/sleep.ts';
import { stoppedByHand } from '../../lib/stop.ts';
import { inspectOutbox } from '../../outbox/view-outbox.ts';

const unit = 'tocsin-listener.service';
const hearsWithinMs = 30_000; // of its start: as long as a microphone that is back may take

/**
 * Runs `use` while the listener's service is stopped, and starts it again whatever happens. Does nothing to a service
 * that is not running.
 */
export async function withoutListener<T>(use: () => Promise<T>, on: { stopped(): void; started(): Promise<void> }): Promise<T> {
  if (!(await isActive())) return use();
  const start = openStart();
  await stop();
  on.stopped();
  try {
    return await use();
  } finally {
    await start();
    await on.started();
  }
}

/** Waits until the listener has told that it hears, later than `sinceMs`; whether it has. */
export async function hearsAgain(outboxPath: string, sinceMs: number, clock: Clock, signal: AbortSignal): Promise<boolean> {
  const untilMs = clock.monotonicMs() + hearsWithinMs;
  for (; !signal.aborted && clock.monotonicMs() < untilMs; await sleep(1000, signal)) if (hasHeard(outboxPath, sinceMs, clock)) return true;
  return false;
}

function hasHeard(outboxPath: string, sinceMs: number, { bootId }: Clock): boolean {
  const hearing = ifPossible(() => inspectOutbox(outboxPath).hearing); // of one that cannot be read another stage tells
  return hearing?.bootId === bootId && hearing.state === 'listening' && hearing.writtenMonotonicMs > sinceMs;
}

function isActive(): Promise<boolean> {
  return new Promise((done) => execFile('systemctl', ['is-active', '--quiet', unit], (error) => done(error === null)));
}

function stop(): Promise<void> {
  return new Promise((done, fail) => {
    execFile('systemctl', ['stop', unit], { timeout: 60_000 }, (error) => {
      if (error === null) return done();
      const byHand = error.signal === 'SIGINT'; // Ctrl-C reaches what the terminal runs, systemctl too
      fail(byHand ? stoppedByHand() : refused('stop', messageOf(error), error));
    });
  });
}

/**
 * Starts the listener when called, or when this process is gone without a call: a closed terminal or a broken
 * connection kills this process, and the sensor would stay deaf. So it is a process in a session of its own that waits
 * for the end of its stdin.
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
    const got = await ended; // Type=notify: returns once its model is loaded
    if (got !== undefined) throw refused('start', got);
  };
}

function refused(verb: 'start' | 'stop', got: string, cause?: Error): TocsinError {
  const hint = verb === 'start' ? `sudo systemctl start ${unit}` : 'run it again with sudo';
  return new TocsinError(`Expected systemctl ${verb} ${unit} to succeed, got: ${got}`, hint, exitCodes.failure, { cause });
}
