import { fileURLToPath } from 'node:url';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import { openAudioFile } from './audio-file.ts';
import { CaptureError } from './capture-error.ts';
import type { AudioSource } from './frame.ts';
import { describe, deviceTree, heldBy, isSame, resolveDevice, type SoundCard } from './identity.ts';
import { openPcmProcess } from './pcm-process.ts';

const longestStallSeconds = 10; // without a single sample; WatchdogSec of the listener's unit is longer

/**
 * Returns a function that opens the configured source, as often as it is called. docs/decisions/0002 says why ALSA is
 * the default.
 *
 * Every opening resolves a stable name again. Whatever the name, the card that is really held is looked up. A card
 * other than the first one is refused, as far as make, serial number and port tell them apart: a name such as `default`
 * does not bind a microphone, and this check does.
 */
export function microphoneOpener(microphone: Config['microphone'], clock: Clock, tree = deviceTree): () => Promise<AudioSource> {
  const { adapter, device, sampleRateHz: sampleRate, silenceTimeoutSeconds } = microphone;
  const common = {
    sampleRate,
    silenceTimeoutSeconds: Math.min(silenceTimeoutSeconds, longestStallSeconds),
    monotonicMs: clock.monotonicMs,
    tryHint: 'tocsin devices lists what can be opened; put one in microphone.device',
  };
  let first: SoundCard | undefined;
  return async () => {
    if (adapter === 'file') return openAudioFile(microphone.file as string, sampleRate, 'realtime');
    if (adapter === 'web-audio')
      return openPcmProcess({
        ...common,
        command: process.execPath,
        channels: 1,
        args: [fileURLToPath(new URL('./web-audio-capture.ts', import.meta.url)), device, String(sampleRate)],
      });
    const { pcm, card } = resolveDevice(device, tree);
    const verify = (pid: number, channels: 1 | 2) => {
      const stream = heldBy(pid, tree);
      if (!stream) return undefined;
      const held = stream.card;
      const replaced = card && card.index !== held.index;
      const other = replaced ? card : [card, first].find((expected) => expected && !isSame(expected, held));
      if (other)
        throw new CaptureError(
          'wrong_device',
          `Expected the microphone ${device} (${describe([other])}), got ${describe([held])}`,
          'put the first one back into its port, or restart the listener if it was exchanged or moved on purpose',
        );
      first ??= held;
      if (channels === 2 && (stream.channels ?? 0) > channels) throw new NotStereo();
      return stream.rate;
    };
    const capture = (channels: 1 | 2) => {
      const args = ['-q', '-D', pcm, '-t', 'raw', '-f', 'S16_LE', '-c', String(channels), '-r', String(sampleRate), '--buffer-time=500000'];
      return openPcmProcess({ ...common, command: 'arecord', args, device: pcm, channels, verify: (pid) => verify(pid, channels) });
    };
    return stereoOrMono(capture);
  };
}

class NotStereo extends Error {}

/**
 * Captures both channels, so that antiphase can be detected, or one where two cannot be had. ALSA duplicates the
 * channel of a mono microphone, unless the name is that of the bare hardware. Of more than two channels ALSA would give
 * the first two; asked for one, it gives the mean of all.
 */
function stereoOrMono(capture: (channels: 1 | 2) => AudioSource): AudioSource {
  let source = capture(2);
  return {
    sampleRate: source.sampleRate,
    get dropped() {
      return source.dropped;
    },
    get hardwareRate() {
      return source.hardwareRate;
    },
    get antiphase() {
      return source.antiphase ?? false;
    },
    async *frames(signal) {
      try {
        yield* source.frames(signal);
      } catch (error) {
        if (!(error instanceof NotStereo) && !messageOf(error).includes('Channels count non available')) throw error;
        source = capture(1);
        yield* source.frames(signal);
      }
    },
  };
}
