import type { LevelHistory } from '../../agent/events/level-history.ts';

/** Pushes quarters of an hour of a street: mostly `floor`, and `loud` for a fifth of the time. */
export function streetLevels(history: Pick<LevelHistory, 'push'>, quarters: number, floor: number, loud: number): void {
  for (let i = 0; i < quarters * 7200; i++) history.push(i % 5 === 0 ? loud : floor + (i % 3));
}
