import { spawn } from 'node:child_process';
import { AudioError } from '../lib/errors.ts';
import type { AudioFrame, AudioSource } from './frame.ts';

export interface PcmProcessOptions {
  command: string;
  args: readonly string[];
  sampleRate: number;
  silenceTimeoutSeconds: number;
  monotonicMs: () => number;
  tryHint: string;
}

/**
 * A child process that writes 16-bit little-endian mono to its stdout, as a source. The child may crash without harm.
 *
 * INVARIANTS: nothing but the pipe holds sound, and each chunk is overwritten once converted; samples are counted against
 * the clock, so that a stall shows up as `dropped`; exact zeros or no data for `silenceTimeoutSeconds` end the source.
 */
export function openPcmProcess(options: PcmProcessOptions): AudioSource {
  const { command, args, sampleRate, silenceTimeoutSeconds, monotonicMs, tryHint } = options;
  let dropped = 0;
  async function* frames(signal: AbortSignal): AsyncGenerator<AudioFrame> {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let complaint = '';
    let failure: Error | undefined;
    let stalled = false;
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-400);
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
    let watchdog = setTimeout(stall, silenceTimeoutSeconds * 1000);
    signal.addEventListener('abort', stop, { once: true });
    let received = 0;
    let began = 0;
    let zeros = 0;
    let odd: Buffer = Buffer.alloc(0);
    try {
      for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
        clearTimeout(watchdog);
        watchdog = setTimeout(stall, silenceTimeoutSeconds * 1000);
        const bytes = odd.length > 0 ? Buffer.concat([odd, chunk]) : chunk;
        const count = bytes.length >> 1;
        odd = Buffer.from(bytes.subarray(count * 2));
        const samples = new Float32Array(count);
        let loud = false;
        for (let i = 0; i < count; i++) {
          const sample = bytes.readInt16LE(i * 2);
          loud ||= sample !== 0;
          samples[i] = sample / 32768;
        }
        bytes.fill(0);
        chunk.fill(0);
        if (count === 0) continue;
        zeros = loud ? 0 : zeros + count;
        if (zeros > silenceTimeoutSeconds * sampleRate)
          throw new AudioError(
            `Expected sound from ${command}, got ${silenceTimeoutSeconds} s of exact zeros`,
            'check the plug, the mute switch and the capture volume (alsamixer)',
          );
        if (began === 0) began = monotonicMs() - (count / sampleRate) * 1000;
        const behind = Math.round(((monotonicMs() - began) / 1000) * sampleRate) - received - dropped - count;
        if (behind > sampleRate) dropped += behind; // more than a second missing is a loss, not a delay
        yield { samples, firstSample: received + dropped };
        received += count;
      }
      if (!signal.aborted) {
        await closed;
        const how = failure?.message ?? (stalled ? `no sound for ${silenceTimeoutSeconds} s` : `exit ${child.signalCode ?? child.exitCode}`);
        throw new AudioError(`Expected ${command} to keep capturing, got: ${how}${complaint ? ` (${complaint.trim().split('\n').at(-1)})` : ''}`, tryHint);
      }
    } finally {
      clearTimeout(watchdog);
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
