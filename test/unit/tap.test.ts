import { expect, test } from 'vitest';
import { type Label, labels } from '../../agent/classify/model-manifest.ts';
import { openTap } from '../../agent/meter/tap.ts';

const rule = { open: 0.8, close: 0.5, minDurationSeconds: 0, smoothingSeconds: 0.04, mergeSeconds: 1, cooldownSeconds: 0.3 };

/** Opens a tap on a simulated clock. */
function tapAt(own: readonly Label[] = []) {
  const time = { ms: 0 };
  const rules = Object.fromEntries(labels.map((label) => [label, rule])) as Record<Label, typeof rule>;
  const levels = { noiseFloorDb: () => -60, suspicion: () => 'none' as const };
  const tap = openTap({ labels, rules, own, levels, monotonicMs: () => time.ms });
  return {
    tap,
    pass: (ms: number) => {
      time.ms += ms;
    },
    scores: (score: number) => tap.scores(labels.map((label) => ({ label, score, state: 'idle', leftSeconds: 0 }))),
  };
}

test('a reading has the highest level and score since the previous reading', () => {
  const { tap, pass, scores } = tapAt();
  tap.watched = true;
  for (const [level, score] of [
    [-60, 0.1],
    [-12, 0.7],
    [-60, 0.2],
  ] as const) {
    tap.level(level);
    scores(score);
    pass(30);
  }
  expect(tap.read()).toMatchObject({ levelDb: -12, labels: [{ score: 0.7 }, { score: 0.7 }, { score: 0.7 }] });
  pass(100);
  tap.level(-60);
  expect(tap.read()).toMatchObject({ levelDb: -60, labels: [{ score: 0.2 }, { score: 0.2 }, { score: 0.2 }] });
});

test('the first reading of a new viewer has the current level, not the maximum since the last viewer', () => {
  const { tap, pass } = tapAt();
  tap.level(-3); // a bang that nobody watched
  for (let i = 0; i < 8 * 3600; i++) {
    pass(125);
    tap.level(-60);
  }
  tap.watched = true;
  expect(tap.read().levelDb).toBe(-60);
});

test('scores from before a pause are not part of the next reading', () => {
  const { tap, pass, scores } = tapAt();
  tap.watched = true;
  scores(0.95);
  pass(100);
  expect(tap.read().labels[0]?.score).toBe(0.95);
  pass(3_600_000);
  scores(0.01);
  pass(50);
  expect(tap.read().labels[0]?.score).toBe(0.01);
});

test('a reading shows no level and no scores once nothing has been heard for over 0.5 s', () => {
  const { tap, pass, scores } = tapAt();
  tap.watched = true;
  tap.level(-12);
  tap.soundPressure(() => 70);
  scores(0.95);
  pass(500);
  expect(tap.read()).toMatchObject({ levelDb: -12, splDb: 70, labels: [{ score: 0.95 }, {}, {}] });
  pass(200);
  expect(tap.read()).toMatchObject({ levelDb: undefined, splDb: undefined, labels: [{ score: 0, state: 'idle' }, {}, {}] });
});

test('a reading lists the last six sounds, newest first, for an hour, and counts all sounds', () => {
  const { tap, pass } = tapAt();
  for (let i = 1; i <= 8; i++) {
    tap.missed({ label: 'bang', reason: 'under', peak: i / 10 });
    pass(1000);
  }
  tap.fired('shout', 0.9, false);
  const { stirred, last } = tap.read();
  expect(stirred).toBe(9);
  expect(last.map(({ peak }) => peak)).toEqual([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]);
  expect(last[0]).toEqual({ label: labels.indexOf('shout'), outcome: 'refused', peak: 0.9, secondsAgo: 0 });
  expect(last[1]).toEqual({ label: labels.indexOf('bang'), outcome: 'under', peak: 0.8, secondsAgo: 1 });
  pass(3_598_000);
  expect(tap.read().last.map(({ peak }) => peak)).toEqual([0.9, 0.8]);
});

test('a reading marks the labels whose threshold is the site’s own, and has the seconds since the listener started', () => {
  const { tap, pass } = tapAt(['shout']);
  pass(5000);
  tap.hearing({ state: 'listening', fault: undefined, sinceMonotonicMs: 2000, listenedSeconds: 2.5, opens: 1, droppedSamples: 0 });
  pass(4000);
  const { state, labels: of, listenedSeconds, elapsedSeconds } = tap.read();
  expect(of.map(({ own }) => own)).toEqual(labels.map((label) => label === 'shout'));
  expect({ state, listenedSeconds, elapsedSeconds }).toEqual({ state: 'listening', listenedSeconds: 2.5, elapsedSeconds: 7 });
});
