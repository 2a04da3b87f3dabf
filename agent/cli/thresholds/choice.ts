import type { Label } from '../../classify/model-manifest.ts';

/** What was counted for a label: would-be events at each threshold, lowest threshold first. */
export interface Counted {
  readonly label: Label;
  readonly events: readonly number[];
  /** Index of the lowest threshold that may be proposed: the highest that is not above the operating point's own, which is proposed in its place. */
  readonly floor: number;
}

export interface Choice {
  /** Index of the threshold proposed for each label. */
  readonly steps: ReadonlyMap<Label, number>;
  readonly events: number;
  /** Events all labels together may have within these days. */
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

/** Days of listening without which no count, not even none, could hold the budget. */
export function neededDays(budgetPerWeek: number): number {
  return (poissonUpper(0) / budgetPerWeek) * weekDays;
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
 * The lowest thresholds with which all labels together would have stayed within the budget, at 95 %; undefined when the highest
 * would not have. The label that alarms most is raised first, step by step, so that one noisy label does not cost the others
 * their hearing; what is left over then lowers those that have the fewest events.
 */
export function chooseThresholds(counted: readonly Counted[], days: number, budgetPerWeek: number): Choice | undefined {
  const allowed = allowedEvents(days, budgetPerWeek);
  const steps = new Map(counted.map(({ label, floor }) => [label, floor]));
  const at = ({ label, events }: Counted, change = 0) => events[(steps.get(label) as number) + change] ?? Number.POSITIVE_INFINITY;
  const sum = () => counted.reduce((total, one) => total + at(one), 0);
  while (sum() > allowed) {
    const raisable = counted.filter((one) => at(one) > 0 && at(one, 1) !== Number.POSITIVE_INFINITY).toSorted((a, b) => at(b) - at(a));
    const [most] = raisable;
    if (!most) return undefined;
    steps.set(most.label, (steps.get(most.label) as number) + 1);
  }
  for (const one of counted.toSorted((a, b) => at(a) - at(b)))
    while ((steps.get(one.label) as number) > one.floor && sum() - at(one) + at(one, -1) <= allowed) steps.set(one.label, (steps.get(one.label) as number) - 1);
  return { steps, events: sum(), allowed };
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
