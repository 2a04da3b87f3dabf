import type { Label } from '../../classify/model-manifest.ts';
import { countedThresholds } from '../../events/threshold-counts.ts';
import type { Counted } from './choice.ts';

const thresholdColumns = 8;

/**
 * The trade-off as text: a row for each threshold, a column for each label with a mark (`*` in force, `>` proposed),
 * the events that there would have been, and their logarithm as a bar.
 */
export function plotRows(
  counted: readonly Counted[],
  { proposed, inForce }: { proposed: (label: Label) => number; inForce: (label: Label) => number },
  names: readonly string[],
  columns: number,
  number: (value: number, decimals: number) => string,
): string[] {
  const width = Math.floor((Math.min(columns, 100) - thresholdColumns) / counted.length);
  const most = Math.max(1, ...counted.flatMap(({ events, floor }) => events.slice(floor)));
  const first = Math.min(...counted.flatMap(({ label, floor }) => [floor, inForce(label)]));
  const end = Math.max(...counted.map(({ label, events }) => Math.max(events.findLastIndex((count) => count > 0) + 1, proposed(label), inForce(label))));
  const last = Math.min(end, countedThresholds.length - 1);
  const digits = Math.max(5, ...counted.flatMap(({ events }) => events.slice(first, last + 1).map((count) => String(count).length)));
  const rows = [`${' '.repeat(thresholdColumns)}${names.map((name) => `  ${name}`.padEnd(width)).join('')}`.trimEnd()];
  for (let step = first; step <= last; step++) {
    const cells = counted.map(({ label, events, floor }) => {
      const mark = `${step === inForce(label) ? '*' : ' '}${step === proposed(label) ? '>' : ' '}`;
      if (step < floor && step !== inForce(label)) return mark.padEnd(width);
      const count = events[step] ?? 0;
      const room = width - mark.length - digits - 2;
      const bar = '#'.repeat(count === 0 ? 0 : Math.max(1, Math.round((Math.log(count + 1) / Math.log(most + 1)) * room)));
      return `${mark}${String(count).padStart(digits)} ${bar}`.padEnd(width);
    });
    rows.push(`${number(countedThresholds[step] as number, 4).padEnd(thresholdColumns)}${cells.join('')}`.trimEnd());
  }
  return rows;
}
