import type { Label } from '../../classify/model-manifest.ts';

/** What was counted for a label: would-be events at each threshold, lowest threshold first. */
export interface Counted {
  readonly label: Label;
  readonly events: readonly number[];
  /**
   * Index of the lowest threshold that may be proposed: the highest one not above the operating point's own, which is
   * then proposed in its place.
   */
  readonly floor: number;
}

export interface Choice {
  /** Index of the threshold proposed for each label. */
  readonly steps: ReadonlyMap<Label, number>;
  readonly events: number;
  /** Events that the bound counts beside them, because thresholds were raised on these very counts. */
  readonly added: number;
  /** Events all labels together may have within these days, with as many thresholds raised. */
  readonly allowed: number;
}

const confidence = 0.95;
export const weekDays = 7;

/**
 * The upper bound of the mean of a Poisson count, one-sided at 95 %: the mean at which `events` or fewer come with a
 * probability of 5 % (Garwood 1936). 3.00 for none: with no event in T days the rate is below 3/T.
 */
export function poissonUpper(events: number): number {
  let [low, high] = [events, events + 10 + 4 * Math.sqrt(events + 1)];
  for (let i = 0; i < 60; i++) {
    const mean = (low + high) / 2;
    if (atMost(events, mean) > 1 - confidence) low = mean;
    else high = mean;
  }
  return (low + high) / 2;
}

/** Events a week that the rate is below, at 95 %, when so many were counted in so many days. */
export function weeklyBound(events: number, days: number): number {
  return (poissonUpper(events) / days) * weekDays;
}

/** Days of listening without which no count, not even none, could hold the budget; `added` as of a choice. */
export function neededDays(budgetPerWeek: number, added = 0): number {
  return (poissonUpper(added) / budgetPerWeek) * weekDays;
}

/**
 * A threshold that is raised until a count fits stops just above an event: how far the next would have been is not
 * known, so that what is left of n events has a mean like the sum of n + 1 exponential gaps. Labels that stay where
 * they were are together one count with one such gap. The bound of N events has one gap already; each part beyond the
 * first adds another.
 */
function addedFor(raised: number, of: number): number {
  return Math.max(0, raised < of ? raised : raised - 1);
}

/** Events that the bound would have to count beside none, were each label raised that has any. */
export function addedWhereAllAreRaised(counted: readonly Counted[]): number {
  return addedFor(toRaise(counted).length, counted.length);
}

/** Those that have events at their floor. */
export function toRaise(counted: readonly Counted[]): readonly Counted[] {
  return counted.filter(({ events, floor }) => (events[floor] ?? 0) > 0);
}

/** The most events in so many days whose bound stays within the budget; -1 where even none would not. */
export function allowedEvents(days: number, budgetPerWeek: number): number {
  let [within, over] = [-1, Math.floor((budgetPerWeek * days) / weekDays) + 1]; // the bound is above the count itself
  while (over - within > 1) {
    const middle = Math.floor((within + over) / 2);
    if (weeklyBound(middle, days) <= budgetPerWeek) within = middle;
    else over = middle;
  }
  return within;
}

/**
 * The lowest thresholds with which all labels together would have stayed within the budget, at 95 %; undefined when the
 * highest would not have, or not in so few days. The label that alarms most is raised first, step by step, so that one
 * noisy label does not cost the others their hearing; what is left over then lowers those that have the fewest events.
 */
export function chooseThresholds(counted: readonly Counted[], days: number, budgetPerWeek: number): Choice | undefined {
  const most = allowedEvents(days, budgetPerWeek);
  const steps = new Map(counted.map(({ label, floor }) => [label, floor]));
  const stepOf = ({ label }: Counted) => steps.get(label) as number;
  const at = (one: Counted, change = 0) => one.events[stepOf(one) + change] ?? Number.POSITIVE_INFINITY;
  const sum = () => counted.reduce((total, one) => total + at(one), 0);
  const added = () => addedFor(counted.filter((one) => stepOf(one) > one.floor).length, counted.length);
  const fits = () => sum() + added() <= most;
  while (!fits()) {
    const raisable = counted.filter((one) => at(one) > 0 && at(one, 1) !== Number.POSITIVE_INFINITY).toSorted((a, b) => at(b) - at(a));
    const [noisiest] = raisable;
    if (!noisiest) return undefined;
    steps.set(noisiest.label, stepOf(noisiest) + 1);
  }
  for (const one of counted.toSorted((a, b) => at(a) - at(b))) {
    const raised = stepOf(one);
    let step = one.floor; // at the floor it costs no added event: it may fit where a step above does not
    for (steps.set(one.label, step); step < raised && !fits(); ) steps.set(one.label, ++step);
  }
  return { steps, events: sum(), added: added(), allowed: most - added() };
}

function atMost(events: number, mean: number): number {
  // from the largest term down, until the rest is too small to tell: of a million events some thousand terms
  let term = Math.exp(events * Math.log(mean) - mean - logFactorial(events)); // logarithms: a thousand events underflow otherwise
  let total = term;
  for (let k = events; k > 0 && (k > mean || term > total * Number.EPSILON * 1e-3); k--) {
    term *= k / mean;
    total += term;
  }
  return total;
}

function logFactorial(n: number): number {
  if (n > 256) return n * Math.log(n) - n + Math.log(2 * Math.PI * n) / 2 + 1 / (12 * n) - 1 / (360 * n ** 3); // Stirling, to the last digit
  let sum = 0;
  for (let k = 2; k <= n; k++) sum += Math.log(k);
  return sum;
}
