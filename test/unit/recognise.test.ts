import { expect, test } from 'vitest';
import type { AudioSource } from '../../agent/audio/frame.ts';
import { openOnnxClassifier } from '../../agent/classify/onnx-classifier.ts';
import { recognise } from '../../agent/cli/selftest/chain.ts';
import { checkConfig } from '../../agent/config/load-config.ts';
import { fixedClock } from '../support/samples.ts';

test('a microphone that gives an offset and no sound is what selftest names, not the model', async () => {
  const source: AudioSource = {
    sampleRate: 16_000,
    dropped: 0,
    async *frames() {
      for (let i = 0; i < 20; i++) yield { samples: Float32Array.from({ length: 1600 }, (_, at) => 0.05 + 0.0005 * Math.sin(at)), firstSample: i * 1600 };
    },
  };
  const classifier = await openOnnxClassifier('models/street');
  const config = checkConfig({ site: 'a', sensor: 'b', mqtt: { url: 'mqtt://127.0.0.1' } }, 'test');
  const trial = recognise(source, classifier, config, fixedClock({}), new AbortController().signal);
  await expect(trial).rejects.toMatchObject({ link: 'microphone', reason: { key: 'selftest.silent', values: { level: -66 } } });
  await classifier.close();
});
