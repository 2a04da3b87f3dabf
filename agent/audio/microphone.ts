import { fileURLToPath } from 'node:url';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../lib/clock.ts';
import { openAudioFile } from './audio-file.ts';
import type { AudioSource } from './frame.ts';
import { openPcmProcess } from './pcm-process.ts';

/** Opens the source that the configuration names. docs/decisions/0002 says why ALSA is the default. */
export async function openMicrophone(microphone: Config['microphone'], clock: Clock): Promise<AudioSource> {
  const { adapter, device, sampleRateHz: sampleRate, silenceTimeoutSeconds } = microphone;
  if (adapter === 'file') return openAudioFile(microphone.file as string, sampleRate, 'realtime');
  const common = {
    sampleRate,
    silenceTimeoutSeconds,
    monotonicMs: clock.monotonicMs,
    tryHint: 'tocsin devices lists what can be opened; put one in microphone.device',
  };
  if (adapter === 'web-audio')
    return openPcmProcess({
      ...common,
      command: process.execPath,
      args: [fileURLToPath(new URL('./web-audio-capture.ts', import.meta.url)), device, String(sampleRate)],
    });
  const args = ['-q', '-D', device, '-t', 'raw', '-f', 'S16_LE', '-c', '1', '-r', String(sampleRate), '--buffer-time=500000'];
  return openPcmProcess({ ...common, command: 'arecord', args });
}
