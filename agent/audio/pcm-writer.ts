import type { Writable } from 'node:stream';

/**
 * Writes samples as 16-bit little-endian numbers. Drops samples while more than `mostSeconds` of them wait for the
 * reader, which counts the loss by the clock. Overwrites each buffer with zeros once written.
 */
export function openPcmWriter(out: Writable, sampleRate: number, mostSeconds: number): (samples: Float32Array) => void {
  return (samples) => {
    if (out.writableLength > 2 * sampleRate * mostSeconds) return;
    const pcm = Buffer.allocUnsafe(samples.length * 2);
    for (let i = 0; i < samples.length; i++) pcm.writeInt16LE(Math.round(Math.max(-1, Math.min(1, samples[i] as number)) * 32767), i * 2);
    out.write(pcm, () => pcm.fill(0));
  };
}
