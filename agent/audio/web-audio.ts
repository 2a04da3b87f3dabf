// The only file that imports node-web-audio-api, and only when sound is decoded or captured: the courier never loads
// it.
import { breathe } from '../lib/stop.ts';
import { openDownmix } from './downmix.ts';

const load = () => import('node-web-audio-api');

/**
 * Decodes wav, flac, ogg or mp3 bytes to mono float32 at `sampleRate`. Corrects two channels in antiphase as for a
 * microphone. Rejects on anything else, and with a StoppedError once the signal aborts.
 */
export async function decodeAudio(bytes: ArrayBuffer, sampleRate: number, signal?: AbortSignal): Promise<Float32Array> {
  const { OfflineAudioContext } = await load();
  const decoded = await new OfflineAudioContext(1, 1, sampleRate).decodeAudioData(bytes);
  // Copied out, because the arrays of getChannelData point into native memory that is freed with the AudioBuffer. In
  // small blocks, because there is much of it.
  const mono = new Float32Array(decoded.length);
  const step = Math.round(sampleRate / 10);
  const channels = Array.from({ length: decoded.numberOfChannels }, () => new Float32Array(step));
  const signOf = channels.length === 2 ? openSigns(sampleRate) : undefined;
  for (let at = 0; at < mono.length; at += step) {
    if (at % (10 * step) === 0) await breathe(signal);
    const block = mono.subarray(at, at + step);
    for (const [i, channel] of channels.entries()) decoded.copyFromChannel(channel, i, at);
    const sign = signOf?.(channels, block.length) ?? 1;
    channels.forEach((channel, i) => {
      const parts = (i === 1 ? sign : 1) * channels.length;
      for (let j = 0; j < block.length; j++) block[j] = (block[j] as number) + (channel[j] as number) / parts;
      decoded.copyToChannel(channel.fill(0), i, at);
    });
  }
  return mono;
}

/** Returns the sign for the second of two channels, from the sound so far: negative if their mean would be silence. */
function openSigns(sampleRate: number): (channels: readonly Float32Array[], count: number) => 1 | -1 {
  const downmix = openDownmix(sampleRate);
  const scratch = new Float32Array(Math.round(sampleRate / 10));
  const pcm = new Int16Array(2 * scratch.length);
  return (channels, count) => {
    channels.forEach((channel, i) => {
      for (let j = 0; j < count; j++) pcm[2 * j + i] = Math.max(-32768, Math.min(32767, Math.round((channel[j] as number) * 32768)));
    });
    downmix.mix(Buffer.from(pcm.buffer), scratch.subarray(0, count));
    pcm.fill(0);
    scratch.fill(0);
    return downmix.antiphase ? -1 : 1;
  };
}

/**
 * Captures the microphone and passes mono float32 to `take`. A missing or busy microphone aborts the whole process
 * (SIGABRT), so only the capture child calls this. Uses a ScriptProcessorNode, because an AudioWorklet takes a whole
 * core here.
 */
export async function captureMicrophone(deviceId: string, sampleRate: number, take: (samples: Float32Array) => void): Promise<void> {
  const { AudioContext, mediaDevices } = await load();
  const known = (await mediaDevices.enumerateDevices()).filter((device) => device.kind === 'audioinput');
  if (deviceId !== 'default' && !known.some((device) => device.deviceId === deviceId))
    throw new Error(`expected one of the inputs ${known.map((d) => d.deviceId).join(', ') || '(none)'}, got ${deviceId}`);
  const context = new AudioContext({ sampleRate, latencyHint: 'playback' });
  const stream = await mediaDevices.getUserMedia({ audio: deviceId === 'default' ? true : { deviceId } });
  const processor = context.createScriptProcessor(4096, 1, 1);
  processor.onaudioprocess = (event) => take(event.inputBuffer.getChannelData(0));
  context.createMediaStreamSource(stream).connect(processor);
  processor.connect(context.destination);
}
