import { expect, test } from 'vitest';
import { type Label, labels, loadModel } from '../../agent/classify/model-manifest.ts';
import { rulesOf } from '../../agent/classify/rules.ts';
import { allowedEvents, type Counted, chooseThresholds, neededDays, poissonUpper, toRaise, weeklyBound } from '../../agent/cli/thresholds/choice.ts';
import { plotRows } from '../../agent/cli/thresholds/plot.ts';
import { openEventDetector } from '../../agent/events/event-detector.ts';
import { openHeardLevels } from '../../agent/events/heard-levels.ts';
import type { ThresholdRecord } from '../../agent/events/threshold-counts.ts';
import { countedThresholds, openThresholdCounts } from '../../agent/events/threshold-counts.ts';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { openThresholdReport } from '../../agent/outbox/threshold-report.ts';
import { seededRandom } from '../support/random.ts';
import { fixedClock, silentLogger } from '../support/samples.ts';

const { manifest } = loadModel('models/street');
const rulesAt = (open: number) => rulesOf(manifest, { operatingPoint: 'balanced', open: { glass_break: open, shout: open, bang: open } });
const counter = () => openThresholdCounts(labels, rulesAt, manifest.frameSeconds);
const frameAt = (i: number, scores: number[]) => ({ scores, endSeconds: (i + 1) * manifest.frameSeconds, scoredSeconds: (i + 1) * manifest.frameSeconds });
const countsOf = (of: ReturnType<typeof counter>, label: Label) => {
  const found = new Map(
    of
      .sums()
      .counts.filter((one) => one.label === label)
      .map(({ step, events }) => [step, events]),
  );
  return countedThresholds.map((_, step) => found.get(step) ?? 0);
};

test('the count at a threshold equals the events that the detector reports with that threshold', () => {
  const random = seededRandom(11);
  const counts = counter();
  const step = 25;
  const detector = openEventDetector(labels, rulesAt(countedThresholds[step] as number), manifest.frameSeconds);
  let reported = 0;
  let level = 0;
  for (let i = 0; i < 20_000; i++) {
    level = Math.max(0, Math.min(1, level + (random() - 0.52) * 0.4));
    const frame = frameAt(i, [level, level ** 2, 1 - level]);
    counts.push(frame);
    reported += detector.push(frame).confirmed.filter(({ label }) => label === 'glass_break').length;
  }
  expect(reported).toBeGreaterThan(20);
  expect(countsOf(counts, 'glass_break')[step]).toBe(reported);
  expect(counts.sums().seconds).toBeCloseTo(20_000 * manifest.frameSeconds);
});

test('two sounds with a murmur between them count as one event at a low threshold and as two at a high one', () => {
  const counts = counter();
  const scores = [...Array(25).fill(0), ...Array(10).fill(0.95), ...Array(100).fill(0.45), ...Array(10).fill(0.95), ...Array(100).fill(0)];
  for (const [i, score] of scores.entries()) counts.push(frameAt(i, [score, 0, 0]));
  const events = countsOf(counts, 'glass_break');
  expect(events[countedThresholds.findIndex((x) => x > 0.2)]).toBe(1);
  expect(events[countedThresholds.findIndex((x) => x > 0.8)]).toBe(2);
  expect(events[countedThresholds.findIndex((x) => x > 0.97)]).toBe(0);
  expect(countsOf(counts, 'shout')).toEqual(countedThresholds.map(() => 0));
  counts.clear();
  expect(counts.sums()).toEqual({ seconds: 0, counts: [] });
});

test('sound on both sides of a gap counts as two events, and a sound that goes on while the sums are stored as one', () => {
  const counts = counter();
  for (const events of [1, 2]) {
    counts.restart();
    for (let i = 0; i < 25; i++) counts.push(frameAt(i, [0.95, 0, 0]));
    expect(countsOf(counts, 'glass_break')[countedThresholds.findIndex((x) => x > 0.5)]).toBe(events);
  }
  counts.clear();
  for (let i = 25; i < 50; i++) counts.push(frameAt(i, [0.95, 0, 0]));
  expect(counts.sums().counts).toEqual([]);
});

test('sound of a microphone that is not heard does not count as listening time', () => {
  const counts = counter();
  const none = () => undefined;
  const heard = openHeardLevels({ push: none, begin: none }, { level: none, recognised: none }, counts);
  const pass = () => {
    for (let i = 0; i < 100; i++) heard.counter.push(frameAt(i, [0, 0, 0]));
    return counts.sums().seconds;
  };
  heard.hearing('starting');
  heard.hearing('deaf', 'zeros');
  expect(pass()).toBe(0);
  heard.hearing('listening');
  expect(pass()).toBeCloseTo(100 * manifest.frameSeconds);
  heard.hearing('deaf', 'flat');
  expect(pass()).toBeCloseTo(100 * manifest.frameSeconds);
});

test('allowedEvents agrees with counting one by one, also for a budget of thousands', () => {
  for (const days of [3, 10.5, 14, 14.3, 90])
    for (const budget of [0.1, 0.5, 1, 1.5, 2, 3, 7, 14, 35, 70, weeklyBound(0, days), weeklyBound(7, days)]) {
      let allowed = -1;
      while (weeklyBound(allowed + 1, days) <= budget) allowed++;
      expect(allowedEvents(days, budget), `${budget} a week in ${days} days`).toBe(allowed);
    }
  for (const budget of [7000, 604_800]) {
    const allowed = allowedEvents(14, budget);
    expect(weeklyBound(allowed, 14)).toBeLessThanOrEqual(budget);
    expect(weeklyBound(allowed + 1, 14)).toBeGreaterThan(budget);
  }
});

test('the counted thresholds are in order and include the open thresholds of the model', () => {
  for (const { labels: rules } of Object.values(manifest.operatingPoints)) for (const label of labels) expect(countedThresholds).toContain(rules[label].open);
  expect(countedThresholds.toSorted((a, b) => a - b)).toEqual(countedThresholds);
});

// Garwood's bounds as in any table of the chi-square distribution: half of the 95 % point with 2 (n + 1) degrees of
// freedom
test.each([
  [0, 2.996],
  [1, 4.744],
  [2, 6.296],
  [5, 10.513],
  [10, 16.962],
  [100, 118.079],
])('with %i events the mean is below %f at 95 %%', (events, bound) => {
  expect(poissonUpper(events)).toBeCloseTo(bound, 2);
});

test('without an event in T days the bound is 3/T, and neededDays is the time that a budget needs', () => {
  expect(weeklyBound(0, 14) * 2).toBeCloseTo(3, 2);
  expect(neededDays(2)).toBeCloseTo(10.49, 1);
  expect(poissonUpper(5000)).toBeGreaterThan(5000);
  expect(poissonUpper(5000)).toBeLessThan(5130);
});

const falling = (label: Label, first: number, ratio: number) => ({
  label,
  floor: 21,
  events: countedThresholds.map((_, i) => (i < 21 ? 9999 : Math.floor(first * ratio ** (i - 21)))),
});

test('the noisiest label is raised, quiet labels stay at their threshold, and the total bound meets the budget', () => {
  const counted = [falling('glass_break', 0, 1), falling('shout', 400, 0.5), falling('bang', 2, 0.5)];
  const days = 28;
  const choice = chooseThresholds(counted, days, 2);
  expect(choice?.steps.get('glass_break')).toBe(21);
  expect(choice?.steps.get('shout')).toBeGreaterThan(25);
  expect(choice?.events).toBeLessThanOrEqual(choice?.allowed as number);
  const most = (choice?.allowed as number) + (choice?.added as number);
  expect(weeklyBound(most, days)).toBeLessThanOrEqual(2);
  expect(weeklyBound(most + 1, days)).toBeGreaterThan(2);
  for (const one of counted) {
    const step = choice?.steps.get(one.label) as number;
    if (step === one.floor) continue;
    const lower = (choice?.events as number) - (one.events[step] as number) + (one.events[step - 1] as number);
    expect(lower, `${one.label} could not be lower`).toBeGreaterThan(choice?.allowed as number);
  }
});

test('each raised label, and the labels left unchanged, add one event to the bound, except the first of all', () => {
  const none = (label: Label) => falling(label, 0, 1);
  const some = (label: Label) => falling(label, 400, 0.5);
  const added = (...counted: Counted[]) => chooseThresholds(counted, 60, 2)?.added;
  expect(added(none('glass_break'), none('shout'), none('bang'))).toBe(0);
  expect(added(none('glass_break'), some('shout'), none('bang'))).toBe(1);
  expect(added(none('glass_break'), some('shout'), some('bang'))).toBe(2);
  expect(added(some('glass_break'), some('shout'), some('bang'))).toBe(2);
  expect(added(some('shout'))).toBe(0);
});

test('a label that fits the budget at its current threshold stays there, since raising it would add an event', () => {
  const flat = { label: 'bang' as const, floor: 21, events: countedThresholds.map((_, i) => (i < 23 ? 1 : 0)) };
  const counted = [flat, falling('shout', 400, 0.5), falling('glass_break', 0, 1)];
  const days = (poissonUpper(2) / 2) * 7 + 0.01; // two events with the added ones
  expect(chooseThresholds(counted, days, 2)?.steps.get('bang')).toBe(21);
});

const counted = (label: Label, ...events: number[]): Counted => ({
  label,
  floor: 21,
  events: countedThresholds.map((_, i) => (i < 21 ? 9999 : (events[i - 21] ?? 0))),
});
/** How many steps each label is raised if the budget allows this many events. */
const raisedWhere = (allowed: number, ...of: Counted[]) => {
  const choice = chooseThresholds(of, (poissonUpper(allowed) / 2) * 7 + 0.01, 2);
  return of.map(({ label }) => (choice?.steps.get(label) as number) - 21);
};

test('the noisiest label is raised first, in any order of labels; the rest of the budget goes to labels with the fewest events', () => {
  const [noisy, quiet] = [counted('bang', 10, 4), counted('shout', 3)];
  expect(raisedWhere(5, noisy, quiet)).toEqual([2, 0]);
  expect(raisedWhere(5, quiet, noisy)).toEqual([0, 2]);
  const three = [counted('bang', 100, 80), counted('shout', 99, 75), counted('glass_break', 90)] as const;
  expect(raisedWhere(182, ...three)).toEqual([1, 0, 1]);
});

test('the highest threshold may be proposed; a label without events is not raised, one with a single event may be', () => {
  const to44 = counted('bang', ...Array(23).fill(50));
  expect(raisedWhere(2, to44)).toEqual([23]);
  expect(toRaise([counted('bang', 1), counted('shout', 0)]).map(({ label }) => label)).toEqual(['bang']);
});

test('poissonUpper is continuous where it stops summing the logarithm of the factorial', () => {
  const [a = 0, b = 0, c = 0] = [255, 256, 257].map(poissonUpper);
  expect(c - 2 * b + a).toBeCloseTo(-1.645 / 4 / 256 ** 1.5, 4);
});

// events a day at the thresholds of the model; above them their rate falls by a factor of e for each 0.7 of a logit
test.each<[rates: number[], days: number, budget: number]>([
  [[1, 3, 5], 23, 2],
  [[5, 0.2, 0.2], 23, 2],
  [[0.13, 0.13, 0.13], 30, 2],
  [[5, 5, 0.2], 60, 0.75],
])('with rates of %j a day, %d days and %d a week, the true rate exceeds the printed bound in under 8 % of the runs', (rates, days, budget) => {
  const random = seededRandom(51);
  const excess = () => -Math.log(1 - random()) * 0.7;
  const above = (step: number) => Math.max(0, step - 21) / 4;
  const count = (label: Label, perDay: number): Counted => {
    const events = countedThresholds.map(() => 0);
    for (let day = excess() / 0.7 / perDay; day < days; day += excess() / 0.7 / perDay) {
      const heard = excess();
      for (let step = 0; step < events.length && above(step) <= heard; step++) events[step] = (events[step] ?? 0) + 1;
    }
    return { label, floor: 21, events };
  };
  const runs = 400;
  let [proposed, wrong] = [0, 0];
  for (let run = 0; run < runs; run++) {
    const choice = chooseThresholds(
      labels.map((label, i) => count(label, rates[i] as number)),
      days,
      budget,
    );
    if (!choice) continue;
    proposed++;
    const rate = labels.reduce((sum, label, i) => sum + (rates[i] as number) * Math.exp(-above(choice.steps.get(label) as number) / 0.7), 0);
    if (rate * 7 > weeklyBound(choice.events + choice.added, days)) wrong++;
  }
  expect(proposed).toBeGreaterThan(runs / 2);
  expect(wrong / runs).toBeLessThan(0.08); // 5 % plus chance
});

test("a site that is too noisy even at the highest threshold gets no proposal; a quiet one keeps the model's threshold", () => {
  expect(chooseThresholds([falling('shout', 400, 1)], 28, 2)).toBeUndefined();
  const quiet = chooseThresholds([falling('bang', 0, 1)], 28, 2);
  expect(quiet?.steps.get('bang')).toBe(21);
});

test('the plot fits 60 columns, marks the current and proposed thresholds, and ends where no events are left', () => {
  const counted = [falling('glass_break', 0, 1), falling('shout', 40_000, 0.5), falling('bang', 3, 0.5)];
  const rows = plotRows(counted, { proposed: () => 30, inForce: () => 21 }, ['bris de verre', 'cri', 'détonation'], 60, (value, decimals) =>
    value.toFixed(decimals),
  );
  for (const row of rows) expect(row.length).toBeLessThanOrEqual(60);
  expect(rows[1]).toMatch(/^0\.7773 .*40000 #+/);
  expect(rows.at(-1)).not.toMatch(/#/);
  expect(rows.filter((row) => row.includes('>'))).toHaveLength(1);
});

test('the columns of the plot stay aligned when counts have more than five digits', () => {
  const counted = [falling('glass_break', 3_000_000, 0.1), falling('shout', 7, 0.5), falling('bang', 3, 0.5)];
  const rows = plotRows(counted, { proposed: () => 30, inForce: () => 21 }, ['a', 'b', 'c'], 60, (value, decimals) => value.toFixed(decimals));
  for (const row of rows) expect(row.length).toBeLessThanOrEqual(60);
  const [first = '', second = ''] = rows.slice(1);
  expect(first).toMatch(/^0\.7773 +\* 3000000 #+/);
  expect(first.search(/7 #/)).toBe(second.search(/3 #/));
});

test('threshold counts that the disk refuses are stored with the next ones; less than a minute is not stored', () => {
  let full = true;
  const stored: ThresholdRecord[] = [];
  const addThresholdCounts = (record: ThresholdRecord) => {
    if (full) throw new Error('disk full');
    stored.push(record);
  };
  const counts = counter();
  const clock = fixedClock({ synchronised: () => false });
  const outbox = { addThresholdCounts } as unknown as Outbox; // no other method is called
  const store = openThresholdReport({ outbox, clock, logger: silentLogger }, { model: manifest, operatingPoint: 'balanced', recognition: 7 }, counts);
  const listen = (seconds: number) => {
    for (let i = 0; i < seconds / manifest.frameSeconds; i++) counts.push(frameAt(i, [0, 0, 0]));
  };
  listen(1800);
  store(); // the disk is full
  expect(stored).toHaveLength(0);
  full = false;
  listen(1800);
  store();
  expect(stored.map(({ seconds }) => Math.round(seconds))).toEqual([3600]);
  expect(stored[0]?.utcDay).toBeUndefined(); // the clock is not synchronised
  expect(stored[0]?.recognition).toBe(7);
  listen(30);
  store(); // too short to be worth a write
  expect(stored).toHaveLength(1);
});

test('the hour before midnight is counted for the day that it was of', () => {
  const stored: (number | undefined)[] = [];
  const outbox = { addThresholdCounts: ({ utcDay }: ThresholdRecord) => void stored.push(utcDay) } as unknown as Outbox; // no other method is called
  const counts = counter();
  const clock = fixedClock({ wallMs: () => Date.UTC(2026, 10, 21, 0, 0, 1) });
  for (let i = 0; i < 3600 / manifest.frameSeconds; i++) counts.push(frameAt(i, [0, 0, 0]));
  openThresholdReport({ outbox, clock, logger: silentLogger }, { model: manifest, operatingPoint: 'balanced', recognition: 7 }, counts)();
  expect(stored).toEqual([Date.UTC(2026, 10, 20) / 86_400_000]);
});
