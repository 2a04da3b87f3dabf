import { readFile } from 'node:fs/promises';
import { AudioError, messageOf } from '../lib/errors.ts';
import { sleep } from '../lib/sleep.ts';
import type { AudioFrame, AudioSource } from './frame.ts';
import { decodeAudio } from './web-audio.ts';

/** An audio file (wav, flac, ogg, mp3) as a source: `realtime` as from a microphone, `fast` as quick as it is read. */
export async function openAudioFile(path: string, sampleRate: number, pace: 'realtime' | 'fast'): Promise<AudioSource & { readonly seconds: number }> {
  let sound: Float32Array;
  try {
    const bytes = await readFile(path);
    sound = await decodeAudio(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer, sampleRate);
  } catch (cause) {
    const isThere = (cause as NodeJS.ErrnoException).code !== 'ENOENT';
    throw new AudioError(
      `Expected a wav, flac, ogg or mp3 file at ${path}, got: ${messageOf(cause)}`,
      isThere ? 'play the file elsewhere to check it, or convert it to wav' : 'check the path: ls shows what is there',
      { cause },
    );
  }
  const length = Math.round(sampleRate / 10);
  async function* frames(signal: AbortSignal): AsyncGenerator<AudioFrame> {
    const began = performance.now();
    try {
      for (let first = 0; first < sound.length && !signal.aborted; first += length) {
        if (pace === 'realtime') await sleep(began + ((first + length) / sampleRate) * 1000 - performance.now(), signal);
        const samples = sound.slice(first, first + length);
        sound.fill(0, first, first + length);
        try {
          yield { samples, firstSample: first };
        } finally {
          samples.fill(0);
        }
      }
    } finally {
      sound.fill(0);
    }
  }
  return { sampleRate, dropped: 0, seconds: sound.length / sampleRate, frames };
}
