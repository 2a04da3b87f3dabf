import { expect, test } from 'vitest';
import type { AudioFrame, AudioSource } from '../../agent/audio/frame.ts';
import { openLossCount } from '../../agent/audio/loss-count.ts';
import { openOnnxClassifier } from '../../agent/classify/onnx-classifier.ts';
import { rulesOf } from '../../agent/classify/rules.ts';
import { hear } from '../../agent/pipeline.ts';

const sampleRate = 16_000;
const bufferSeconds = 1.6; // what arecord, the socket pair and the reader's buffer hold together (pcm-process.ts)

/**
 * Hears silence with the rules of the bundled model, on a board with a simulated clock: scoring a second of sound
 * takes `cost` seconds, and the board stalls once for `stall` seconds. Sound that finds the buffers full is lost. It
 * cannot show how arecord loses sound. Returns the seconds lost.
 */
async function lostIn(minutes: number, cost: number, stall: number): Promise<number> {
  const model = await openOnnxClassifier('models/street');
  let now = 0;
  let stalled = false;
  const slow: typeof model = {
    ...model,
    async push(samples) {
      now += (cost * samples.length) / sampleRate;
      if (!stalled && now > 10) now += stall;
      stalled = now > 10;
      return [];
    },
  };
  const count = openLossCount(sampleRate);
  let [lost, buffered, capturedTo] = [0, 0, 0];
  const capture = () => {
    const came = now - capturedTo;
    const kept = Math.min(came, bufferSeconds - buffered);
    [lost, buffered, capturedTo] = [lost + came - kept, buffered + kept, now];
  };
  async function* frames(): AsyncGenerator<AudioFrame> {
    while (now < minutes * 60) {
      capture();
      const waited = Math.max(0, 0.1 - buffered);
      now += waited;
      capture();
      const samples = Math.round(Math.min(0.5, buffered) * sampleRate);
      buffered -= samples / sampleRate;
      yield { samples: new Float32Array(samples), firstSample: count.arrived(samples, now * 1000, waited * 1000) };
    }
  }
  const source: AudioSource = { sampleRate, dropped: 0, frames };
  await hear(source, slow, rulesOf(model.manifest, { operatingPoint: 'balanced', open: {} }), {}, new AbortController().signal);
  await model.close();
  return lost;
}

test.each([0.1, 0.5, 0.8, 0.9])('a board that takes %s s to score a second of sound catches up after a stall', async (cost) => {
  const lost = await lostIn(10, cost, 4);
  expect(lost).toBeGreaterThan(2);
  expect(lost).toBeLessThan(4);
});

// for example a board throttled by heat, which can score at most 1 / cost of the sound
test.each([1.1, 1.25, 2])('a board that takes %s s to score a second of sound loses at most 60 s in 10 min beyond what it cannot score', async (cost) => {
  const couldLose = 600 * (1 - 1 / cost);
  expect(await lostIn(10, cost, 0)).toBeLessThan(couldLose + 60);
});
