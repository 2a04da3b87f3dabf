import { expect, test } from 'vitest';
import type { DetectionRule, Label } from '../../agent/classify/model-manifest.ts';
import { type Detection, openEventDetector } from '../../agent/events/event-detector.ts';

const frameSeconds = 0.05;
const rule: DetectionRule = { open: 0.6, close: 0.3, minDurationSeconds: 0, smoothingSeconds: 0, mergeSeconds: 0.5, cooldownSeconds: 0.5 };

/** Scores as [seconds, score] stretches of one label, through a detector. */
function detect(stretches: [number, number][], change: Partial<DetectionRule> = {}) {
  const detector = openEventDetector(['bang'], { bang: { ...rule, ...change } } as Record<Label, DetectionRule>, frameSeconds);
  const confirmed: { at: number; onset: number }[] = [];
  const ended: Detection[] = [];
  const missed: string[] = [];
  let frame = 0;
  for (const [seconds, score] of stretches)
    for (let i = 0; i < Math.round(seconds / frameSeconds); i++) {
      const endSeconds = ++frame * frameSeconds;
      const step = detector.push({ scores: [score], endSeconds, scoredSeconds: endSeconds });
      for (const d of step.confirmed) confirmed.push({ at: endSeconds, onset: d.onsetSeconds });
      ended.push(...step.ended);
      missed.push(...step.missed.map(({ reason }) => reason));
    }
  ended.push(...detector.finish());
  return { confirmed, ended, missed };
}

test('a bang of 50 ms is one event, reported with its first frame', () => {
  const { confirmed, ended } = detect([
    [1, 0.1],
    [0.05, 0.9],
    [2, 0.1],
  ]);
  expect(confirmed).toEqual([{ at: expect.closeTo(1.05), onset: expect.closeTo(1) }]);
  expect(ended).toHaveLength(1);
  expect((ended[0] as Detection).offsetSeconds).toBeCloseTo(1.05);
});

test('a scream of 5 s is one event of 5 s', () => {
  const { confirmed, ended } = detect(
    [
      [1, 0],
      [5, 0.8],
      [2, 0],
    ],
    { minDurationSeconds: 0.2 },
  );
  expect(confirmed).toHaveLength(1);
  expect((ended[0] as Detection).offsetSeconds - (ended[0] as Detection).onsetSeconds).toBeCloseTo(5);
});

test('repeats within the merge time join one event, later ones are new', () => {
  expect(
    detect([
      [0.1, 0.9],
      [0.3, 0],
      [0.1, 0.9],
      [3, 0],
    ]).ended,
  ).toHaveLength(1);
  expect(
    detect([
      [0.1, 0.9],
      [1.5, 0],
      [0.1, 0.9],
      [3, 0],
    ]).ended,
  ).toHaveLength(2);
});

test('a sound in the cool-down is not a new event', () => {
  const { confirmed, missed } = detect([
    [0.1, 0.9],
    [0.7, 0],
    [0.1, 0.9],
    [3, 0],
  ]);
  expect(confirmed).toHaveLength(1);
  expect(missed).toEqual(['cooldown']);
});

test('a sound that begins in the cool-down and outlasts it is one, told once, with its own onset', () => {
  const { confirmed, missed } = detect([
    [0.1, 0.9],
    [0.8, 0],
    [1, 0.9],
    [3, 0],
  ]);
  expect(confirmed.map(({ onset }) => onset)).toEqual([0, expect.closeTo(0.9, 5)]);
  expect(confirmed[1]?.at).toBeGreaterThan(1.1);
  expect(missed).toEqual([]);
});

test('what does not last the minimum duration is no event', () => {
  expect(
    detect(
      [
        [0.1, 0.9],
        [2, 0],
      ],
      { minDurationSeconds: 0.2 },
    ).confirmed,
  ).toHaveLength(0);
  expect(
    detect(
      [
        [0.2, 0.9],
        [2, 0],
      ],
      { minDurationSeconds: 0.2 },
    ).confirmed,
  ).toHaveLength(1);
});

test('between the thresholds an open event goes on and a closed one stays closed', () => {
  expect(detect([[1, 0.5]]).confirmed).toHaveLength(0);
  const { ended } = detect([
    [0.1, 0.9],
    [2, 0.4],
    [2, 0],
  ]);
  expect((ended[0] as Detection).offsetSeconds).toBeCloseTo(2.1);
});

test('smoothing takes single frames away and moves the onset back by its delay', () => {
  expect(
    detect(
      [
        [1, 0],
        [0.05, 0.9],
        [1, 0],
      ],
      { smoothingSeconds: 0.2 },
    ).confirmed,
  ).toHaveLength(0);
  const { confirmed } = detect(
    [
      [1, 0],
      [1, 0.9],
    ],
    { smoothingSeconds: 0.2 },
  );
  expect(confirmed[0]?.onset).toBeCloseTo(1.025);
});

test('confidence is the highest score of the event', () => {
  expect(
    detect([
      [0.1, 0.7],
      [0.1, 0.95],
      [0.1, 0.8],
      [2, 0],
    ]).ended[0]?.confidence,
  ).toBeCloseTo(0.95);
});
