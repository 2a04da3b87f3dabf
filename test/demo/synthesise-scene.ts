// Synthesises the demo scene, with identical samples everywhere: node test/demo/synthesise-scene.ts > scene.wav, then
// `flac --best scene.wav`; and the sound of the self-test: node test/demo/synthesise-scene.ts selftest >
// deploy/selftest.wav. They contain no recordings.

export const sampleRate = 16000;
export const sceneSeconds = 26;
/** The sounds of the scene and their onsets in seconds. */
export const sceneSounds = [
  { label: 'bang', onset: 5 },
  { label: 'glass_break', onset: 11 },
  { label: 'bang', onset: 17 },
  { label: 'glass_break', onset: 22 },
] as const;

interface SceneSound {
  readonly label: 'bang' | 'glass_break';
  readonly onset: number;
}
/** The sounds of the self-test, short enough for a person to wait for. */
export const selftestSeconds = 5;
export const selftestSounds: readonly SceneSound[] = [
  { label: 'glass_break', onset: 1.5 },
  { label: 'bang', onset: 3.5 },
];

function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5;
    const mixed = Math.imul(state ^ (state >>> 13), 0x297a2d39);
    return ((mixed ^ (mixed >>> 16)) >>> 0) / 4294967296;
  };
}

/** Distant traffic: low-passed noise that swells. */
function bed(out: Float64Array): void {
  const random = generator(1);
  let low = 0;
  for (let i = 0; i < out.length; i++) {
    low += 0.03 * (random() * 2 - 1 - low);
    out[i] = low * 0.02 * (1 + 0.3 * Math.sin(i / sampleRate)) + (random() - 0.5) * 0.0006;
  }
}

/** A gunshot-like blast, close and overloading the microphone: a sharp crack over a low-passed body that rolls away. */
function bang(out: Float64Array, at: number, seed: number): void {
  const random = generator(seed);
  let low = 0;
  for (let i = 0; i < 1.5 * sampleRate; i++) {
    const noise = random() * 2 - 1;
    const t = i / sampleRate;
    low += 0.45 * (noise - low);
    out[at + i] = (out[at + i] as number) + (4.7 * low * Math.exp(-t / 0.18) + 8 * noise * Math.exp(-t / 0.02)) * Math.min(1, i / 4);
  }
}

/** A breaking pane: an impact, then shards of a few inharmonic partials each, which ring and decay. */
function glass(out: Float64Array, at: number, seed: number): void {
  const random = generator(seed);
  for (let i = 0; i < 0.05 * sampleRate; i++) out[at + i] = (out[at + i] as number) + (random() * 2 - 1) * 0.3 * Math.exp(-i / sampleRate / 0.012);
  for (let shard = 0; shard < 90; shard++) {
    const start = at + Math.floor(random() ** 2.2 * 1.1 * sampleRate);
    const loudness = 0.1 * (0.2 + random()) * Math.exp((-1.6 * (start - at)) / sampleRate);
    const base = 1800 + random() * 3600;
    for (const ratio of [1, 1.37 + random() * 0.2, 1.9 + random() * 0.3]) {
      const frequency = Math.min(7600, base * ratio);
      const decay = 0.015 + random() * 0.09;
      const phase = random() * 6.28;
      for (let i = 0; i < decay * 6 * sampleRate && start + i < out.length; i++)
        out[start + i] =
          (out[start + i] as number) +
          loudness * Math.exp(-i / sampleRate / decay) * Math.sin((2 * Math.PI * frequency * i) / sampleRate + phase) * Math.min(1, i / 6);
    }
  }
}

/** A scene as 16-bit samples. */
export function synthesiseScene(sounds: readonly SceneSound[] = sceneSounds, seconds = sceneSeconds): Int16Array {
  const out = new Float64Array(seconds * sampleRate);
  bed(out);
  for (const [i, { label, onset }] of sounds.entries()) (label === 'bang' ? bang : glass)(out, onset * sampleRate, 10 + i);
  return Int16Array.from(out, (x) => Math.round(Math.tanh(x) * 30000));
}

/** A 16-bit mono WAV file. */
export function wavFile(samples: Int16Array, rate: number): Buffer {
  const header = Buffer.alloc(44);
  header.write('RIFF', 0);
  header.writeUInt32LE(36 + samples.length * 2, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(rate, 24);
  header.writeUInt32LE(rate * 2, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36);
  header.writeUInt32LE(samples.length * 2, 40);
  return Buffer.concat([header, Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength)]);
}

if (import.meta.main) {
  const samples = process.argv[2] === 'selftest' ? synthesiseScene(selftestSounds, selftestSeconds) : synthesiseScene();
  process.stdout.write(wavFile(samples, sampleRate));
}
