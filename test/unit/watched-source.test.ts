import { expect, test } from 'vitest';
import type { AudioFrame, AudioSource } from '../../agent/audio/frame.ts';
import type { Hearing } from '../../agent/audio/hearing.ts';
import { openRateDoubt, watchSource } from '../../agent/audio/watched-source.ts';
import { fixedClock } from '../support/samples.ts';

const sampleRate = 16_000;
const frame = sampleRate / 10;
const sound = Float32Array.from({ length: frame }, (_, i) => Math.sin(i));
const zeros = new Float32Array(frame);

/**
 * Watches frames of 100 ms on a simulated clock; `sourceMs` and `consumerMs` are the times that source and consumer
 * take per frame.
 */
async function watched(frames: Float32Array[], state: Hearing['state'], sourceMs = 100, consumerMs = 0, lostBefore = 0) {
  let nowMs = 0;
  const hearing: Hearing = { sinceMonotonicMs: 0, state, fault: undefined, listenedSeconds: 0, droppedSamples: lostBefore, opens: 2 };
  const told: string[] = [];
  const source: AudioSource = {
    sampleRate,
    dropped: sampleRate,
    async *frames(): AsyncGenerator<AudioFrame> {
      for (const [i, samples] of frames.entries()) {
        nowMs += sourceMs;
        yield { samples, firstSample: i * frame };
      }
    },
  };
  const parts = {
    hearing,
    clock: fixedClock({ monotonicMs: () => nowMs }),
    silenceSeconds: 5,
    doubt: openRateDoubt(),
    watchLoss: (seconds: number) => void told.push(`${seconds} s lost`),
    proven: () => undefined,
    report: () => void told.push('reported'),
  };
  for await (const _ of watchSource(source, parts).frames(new AbortController().signal)) {
    nowMs += consumerMs;
    told.push('consumed');
  }
  return { hearing, told };
}

test('losses are added up over all openings, and a frame is reported after it is consumed', async () => {
  const { told } = await watched([sound], 'listening', 100, 0, 3 * sampleRate);
  expect(told).toEqual(['4 s lost', 'consumed', 'reported']);
});

test('a reader that falls behind is not taken for a slow microphone', async () => {
  const { hearing } = await watched(Array(300).fill(sound), 'listening', 5, 110);
  expect(hearing.listenedSeconds).toBeGreaterThan(29);
});

test('while the microphone is deaf, crackle between long stretches of zeros does not count as heard', async () => {
  const crackling = Array.from({ length: 60 }, (_, i) => (i % 20 === 19 ? sound : zeros));
  expect((await watched(crackling, 'deaf')).hearing.listenedSeconds).toBe(0);
  expect((await watched(crackling, 'listening')).hearing.listenedSeconds).toBeGreaterThan(3);
});

test.each([
  ['zeros', Array(60).fill(zeros), 100, 'mute switch'],
  ['flat', Array(60).fill(zeros.map(() => 0.1)), 100, 'mute switch'],
  ['slow', Array(120).fill(sound), 120, 'sampleRateHz'],
  ['fast', Array(120).fill(sound), 80, 'sampleRateHz'],
])('the hint names what to check when the signal is %s', async (fault, frames, sourceMs, hint) => {
  await expect(watched(frames, 'listening', sourceMs)).rejects.toMatchObject({ fault, tryHint: expect.stringContaining(hint) });
});
