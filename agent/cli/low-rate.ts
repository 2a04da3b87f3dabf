import { printableLine } from '../config/problems.ts';
import { printWrapped } from './output.ts';
import type { Translate } from './translate.ts';

/**
 * Collects the recordings sampled at less than the model takes. Nothing else tells that they lack part of what it
 * listens for.
 */
export function openLowRates(modelRate: number, t: Translate) {
  const low: string[] = [];
  let files = 0;
  return {
    add(file: string, ownRate: number): void {
      files++;
      if (ownRate < modelRate) low.push(file);
    },
    /** Says on stderr how many there were, if any. */
    tell(): void {
      const [first] = low;
      if (first === undefined) return;
      const said = t('recordings.lowRate', { rate: modelRate, n: low.length, files, file: printableLine(first) });
      printWrapped(said, process.stderr);
    },
  };
}
