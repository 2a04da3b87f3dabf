import { closeSync, read } from 'node:fs';
import { promisify } from 'node:util';
import { hasCode, messageOf } from '../lib/errors.ts';
import { CaptureError } from './capture-error.ts';
import type { AudioFrame } from './frame.ts';

/**
 * Yields the sound read from a descriptor, as samples in [-1, 1), until it ends or `stopped`; yields undefined if none
 * came for as long as a read may wait. Closes the descriptor. Node's own streams would copy the data into a buffer of
 * its size and free the larger one with the sound in it. So all sound is read into one buffer, which is overwritten
 * before anything else happens.
 *
 * @param mix makes one channel of two
 */
export async function* soundFrom(
  descriptor: number,
  bytes: number,
  channels: number,
  mix: ((pcm: Buffer, samples: Float32Array) => number) | undefined,
  stopped: () => boolean,
): AsyncGenerator<Pick<AudioFrame, 'samples' | 'atFullScale'> | undefined> {
  const buffer = Buffer.alloc(bytes);
  const width = 2 * channels;
  const convert = mix ?? mono;
  let odd = 0; // bytes of an incomplete sample (of all channels), at the start of the buffer
  try {
    while (!stopped()) {
      const length = await readInto(descriptor, buffer, odd);
      if (length === 0) return;
      if (length === undefined) {
        yield undefined;
        continue;
      }
      const filled = odd + length;
      odd = filled % width;
      const samples = new Float32Array((filled - odd) / width);
      const atFullScale = convert(buffer, samples);
      buffer.copyWithin(0, filled - odd, filled);
      buffer.fill(0, odd, filled);
      try {
        yield atFullScale === undefined ? { samples } : { samples, atFullScale };
      } finally {
        samples.fill(0); // also if the reader throws
      }
    }
  } finally {
    buffer.fill(0);
    closeSync(descriptor);
  }
}

function mono(pcm: Buffer, samples: Float32Array): undefined {
  for (let i = 0; i < samples.length; i++) samples[i] = pcm.readInt16LE(i * 2) / 32768;
}

const readOnce = promisify(read);

/** Reads to `offset`; returns the byte count: 0 at the end, undefined if none came for as long as a read may wait. */
async function readInto(descriptor: number, buffer: Buffer, offset: number): Promise<number | undefined> {
  for (;;) {
    try {
      return (await readOnce(descriptor, buffer, offset, buffer.length - offset, null)).bytesRead;
    } catch (cause) {
      if (hasCode(cause, /^EAGAIN$/)) return undefined;
      // this process was stopped and continued (signal(7)): it has not waited for the whole time
      if (hasCode(cause, /^EINTR$/)) continue;
      const hint = 'restart the board if this does not end by itself';
      throw new CaptureError('failed', `Expected to read what is captured, got: ${messageOf(cause)}`, hint, { cause });
    }
  }
}
