// Sequences of steps drawn from a seed, and the shortest that still fails.
import { isDeepStrictEqual } from 'node:util';
import { seededRandom } from '../support/random.ts';

/** What to do, and three numbers from 0 to 1 for how: a step means something whatever steps were before it. */
export interface Step<Kind extends string> {
  readonly kind: Kind;
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

interface Sequence<Kind extends string> {
  readonly seed: number;
  readonly choice: number;
  readonly steps: readonly Step<Kind>[];
}

export function expectThat(isSo: boolean, what: string, ...seen: unknown[]): asserts isSo {
  if (!isSo) throw new Error(`${what}: ${seen.map((one) => JSON.stringify(one)?.slice(0, 1500)).join(' | ')}`);
}

export function expectSame(real: unknown, expected: unknown, what: string): void {
  expectThat(isDeepStrictEqual(real, expected), what, real, expected);
}

/** Does a write, which must fail where the disk takes none. */
export function failsUnless(isWell: boolean, work: () => void): void {
  try {
    work();
  } catch (error) {
    if (isWell) throw error;
    return;
  }
  expectThat(isWell, 'a write succeeds that must fail');
}

/** Does a write that has nothing to do in some cases: it may fail where the disk takes none. */
export function mayFailUnless(isWell: boolean, work: () => void): void {
  try {
    work();
  } catch (error) {
    if (isWell) throw error;
  }
}

export function drawSequence<Kind extends string>(seed: number, length: number, weights: Readonly<Record<Kind, number>>): Sequence<Kind> {
  const random = seededRandom(seed);
  const kinds = (Object.entries(weights) as [Kind, number][]).flatMap(([kind, weight]) => Array.from({ length: weight }, () => kind));
  const choice = random();
  const steps = Array.from({ length }, () => ({ kind: kinds[Math.floor(random() * kinds.length)] as Kind, a: random(), b: random(), c: random() }));
  return { seed, choice, steps };
}

/** Runs a sequence. Where it fails, throws with its seed and the shortest sequence found that fails in the same way. */
export async function runOrShorten<Kind extends string>(sequence: Sequence<Kind>, run: (sequence: Sequence<Kind>) => unknown): Promise<void> {
  const failureOf = async (steps: readonly Step<Kind>[]): Promise<string | undefined> => {
    try {
      await run({ ...sequence, steps });
      return undefined;
    } catch (error) {
      return String((error as Error).message);
    }
  };
  const kindOf = (failure: string | undefined) => failure?.split(':')[0]?.replace(/\d+/g, 'N');
  let failure = await failureOf(sequence.steps);
  if (failure === undefined) return;
  let best = sequence.steps;
  for (let size = Math.ceil(best.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2))
    for (let at = 0; at < best.length; ) {
      const fewer = [...best.slice(0, at), ...best.slice(at + size)];
      const other = await failureOf(fewer);
      if (kindOf(other) !== kindOf(failure)) at += size;
      else [best, failure] = [fewer, other];
    }
  const words = best.map((step) => JSON.stringify(step)).join('\n');
  throw new Error(`${failure}\nseed ${sequence.seed}, choice ${sequence.choice}, ${best.length} of ${sequence.steps.length} steps:\n${words}`);
}
