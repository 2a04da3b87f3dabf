import { readFile, stat } from 'node:fs/promises';
import { AudioError, hasCode, isDenied, messageOf, TocsinError } from '../lib/errors.ts';
import { freeMemory } from '../lib/memory.ts';
import { isPipeOrDevice } from '../lib/regular-file.ts';
import { sleep } from '../lib/sleep.ts';
import { breathe } from '../lib/stop.ts';
import { type FileHeader, readFileHeader, shortenWav, UncountedSoundError } from './file-header.ts';
import { type AudioFrame, type AudioSource, longestTailSeconds } from './frame.ts';
import { openResampler } from './resample.ts';
import { decodeAudio } from './web-audio.ts';

const largestMegabytes = 2000; // Node reads no larger file in one call
const loudest = 100; // 40 dB above full scale: a float file with louder samples does not use 1 as full scale

interface AudioFile extends AudioSource {
  readonly seconds: number;
  /** The rate at which the file itself is sampled: there is no sound above half of it. */
  readonly ownRate: number;
  /** Whether all samples are exact zeros, which no street gives. */
  readonly isZeros: boolean;
}

/**
 * Opens an audio file (wav, flac, ogg, mp3) as a source. `realtime` paces it like a microphone; `fast` yields as
 * quickly as the reader asks. Throws an AudioError unless the whole file can be decoded, and a StoppedError once the
 * signal aborts.
 */
export async function openAudioFile(path: string, sampleRate: number, pace: 'realtime' | 'fast', signal?: AbortSignal): Promise<AudioFile> {
  let sound: Float32Array;
  let ownRate: number;
  try {
    const { samples, rate } = await decodeWhole(await readWhole(path), (header) => requireMemory(path, memoryNeeded(header, sampleRate)), signal);
    sound = await atRate(samples, rate, sampleRate, signal);
    ownRate = rate;
  } catch (cause) {
    if (cause instanceof TocsinError) throw cause;
    const isAbsent = hasCode(cause, /^ENOENT$/);
    throw new AudioError(
      `Expected a wav, flac, ogg or mp3 file at ${path}, got: ${messageOf(cause)}`,
      isAbsent
        ? 'check the path: ls shows what is there'
        : isDenied(cause)
          ? 'run it again with sudo'
          : cause instanceof UncountedSoundError
            ? 'files that were joined: name each by itself; from a recorder that lost its power: sox --ignore-length FILE NEW-FILE.wav'
            : 'play the file elsewhere to check it, or convert it to wav',
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
  return { sampleRate, dropped: 0, seconds: sound.length / sampleRate, ownRate, isZeros: sound.every((sample) => sample === 0), frames };
}

/**
 * Opens a recording to be scored frame by frame, as quickly as it is read. Silence follows it, because a sound is
 * scored only once what comes after it has been heard.
 */
export async function openRecording(path: string, sampleRate: number, stop?: AbortSignal): Promise<AudioFile> {
  const recording = await openAudioFile(path, sampleRate, 'fast', stop);
  async function* frames(signal: AbortSignal): AsyncGenerator<AudioFrame> {
    yield* recording.frames(signal);
    if (!signal.aborted) yield { samples: new Float32Array(sampleRate * longestTailSeconds), firstSample: Math.round(recording.seconds * sampleRate) };
  }
  return { ...recording, frames };
}

async function readWhole(path: string): Promise<Buffer> {
  const found = await stat(path);
  if (found.isDirectory()) throw new AudioError(`Expected an audio file at ${path}, got a folder`, 'name the files in it: FOLDER/*.flac');
  if (isPipeOrDevice(found))
    throw new AudioError(`Expected an audio file at ${path}, got a pipe or a device`, 'store the sound in a file first, and name that');
  const megabytes = Math.ceil(found.size / 1e6);
  if (megabytes > largestMegabytes)
    throw new AudioError(`Expected at most ${largestMegabytes} MB at ${path}, got ${megabytes} MB`, 'cut it into shorter files');
  requireMemory(path, found.size);
  const bytes = await readFile(path);
  // the decoder takes the whole ArrayBuffer: a Buffer that is only part of one is copied out, any other is not
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : Buffer.from(Uint8Array.from(bytes).buffer);
}

/**
 * Bytes needed in addition to those of the file until all of it is heard: each decoded channel, their mean, and the
 * mean at the other rate.
 */
export function memoryNeeded({ samples = 0, channels, sampleRate }: FileHeader, to: number): number {
  return samples * Float32Array.BYTES_PER_ELEMENT * (channels + 1 + (sampleRate === to ? 0 : to / sampleRate));
}

/**
 * Throws an AudioError if the file needs more memory than is free. Checked before allocating: the kernel's OOM killer
 * would end the process without an error.
 */
export function requireMemory(path: string, needed: number, free = freeMemory()): void {
  const [most, got] = [free, needed].map((bytes) => Math.round(bytes / 1e6));
  if (needed > free)
    throw new AudioError(
      `Expected a file at ${path} that takes at most the ${most} MB of memory that are free here, got one that takes ${got} MB to hear`,
      'cut it into shorter files',
    );
}

/**
 * Decodes at the file's own rate. The decoder's own rate conversion is linear interpolation, which aliases what the
 * lower rate cannot hold.
 */
async function decodeWhole(bytes: Buffer, require: (header: FileHeader) => void, signal?: AbortSignal): Promise<{ samples: Float32Array; rate: number }> {
  shortenWav(bytes);
  const header = readFileHeader(bytes);
  const { sampleRate: rate, samples: announced, tolerance = 0 } = header;
  require(header);
  const samples = await decodeAudio(bytes.buffer as ArrayBuffer, rate, signal);
  if (samples.length === 0) throw new Error('a file without sound in it');
  // the decoder skips what it cannot read; everything after that would be heard too early
  if (announced !== undefined && Math.abs(samples.length - announced) > tolerance) {
    samples.fill(0);
    const [heard, expected] = [samples.length, announced].map((count) => (count / rate).toFixed(3));
    throw new Error(`a file that is damaged or cut short: ${heard} s of sound, not ${expected} s`);
  }
  const wrong = samples.findIndex((sample) => !(Math.abs(sample) <= loudest));
  if (wrong >= 0) {
    const sample = samples[wrong] as number;
    samples.fill(0);
    const at = (wrong / rate).toFixed(2);
    throw new Error(
      Number.isFinite(sample)
        ? `a sample of ${Number(sample.toPrecision(3))} where full scale is 1, ${at} s in`
        : `a sample that is no finite number, ${at} s in`,
    );
  }
  return { samples, rate };
}

/** Converts to another rate, with the same duration; overwrites the input with zeros where it converts. */
export async function atRate(samples: Float32Array, from: number, to: number, signal?: AbortSignal): Promise<Float32Array> {
  if (from === to) return samples;
  const resampler = openResampler(from, to);
  const converted = new Float32Array(Math.round((samples.length * to) / from));
  let filled = 0;
  const take = (piece: Float32Array) => {
    const part = resampler.push(piece);
    converted.set(part.subarray(0, converted.length - filled), filled);
    filled = Math.min(converted.length, filled + part.length);
    part.fill(0);
  };
  for (let at = 0; at < samples.length; at += from) {
    await breathe(signal);
    take(samples.subarray(at, at + from));
  }
  take(new Float32Array(from)); // the resampler holds the last samples until others follow, and then silence
  samples.fill(0);
  return converted;
}
