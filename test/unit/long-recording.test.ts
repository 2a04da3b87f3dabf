import { expect, test } from 'vitest';
import { atRate, openAudioFile } from '../../agent/audio/audio-file.ts';
import { decodeAudio } from '../../agent/audio/web-audio.ts';
import { StoppedError } from '../../agent/lib/errors.ts';
import { wavFile } from '../demo/synthesise-scene.ts';

/** Aborts as a signal of the system does: not before the work lets the event loop have its turn. */
function stopNext(): AbortSignal {
  const stop = new AbortController();
  setImmediate(() => stop.abort());
  return stop.signal;
}

test('a stop by hand ends the conversion of a long recording to another rate', async () => {
  const minute = new Float32Array(60 * 8000);
  await expect(atRate(minute, 8000, 4000, stopNext())).rejects.toThrow(StoppedError);
  expect(await atRate(minute, 8000, 4000, new AbortController().signal)).toHaveLength(60 * 4000);
});

test('a stop by hand ends the mixing of channels, and is not told as a file that cannot be read', async () => {
  const bytes = new Uint8Array(wavFile(new Int16Array(16_000), 16_000)).buffer;
  await expect(decodeAudio(bytes, 16_000, AbortSignal.abort())).rejects.toThrow(StoppedError);
  await expect(openAudioFile('deploy/selftest.wav', 16_000, 'fast', AbortSignal.abort())).rejects.toThrow(StoppedError);
});
