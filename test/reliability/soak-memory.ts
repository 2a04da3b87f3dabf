/** Resident memory of a process at a time; `calm` while no process was killed. */
export interface MemorySample {
  readonly hours: number;
  readonly megabytes: number;
  readonly calm: boolean;
}

const warmUpHours = 2 / 60;
const leastSamples = 180;

/**
 * Least squares over the calm samples from two minutes after the first; undefined for fewer than three minutes of
 * them.
 */
export function slopeOf(samples: readonly MemorySample[]): { megabytesAnHour: number; standardError: number; minutes: number } | undefined {
  const first = samples[0]?.hours ?? 0;
  const used = samples.filter(({ calm, hours }) => calm && hours > first + warmUpHours);
  if (used.length < leastSamples) return undefined;
  const mean = (of: (sample: MemorySample) => number) => used.reduce((sum, sample) => sum + of(sample), 0) / used.length;
  const [hours, megabytes] = [mean((s) => s.hours), mean((s) => s.megabytes)];
  const spread = mean((s) => (s.hours - hours) ** 2);
  const slope = mean((s) => (s.hours - hours) * (s.megabytes - megabytes)) / spread;
  const residual = mean((s) => (s.megabytes - megabytes - slope * (s.hours - hours)) ** 2);
  const round = (value: number) => Math.round(value * 10) / 10;
  return { megabytesAnHour: round(slope), standardError: round(Math.sqrt(residual / spread / (used.length - 2))), minutes: Math.round(used.length / 60) };
}

export function peakOf(samples: readonly MemorySample[]): number {
  return Math.round(samples.reduce((most, { megabytes }) => Math.max(most, megabytes), 0));
}
