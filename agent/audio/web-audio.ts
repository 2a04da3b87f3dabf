// The only file that imports node-web-audio-api, and only when sound is decoded or captured: the courier never loads it.
const load = () => import('node-web-audio-api');

/** Decodes wav, flac, ogg or mp3 bytes to mono float32 at `sampleRate`. Rejects on anything else. */
export async function decodeAudio(bytes: ArrayBuffer, sampleRate: number): Promise<Float32Array> {
  const { OfflineAudioContext } = await load();
  const decoded = await new OfflineAudioContext(1, 1, sampleRate).decodeAudioData(bytes);
  // Copied out: the arrays of getChannelData point into native memory that goes with the AudioBuffer.
  const mono = new Float32Array(decoded.length);
  const channel = new Float32Array(decoded.length);
  for (let i = 0; i < decoded.numberOfChannels; i++) {
    decoded.copyFromChannel(channel, i);
    for (let j = 0; j < mono.length; j++) mono[j] = (mono[j] as number) + (channel[j] as number) / decoded.numberOfChannels;
    decoded.copyToChannel(channel.fill(0), i);
  }
  return mono;
}

/**
 * Captures the microphone into `take`, as mono float32. A missing or busy microphone aborts the whole process (SIGABRT),
 * so only the capture child calls this. ScriptProcessorNode, because an AudioWorklet here takes a whole core.
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
