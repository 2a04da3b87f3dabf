import { expect, test } from 'vitest';
import type { DetectionRule, Label } from '../../agent/classify/model-manifest.ts';
import { type Detection, openEventDetector } from '../../agent/events/event-detector.ts';

const frameSeconds = 0.05;
const rule: DetectionRule = { open: 0.6, close: 0.3, minDurationSeconds: 0, smoothingSeconds: 0, mergeSeconds: 0.5, cooldownSeconds: 0.5 };

/** Runs [seconds, score] stretches of one label through a detector. */
function detect(stretches: [number, number][], change: Partial<DetectionRule> = {}) {
  const detector = openEventDetector(['bang'], { bang: { ...rule, ...change } } as Record<Label, DetectionRule>, frameSeconds);
  const confirmed: { at: number; onset: number }[] = [];
  const ended: Detection[] = [];
  const missed: [string, number][] = [];
  let frame = 0;
  for (const [seconds, score] of stretches)
    for (let i = 0; i < Math.round(seconds / frameSeconds); i++) {
      const endSeconds = ++frame * frameSeconds;
      const step = detector.push({ scores: [score], endSeconds, scoredSeconds: endSeconds });
      for (const d of step.confirmed) confirmed.push({ at: endSeconds, onset: d.onsetSeconds });
      ended.push(...step.ended);
      missed.push(...step.missed.map(({ reason, peak }): [string, number] => [reason, peak]));
    }
  ended.push(...detector.finish());
  return { confirmed, ended, missed };
}

/** On one line what a list would be on several. */
const stretches = (...all: [number, number][]) => all;

test('a bang of 50 ms is one event and is reported with its first frame', () => {
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

test('a repeat within the merge time joins the event; one after the cool-down is a new event', () => {
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

test('a sound within the cool-down is not a new event', () => {
  const { confirmed, missed } = detect([
    [0.1, 0.9],
    [0.7, 0],
    [0.1, 0.9],
    [3, 0],
  ]);
  expect(confirmed).toHaveLength(1);
  expect(missed).toEqual([['cooldown', 0.9]]);
});

test('a sound that begins in the cool-down and outlasts it is one event with its own onset, and its highest score since then', () => {
  const { confirmed, missed, ended } = detect([
    [0.1, 0.9],
    [0.8, 0],
    [0.1, 0.99],
    [0.9, 0.7],
    [3, 0],
  ]);
  expect(confirmed.map(({ onset }) => onset)).toEqual([0, expect.closeTo(0.9, 5)]);
  expect(confirmed[1]?.at).toBeGreaterThan(1.1);
  expect(ended[1]).toMatchObject({ confidence: 0.99, scores: [0.99], offsetSeconds: expect.closeTo(1.9) });
  expect(missed).toEqual([]);
});

test('a sound shorter than the minimum duration is not an event', () => {
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

test('between the two thresholds an open event continues and no event opens', () => {
  expect(detect([[1, 0.5]]).confirmed).toHaveLength(0);
  const { ended } = detect(stretches([0.1, 0.9], [2, 0.4], [2, 0]));
  expect((ended[0] as Detection).offsetSeconds).toBeCloseTo(2.1);
});

test('after a minute an event ends below `open`, so that a din between the thresholds or a series of sounds hides none for hours', () => {
  const times = (count: number, ...stretches: [number, number][]) => Array.from({ length: count }, () => stretches).flat();
  expect(detect(times(12, [0.5, 0.9], [599.5, 0.45])).confirmed).toHaveLength(12); // two hours
  const { confirmed, ended } = detect(times(3000, [0.1, 0.9], [0.3, 0])); // 20 minutes
  expect(confirmed).toHaveLength(20);
  for (const { onsetSeconds, offsetSeconds } of ended) expect(offsetSeconds - onsetSeconds).toBeLessThan(60.5);
  expect(detect(times(1, [7200, 0.9])).confirmed).toHaveLength(1); // what goes on without a break is told once
  expect(detect(times(2, [0.1, 0.9], [58, 0.45])).confirmed).toHaveLength(1);
});

test('a score equal to a threshold counts as above it', () => {
  const { confirmed, ended } = detect([
    [0.1, 0],
    [0.1, rule.open],
    [1, rule.close],
    [2, 0],
  ]);
  expect(confirmed).toHaveLength(1);
  expect((ended[0] as Detection).offsetSeconds).toBeCloseTo(1.2);
  const opens: [number, number][] = [
    [0.05, 0.9],
    [0.3, rule.close],
  ];
  expect(detect(opens, { minDurationSeconds: 0.2 }).confirmed).toHaveLength(1);
  const stirs: [number, number][] = [
    [0.1, rule.close],
    [0.1, 0],
  ];
  expect(detect(stirs).missed).toEqual([['under', rule.close]]);
  const inCooldown: [number, number][] = [
    [0.1, 0.9],
    [0.8, 0],
    [1, rule.open],
  ];
  expect(detect(inCooldown).confirmed.map(({ onset }) => onset)).toEqual([0, expect.closeTo(0.9, 5)]);
});

test('a sound that stays below the open threshold is reported as missed, with its peak; background and event tails are not', () => {
  const { confirmed, missed } = detect([
    [0.5, 0.1],
    [0.1, 0.4],
    [0.1, 0.55],
    [0.1, 0.35],
    [0.5, 0.1],
    [0.1, 0.4],
    [0.1, 0.9], // the event has opened
    [0.1, 0.4],
    [0.2, 0.1],
    [0.1, 0.4], // in the tail
    [2, 0.1],
  ]);
  expect(confirmed).toHaveLength(1);
  expect(missed).toEqual([['under', 0.55]]);
});

test('sounds that are too short or merged into the previous event are reported as missed, with their scores', () => {
  const falls: [number, number][] = [
    [0.1, 0.9],
    [0.05, 0.7],
    [1, 0],
  ];
  expect(detect(falls, { minDurationSeconds: 0.2 }).missed).toEqual([['short', 0.9]]);
  const { ended, missed } = detect([
    [0.1, 0.9],
    [0.2, 0],
    [0.05, 0.95],
    [2, 0],
  ]);
  expect(missed).toEqual([['merged', 0.95]]);
  expect(ended).toMatchObject([{ confidence: 0.95, offsetSeconds: expect.closeTo(0.35) }]);
});

test('the end of the stream ends a confirmed event, also in its tail; a sound below the minimum duration is dropped', () => {
  const sound: [number, number] = [0.1, 0.9];
  expect(detect([sound]).ended).toHaveLength(1);
  expect(detect([sound, [0.1, 0]]).ended).toHaveLength(1);
  expect(detect([sound, [0.6, 0]]).ended).toHaveLength(1); // only once, in the cool-down
  expect(detect([sound], { minDurationSeconds: 0.2 }).ended).toEqual([]);
});

test('look() returns the state of a label and the time left in that state', () => {
  const detector = openEventDetector(['bang'], { bang: { ...rule, minDurationSeconds: 0.2 } } as Record<Label, DetectionRule>, frameSeconds);
  let frame = 0;
  const after = (seconds: number, score: number) => {
    for (let i = 0; i < Math.round(seconds / frameSeconds); i++)
      detector.push({ scores: [score], endSeconds: ++frame * frameSeconds, scoredSeconds: frame * frameSeconds });
    return detector.look()[0];
  };
  expect(detector.look()).toEqual([{ score: 0, state: 'idle', leftSeconds: 0 }]);
  expect(after(1, 0.4)).toEqual({ score: 0.4, state: 'idle', leftSeconds: 0 });
  expect(after(0.05, 0.9)).toEqual({ score: 0.9, state: 'open', leftSeconds: expect.closeTo(0.15) });
  expect(after(0.2, 0.9)).toMatchObject({ state: 'confirmed', leftSeconds: 0 });
  expect(after(0.1, 0)).toMatchObject({ state: 'tail', leftSeconds: expect.closeTo(0.45) });
  expect(after(0.6, 0)).toMatchObject({ state: 'cooldown', leftSeconds: expect.closeTo(0.35) });
  expect(after(0.5, 0)).toMatchObject({ state: 'idle', leftSeconds: 0 });
  expect(after(0.05, 0.9)).toMatchObject({ state: 'open' });
  expect(after(0.05, 0)).toMatchObject({ state: 'idle', leftSeconds: 0 });
});

test('smoothing removes single frames and moves the onset back by its delay', () => {
  expect(detect(stretches([1, 0], [0.05, 0.9], [1, 0]), { smoothingSeconds: 0.2 }).confirmed).toHaveLength(0);
  expect(detect(stretches([1, 0], [1, 0.9]), { smoothingSeconds: 0.2 }).confirmed[0]?.onset).toBeCloseTo(1.025);
});

test('before the first frame there was silence: one frame there opens no event, and no onset is earlier', () => {
  expect(detect(stretches([0.05, 0.9], [1, 0]), { smoothingSeconds: 0.2 }).confirmed).toHaveLength(0);
  expect(detect([[1, 0.9]], { smoothingSeconds: 0.2, open: 0.2, close: 0.2 }).confirmed).toEqual([{ at: 0.05, onset: 0 }]);
});

test('the minimum duration is a number of frames in which the smoothed score stays, whatever time has passed before', () => {
  for (let frames = 4; frames < 400; frames++) {
    const sound = (seconds: number) => stretches([frames * frameSeconds, 0], [seconds, 0.9], [1, 0]);
    const reported = (seconds: number, change: Partial<DetectionRule>) => detect(sound(seconds), { minDurationSeconds: 0.2, ...change }).confirmed.length;
    // a mean over four frames of 0.9 is above 0.3 from the second of them until the second after the last
    const smooth = { smoothingSeconds: 0.2, open: 0.3 };
    const found = [reported(0.15, {}), reported(0.2, {}), reported(0.1, smooth), reported(0.15, smooth)];
    expect(found, `after ${frames} frames`).toEqual([0, 1, 0, 1]);
  }
});

test('smoothing moves the offset back like the onset, and is rounded to whole frames', () => {
  const sound: [number, number][] = [
    [1, 0],
    [1, 0.9],
    [2, 0],
  ];
  expect(detect(sound, { smoothingSeconds: 0.2 }).ended).toMatchObject([{ onsetSeconds: expect.closeTo(1.025), offsetSeconds: expect.closeTo(2.025) }]);
  const brief: [number, number][] = [
    [1, 0],
    [0.15, 0.9],
    [2, 0],
  ]; // the offset is not before the frame that opened the event
  expect(detect(brief, { smoothingSeconds: 0.2, close: 0.6 }).ended).toMatchObject([{ offsetSeconds: expect.closeTo(1.15) }]);
  expect(detect(sound, { smoothingSeconds: 0.12 })).toEqual(detect(sound, { smoothingSeconds: 0.1 }));
});

test('merge time and cool-down end after the same number of frames, whatever time has passed before', () => {
  const repeatAfter = (seconds: number, quiet: number) => {
    const { confirmed, missed } = detect([
      [quiet, 0],
      [0.1, 0.9],
      [seconds, 0],
      [0.05, 0.9],
      [3, 0],
    ]);
    return missed[0]?.[0] ?? confirmed.length;
  };
  for (let frames = 0; frames < 400; frames++) {
    const found = [0.5, 0.55, 1, 1.05].map((seconds) => repeatAfter(seconds, frames * frameSeconds));
    expect(found, `after ${frames} frames`).toEqual(['merged', 'cooldown', 'cooldown', 2]);
  }
});

test('a sound merged into the previous event is reported once and extends the event to its own end', () => {
  const { confirmed, ended, missed } = detect([
    [0.1, 0.9],
    [0.2, 0],
    [1, 0.95],
    [2, 0],
  ]);
  expect([confirmed.length, missed]).toEqual([1, [['merged', 0.95]]]);
  expect(ended).toMatchObject([{ offsetSeconds: expect.closeTo(1.3) }]);
});

test('the confidence is the highest score of the event, with the scores of that frame', () => {
  expect(
    detect([
      [0.1, 0.7],
      [0.1, 0.95],
      [0.1, 0.8],
      [2, 0],
    ]).ended,
  ).toMatchObject([{ confidence: 0.95, scores: [0.95] }]);
});
