import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { messageOf } from '../lib/errors.ts';
import { socketPair } from '../lib/libc.ts';
import { sleep } from '../lib/sleep.ts';
import { CaptureError } from './capture-error.ts';

export interface CaptureChildOptions {
  command: string;
  args: readonly string[];
  /** The device that the child holds, if other arguments may hold the same one. */
  device?: string;
  /** For faults that have no hint of their own. */
  tryHint: string;
}

export const longestReadMs = 200; // a read that gets no sound returns after this time, to check whether to stop
const longestEndMs = 1000; // from SIGKILL to the exit: a process that is blocked in a driver may never exit
export const plugAgain = 'take the microphone out and put it in again; if that does not help, restart the board';

/**
 * Killed children that have not exited, by what they capture. Such a child may still hold the device, so no other is
 * started beside it.
 */
const killed = new Map<string, ChildProcess>();

const captureOf = ({ device, command, args }: CaptureChildOptions) => device ?? [command, ...args].join('\0');

/** Waits for a killed child that captured the same. Throws a CaptureError if it does not exit. */
export async function earlierEnded(options: CaptureChildOptions, signal: AbortSignal): Promise<void> {
  const capture = captureOf(options);
  const earlier = killed.get(capture);
  if (!earlier) return;
  // polled: with an event listener, each attempt would leave one behind
  for (let leftMs = longestEndMs; leftMs > 0 && killed.get(capture) === earlier && !signal.aborted; leftMs -= 100) await sleep(100, signal);
  if (signal.aborted || killed.get(capture) !== earlier) return;
  throw new CaptureError('stuck', `Expected ${options.command} to end when it was killed, got: process ${earlier.pid} is still there`, plugAgain);
}

/** A child process that writes sound to its end of a socket pair. */
export class CaptureChild {
  /** The end of the socket pair that is read here. */
  readonly descriptor: number;
  readonly #child: ChildProcess;
  readonly #capture: string;
  readonly #closed: Promise<unknown>;
  #complaint = '';
  #failure: Error | undefined;
  #stopped = false;

  /**
   * @param bytes that the socket pair holds
   * @param overrun told of each loss that arecord reports, in milliseconds
   * Throws a CaptureError if the child cannot be started.
   */
  constructor(options: CaptureChildOptions, bytes: number, overrun: (ms: number) => void) {
    const { command, args, tryHint } = options;
    this.#capture = captureOf(options);
    let pair: [number, number] | undefined;
    try {
      pair = socketPair(longestReadMs, bytes);
      // its messages are matched: LC_ALL=C keeps them untranslated
      this.#child = spawn(command, args, { stdio: ['ignore', pair[1], 'pipe'], env: { ...process.env, LC_ALL: 'C' } });
      closeSync(pair[1]);
      this.descriptor = pair[0];
    } catch (cause) {
      pair?.forEach(closeSync);
      throw new CaptureError('failed', `Expected to start ${command}, got: ${messageOf(cause)}`, tryHint, { cause });
    }
    this.#child.stderr?.on('error', () => undefined); // a pipe that could not be made or read: sound comes without it
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#complaint = (this.#complaint + text).slice(-4000);
      // arecord's message for samples that it had to drop
      for (const [, ms] of text.matchAll(/overrun!!! \(at least ([\d.]+) ms long\)/g)) overrun(Number(ms));
    });
    this.#child.on('error', (error) => {
      this.#failure = error;
    });
    this.#closed = new Promise((done) => this.#child.once('close', done));
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  get isStopped(): boolean {
    return this.#stopped;
  }

  /** The last 4,000 characters that it wrote to stderr. */
  get complaint(): string {
    return this.#complaint;
  }

  readonly stop = (): void => {
    this.#stopped = true;
    this.#child.kill('SIGKILL');
  };

  /** How it ended; waits for that, but not for long. */
  async ending(signal: AbortSignal): Promise<string> {
    await within(longestEndMs, this.#closed, signal);
    return this.#failure?.message ?? `exit ${this.#child.signalCode ?? this.#child.exitCode}`;
  }

  /** Stops it, and remembers it if it does not exit at once. */
  leave(): void {
    const [child, capture] = [this.#child, this.#capture];
    this.stop();
    child.stderr?.destroy(); // a process that the child started may keep it open and live on
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    killed.set(capture, child);
    child.once('exit', () => {
      if (killed.get(capture) === child) killed.delete(capture);
    });
    child.unref();
  }
}

/** Waits for an event that may never come, but no longer than `longestMs`. */
async function within(longestMs: number, event: Promise<unknown>, signal: AbortSignal): Promise<void> {
  const came = new AbortController();
  await Promise.race([event, sleep(longestMs, AbortSignal.any([came.signal, signal]))]);
  came.abort();
}
