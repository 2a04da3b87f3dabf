import { spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import type { MicrophoneFault } from '../lib/faults.ts';
import { CaptureError } from './capture-error.ts';
import type { AudioFrame, AudioSource } from './frame.ts';

export interface PcmProcessOptions {
  command: string;
  args: readonly string[];
  sampleRate: number;
  silenceTimeoutSeconds: number;
  monotonicMs: () => number;
  tryHint: string;
  /** Called with the child's process id once it delivers sound; throws when it has not opened what was asked for. */
  verify?: (pid: number) => void;
}

/**
 * A child process that writes 16-bit little-endian mono to its stdout, as a source. The child may crash without harm.
 *
 * INVARIANTS: nothing but the pipe holds sound, and each chunk is overwritten once converted; samples are counted against
 * the clock, so that a stall shows up as `dropped`; no data for `silenceTimeoutSeconds` while the reader waits kills the
 * child and ends the source.
 */
export function openPcmProcess(options: PcmProcessOptions): AudioSource {
  const { command, args, sampleRate, silenceTimeoutSeconds, monotonicMs, tryHint, verify } = options;
  let dropped = 0;
  async function* frames(signal: AbortSignal): AsyncGenerator<AudioFrame> {
    // the messages are matched below: the same in every language
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } });
    let complaint = '';
    let failure: Error | undefined;
    let stalled = false;
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-400);
      const overrun = /overrun!!! \(at least ([\d.]+) ms long\)/.exec(text); // arecord's words for samples it had to drop
      if (overrun) dropped += Math.round((Number(overrun[1]) / 1000) * sampleRate);
    });
    child.on('error', (error) => {
      failure = error;
    });
    const closed = new Promise((done) => child.once('close', done));
    const stop = () => child.kill('SIGKILL');
    const stall = () => {
      stalled = true;
      stop();
    };
    let deadline: NodeJS.Timeout | undefined;
    const wait = () => {
      clearTimeout(deadline);
      deadline = setTimeout(stall, silenceTimeoutSeconds * 1000);
    };
    wait();
    signal.addEventListener('abort', stop, { once: true });
    let received = 0;
    let began = 0;
    let odd: Buffer = Buffer.alloc(0);
    try {
      for await (const chunk of chunksOf(child.stdout)) {
        clearTimeout(deadline); // a reader that takes long is not a microphone that is stuck
        const { samples, rest } = convert(odd, chunk);
        odd = rest;
        const count = samples.length;
        if (count > 0) {
          if (began === 0) {
            verify?.(child.pid as number);
            began = monotonicMs() - (count / sampleRate) * 1000;
          }
          const behind = Math.round(((monotonicMs() - began) / 1000) * sampleRate) - received - dropped - count;
          if (behind > sampleRate) dropped += behind; // more than a second missing is a loss, not a delay
          yield { samples, firstSample: received + dropped };
          received += count;
        }
        wait();
      }
      if (!signal.aborted) {
        await closed;
        const how = failure?.message ?? (stalled ? `no sound for ${silenceTimeoutSeconds} s` : `exit ${child.signalCode ?? child.exitCode}`);
        throw new CaptureError(
          stalled ? 'stuck' : faultOf(complaint, received > 0),
          `Expected ${command} to keep capturing, got: ${how}${complaint ? ` (${complaint.trim().split('\n').slice(0, 2).join('; ')})` : ''}`,
          tryHint,
        );
      }
    } finally {
      clearTimeout(deadline);
      signal.removeEventListener('abort', stop);
      stop();
    }
  }
  return {
    sampleRate,
    get dropped() {
      return dropped;
    },
    frames,
  };
}

/**
 * What a pipe gives, chunk by chunk. A stream's own iterator joins the chunks that wait into a copy and leaves them behind, where nobody
 * overwrites them.
 */
async function* chunksOf(pipe: Readable): AsyncGenerator<Buffer> {
  const waiting: Buffer[] = [];
  let ended = false;
  let wake = () => {};
  const end = () => {
    ended = true;
    wake();
  };
  pipe.on('data', (chunk: Buffer) => {
    waiting.push(chunk);
    pipe.pause();
    wake();
  });
  pipe.once('end', end).once('close', end).once('error', end);
  try {
    while (waiting.length > 0 || !ended) {
      const chunk = waiting.shift();
      if (chunk) yield chunk;
      else {
        const more = new Promise<void>((resolve) => {
          wake = resolve;
        });
        pipe.resume();
        await more;
      }
    }
  } finally {
    pipe.removeAllListeners('data').on('data', (chunk: Buffer) => void chunk.fill(0)); // and what the stream itself still holds
    for (const chunk of waiting) chunk.fill(0);
    pipe.resume();
    await new Promise(setImmediate);
    pipe.destroy();
  }
}

/** Bytes to samples in [-1, 1); both buffers are overwritten. `rest` is the half of a sample that came without the other. */
function convert(odd: Buffer, chunk: Buffer): { samples: Float32Array; rest: Buffer } {
  const bytes = odd.length > 0 ? Buffer.concat([odd, chunk]) : chunk;
  const samples = new Float32Array(bytes.length >> 1);
  for (let i = 0; i < samples.length; i++) samples[i] = bytes.readInt16LE(i * 2) / 32768;
  const rest = Buffer.from(bytes.subarray(samples.length * 2));
  bytes.fill(0);
  chunk.fill(0);
  odd.fill(0);
  return { samples, rest };
}

/** The fault behind the last words of arecord (alsa-lib's strerror texts, PulseAudio's plug-in) or of the web-audio child. */
function faultOf(complaint: string, heard: boolean): MicrophoneFault {
  if (/resource busy/i.test(complaint)) return 'busy';
  if (heard) return /input\/output error|no such device|bad state|disconnected/i.test(complaint) ? 'unplugged' : 'failed';
  return /no such (device|file|entity)|find card|card index|unknown pcm|connection refused|expected one of the inputs/i.test(complaint) ? 'absent' : 'failed';
}
