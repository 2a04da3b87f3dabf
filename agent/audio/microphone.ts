import { fileURLToPath } from 'node:url';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../lib/clock.ts';
import { openAudioFile } from './audio-file.ts';
import { CaptureError } from './capture-error.ts';
import type { AudioSource } from './frame.ts';
import { cardHeldBy, deviceTree, modelOf, resolveDevice } from './identity.ts';
import { openPcmProcess } from './pcm-process.ts';

const longestStallSeconds = 10; // without a single sample; WatchdogSec of the listener's unit is longer

/**
 * Opens the source that the configuration names, as often as asked. docs/decisions/0002 says why ALSA is the default.
 *
 * A stable name is resolved anew at every opening. Whatever the name, the card that is really held is looked up, and one of
 * another make than at first is refused: a name such as `default` does not bind a microphone, and this does.
 */
export function microphoneOpener(microphone: Config['microphone'], clock: Clock, tree = deviceTree): () => Promise<AudioSource> {
  const { adapter, device, sampleRateHz: sampleRate, silenceTimeoutSeconds } = microphone;
  const common = {
    sampleRate,
    silenceTimeoutSeconds: Math.min(silenceTimeoutSeconds, longestStallSeconds),
    monotonicMs: clock.monotonicMs,
    tryHint: 'tocsin devices lists what can be opened; put one in microphone.device',
  };
  let first: string | undefined;
  return async () => {
    if (adapter === 'file') return openAudioFile(microphone.file as string, sampleRate, 'realtime');
    if (adapter === 'web-audio')
      return openPcmProcess({
        ...common,
        command: process.execPath,
        args: [fileURLToPath(new URL('./web-audio-capture.ts', import.meta.url)), device, String(sampleRate)],
      });
    const { pcm, card } = resolveDevice(device, tree);
    const verify = (pid: number) => {
      const held = cardHeldBy(pid, tree);
      if (!held) return;
      const expected = card ? modelOf(card) : first;
      first ??= modelOf(held);
      if ((expected ?? first) !== modelOf(held) || first !== modelOf(held) || (card && card.index !== held.index))
        throw new CaptureError(
          'wrong_device',
          `Expected the microphone ${device} (${expected ?? first}), got ${modelOf(held)}`,
          'put the first one back, or restart the listener if it was exchanged on purpose',
        );
    };
    const args = ['-q', '-D', pcm, '-t', 'raw', '-f', 'S16_LE', '-c', '1', '-r', String(sampleRate), '--buffer-time=500000'];
    return openPcmProcess({ ...common, command: 'arecord', args, verify });
  };
}
