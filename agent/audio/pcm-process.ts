import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { messageOf } from '../lib/errors.ts';
import type { MicrophoneFault } from '../lib/faults.ts';
import { socketPair } from '../lib/libc.ts';
import { sleep } from '../lib/sleep.ts';
import { CaptureError } from './capture-error.ts';
import { openDownmix } from './downmix.ts';
import type { AudioFrame, AudioSource } from './frame.ts';
import { openLossCount } from './loss-count.ts';
import { soundFrom } from './pcm-reader.ts';
import { openStallWatch } from './stall.ts';

export interface PcmProcessOptions {
  command: string;
  args: readonly string[];
  /** The device that the child holds, if other arguments may hold the same one. */
  device?: string;
  /** Two are mixed to one (downmix.ts). */
  channels: 1 | 2;
  sampleRate: number;
  silenceTimeoutSeconds: number;
  monotonicMs: () => number;
  /** For faults that have no hint of their own. */
  tryHint: string;
  /**
   * Called with the child's process id once it delivers sound. Returns the rate of the hardware, if known. Throws if
   * the child has not opened what was asked for.
   */
  verify?: (pid: number) => number | undefined;
}

const longestReadMs = 200; // a read that gets no sound returns after this time, to check whether to stop
// with the 0.5 s that arecord buffers, less than the two seconds that may wait for a late reader
const pipeSeconds = 0.6;
const longestChunkSeconds = 0.5;
const longestEndMs = 1000; // from SIGKILL to the exit: a process that is blocked in a driver may never exit
const again = 'take the microphone out and put it in again; if that does not help, restart the board';
/** What to try, for faults where this does not depend on the configured device. */
const hints: Partial<Record<MicrophoneFault, string>> = {
  busy: 'fuser -v /dev/snd/* shows which program holds it; for a trial: sudo systemctl stop tocsin-listener',
  unplugged: 'plug it in; tocsin devices lists what is there',
  stuck: again,
};

/**
 * Killed children that have not exited, by what they capture. Such a child may still hold the device, so no other is
 * started beside it.
 */
const killed = new Map<string, ChildProcess>();

/**
 * Makes a source of a child process that writes 16-bit little-endian samples to its stdout. The child may
 * crash without harm.
 *
 * INVARIANTS: only the pipe and one buffer hold sound, and the buffer is overwritten once converted. Samples are
 * counted against the clock, so that a stall shows up as `dropped`. A child that gives nothing for
 * `silenceTimeoutSeconds`, or for half of a period twice as long (stall.ts), is killed; the source then ends whether
 * the child exits or not.
 */
export function openPcmProcess(options: PcmProcessOptions): AudioSource {
  const { command, args, device, channels, sampleRate, silenceTimeoutSeconds, monotonicMs, tryHint, verify } = options;
  const loss = openLossCount(sampleRate);
  let hardwareRate: number | undefined;
  const downmix = channels === 2 ? openDownmix(sampleRate) : undefined;
  const bytesOf = (seconds: number) => 2 * channels * Math.round(sampleRate * seconds);
  function start(bytes: number): { child: ChildProcess; mine: number } {
    let pair: [number, number] | undefined;
    try {
      pair = socketPair(longestReadMs, bytes);
      // its messages are matched below: LC_ALL=C keeps them untranslated
      const child = spawn(command, args, { stdio: ['ignore', pair[1], 'pipe'], env: { ...process.env, LC_ALL: 'C' } });
      closeSync(pair[1]);
      return { child, mine: pair[0] };
    } catch (cause) {
      pair?.forEach(closeSync);
      throw new CaptureError('failed', `Expected to start ${command}, got: ${messageOf(cause)}`, tryHint, { cause });
    }
  }
  const capture = device ?? [command, ...args].join('\0');
  async function earlierEnded(signal: AbortSignal): Promise<void> {
    const earlier = killed.get(capture);
    if (!earlier) return;
    // polled: with an event listener, each attempt would leave one behind
    for (let leftMs = longestEndMs; leftMs > 0 && killed.get(capture) === earlier && !signal.aborted; leftMs -= 100) await sleep(100, signal);
    if (signal.aborted || killed.get(capture) !== earlier) return;
    throw new CaptureError('stuck', `Expected ${command} to end when it was killed, got: process ${earlier.pid} is still there`, again);
  }
  async function* frames(signal: AbortSignal): AsyncGenerator<AudioFrame> {
    await earlierEnded(signal);
    if (signal.aborted) return;
    const { child, mine } = start(bytesOf(pipeSeconds));
    let complaint = '';
    let failure: Error | undefined;
    let stalled = false;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-4000);
      // arecord's message for samples that it had to drop
      for (const [, ms] of text.matchAll(/overrun!!! \(at least ([\d.]+) ms long\)/g)) loss.overrun(Number(ms), monotonicMs());
    });
    child.on('error', (error) => {
      failure = error;
    });
    const closed = new Promise((done) => child.once('close', done));
    let stopped = false;
    const stop = () => {
      stopped = true;
      child.kill('SIGKILL');
    };
    signal.addEventListener('abort', stop, { once: true });
    let received = 0;
    let askedMs = monotonicMs();
    const stall = openStallWatch(sampleRate, silenceTimeoutSeconds, askedMs);
    try {
      for await (const sound of soundFrom(mine, bytesOf(longestChunkSeconds), channels, downmix?.mix, () => stopped)) {
        if (!sound) {
          stalled = stall.waited(longestReadMs, monotonicMs());
          if (stalled) stop();
          continue;
        }
        const count = sound.samples.length;
        if (count === 0) continue;
        if (received === 0) hardwareRate = verify?.(child.pid as number);
        const nowMs = monotonicMs();
        stall.arrived(count, nowMs);
        yield { ...sound, firstSample: loss.arrived(count, nowMs, nowMs - askedMs) };
        received += count;
        askedMs = monotonicMs();
      }
      if (!signal.aborted) {
        await within(longestEndMs, closed, signal);
        const how =
          failure?.message ??
          (stalled ? `no sound for ${silenceTimeoutSeconds} s of the last ${2 * silenceTimeoutSeconds} s` : `exit ${child.signalCode ?? child.exitCode}`);
        const fault = stalled ? 'stuck' : faultOf(complaint, received > 0);
        throw new CaptureError(
          fault,
          `Expected ${command} to keep capturing, got: ${how}${complaint ? ` (${lastWords(complaint)})` : ''}`,
          hints[fault] ?? tryHint,
        );
      }
    } finally {
      loss.ended();
      signal.removeEventListener('abort', stop);
      stop();
      child.stderr?.destroy(); // a process that the child started may keep it open and live on
      if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
        killed.set(capture, child);
        child.once('exit', () => {
          if (killed.get(capture) === child) killed.delete(capture);
        });
        child.unref();
      }
    }
  }
  return {
    sampleRate,
    get dropped() {
      return loss.lost;
    },
    get hardwareRate() {
      return hardwareRate;
    },
    get antiphase() {
      return downmix?.antiphase ?? false;
    },
    frames,
  };
}

/** Waits for an event that may never come, but no longer than `longestMs`. */
async function within(longestMs: number, event: Promise<unknown>, signal: AbortSignal): Promise<void> {
  const came = new AbortController();
  await Promise.race([event, sleep(longestMs, AbortSignal.any([came.signal, signal]))]);
  came.abort();
}

/** The child's own last words; alsa-lib's account of its search, a dozen lines long, only if the child said nothing. */
function lastWords(complaint: string): string {
  const lines = complaint.split('\n').filter((line) => line.trim() !== '');
  const own = lines.filter((line) => !line.startsWith('ALSA lib '));
  return (own.length > 0 ? own : lines).slice(-2).join('; ').slice(-400);
}

/**
 * Returns the fault behind the last words of arecord (alsa-lib's strerror texts, PulseAudio's plug-in) or of the
 * web-audio child.
 */
function faultOf(complaint: string, heard: boolean): MicrophoneFault {
  if (/resource busy/i.test(complaint)) return 'busy';
  if (heard) return /input\/output error|no such device|bad state|disconnected/i.test(complaint) ? 'unplugged' : 'failed';
  return /no such (device|file|entity)|find card|card index|unknown pcm|connection refused|expected one of the inputs/i.test(complaint) ? 'absent' : 'failed';
}
