// Scores a model under changed microphones, through the agent's own pipeline:
// node robustness.ts SCENES_DIR MODEL_DIR. Prints Markdown.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openAudioFile } from '../../agent/audio/audio-file.ts';
import type { AudioSource } from '../../agent/audio/frame.ts';
import { labels } from '../../agent/classify/model-manifest.ts';
import { openOnnxClassifier } from '../../agent/classify/onnx-classifier.ts';
import { rulesOf } from '../../agent/classify/rules.ts';
import { type Found, type Scene, scoreEvents } from '../../agent/cli/scoring.ts';
import { hear } from '../../agent/pipeline.ts';

type Change = () => (samples: Float32Array) => void;
const scale =
  (decibels: number): Change =>
  () =>
  (x) => {
    for (let i = 0; i < x.length; i++) x[i] = Math.max(-1, Math.min(1, (x[i] as number) * 10 ** (decibels / 20)));
  };
/** Four one-pole low-passes at 3.4 kHz: a telephone's bandwidth, gently. */
const narrow: Change = () => {
  const state = [0, 0, 0, 0];
  const a = 1 - Math.exp((-2 * Math.PI * 3400) / 16000);
  return (x) => {
    for (let i = 0; i < x.length; i++) {
      let v = x[i] as number;
      for (let k = 0; k < 4; k++) v = state[k] = (state[k] as number) + a * (v - (state[k] as number));
      x[i] = v;
    }
  };
};
const offset: Change = () => (x) => {
  for (let i = 0; i < x.length; i++) x[i] = (x[i] as number) + 0.05;
};
/** Low-passed noise that swells every few seconds, 10 dB over a quiet street at its height. */
const wind: Change = () => {
  let low = 0;
  let seed = 7;
  let n = 0;
  return (x) => {
    for (let i = 0; i < x.length; i++) {
      seed = (seed * 48271) % 2147483647;
      low += 0.01 * (seed / 1073741823.5 - 1 - low);
      x[i] = (x[i] as number) + low * 0.4 * (0.5 + 0.5 * Math.sin((2 * Math.PI * n++) / 64000));
    }
  };
};
const same: Change = () => () => undefined;
const conditions: [string, number, Change][] = [
  ['as it is', 16000, same],
  ['gain -30 dB', 16000, scale(-30)],
  ['gain -20 dB', 16000, scale(-20)],
  ['gain +10 dB', 16000, scale(10)],
  ['gain +30 dB, clipped', 16000, scale(30)],
  ['bandwidth 3.4 kHz', 16000, narrow],
  ['DC offset 0.05', 16000, offset],
  ['wind', 16000, wind],
  ['captured at 44.1 kHz', 44100, same],
  ['captured at 48 kHz', 48000, same],
];

const [dir = '', modelDir = ''] = process.argv.slice(2);
const scenes = JSON.parse(readFileSync(join(dir, 'scenes.json'), 'utf8')) as Scene[];
const classifier = await openOnnxClassifier(modelDir);
const rules = rulesOf(classifier.manifest, { operatingPoint: 'balanced', open: {} });

async function find(rate: number, change: Change): Promise<Found[]> {
  const found: Found[] = [];
  for (const { file } of scenes) {
    const source = await openAudioFile(join(dir, file), rate, 'fast');
    const apply = change();
    async function* frames(signal: AbortSignal) {
      for await (const frame of source.frames(signal)) {
        apply(frame.samples);
        yield frame;
      }
    }
    const changed: AudioSource = { sampleRate: rate, dropped: 0, frames };
    await hear(changed, classifier, rules, { ended: (d) => found.push({ ...d, file, toldSeconds: 0 }) }, new AbortController().signal);
  }
  return found;
}

console.log('| condition | macro F1 | glass_break | shout | bang | false alarms/h |\n| --- | --- | --- | --- | --- | --- |');
for (const [name, rate, change] of conditions) {
  const found = await find(rate, change);
  const score = scoreEvents(scenes, found);
  console.log(
    `| ${name} | ${score.macroF1.toFixed(2)} | ${labels.map((l) => score.perLabel[l].f1.toFixed(2)).join(' | ')} | ${score.falseAlarmsPerHour.toFixed(0)} |`,
  );
}

await classifier.close();
