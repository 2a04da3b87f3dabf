import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';

/** Prints the observations line by line, and whether each was expected; the process fails if one was not. */
export function openReport() {
  let failed = 0;
  return {
    say: (text: string) => void process.stdout.write(`${text}\n`),
    check(what: string, seen: unknown, expected: unknown): void {
      const right = isDeepStrictEqual(seen, expected);
      if (!right) failed++;
      process.stdout.write(`${right ? 'ok  ' : 'FAIL'} ${what}${right ? '' : `: expected ${JSON.stringify(expected)}, got ${JSON.stringify(seen)}`}\n`);
    },
    end(): void {
      process.stdout.write(failed === 0 ? 'all as expected\n' : `${failed} not as expected\n`);
      process.exitCode = failed === 0 ? 0 : 1;
    },
  };
}

/** Checks the condition twice a second until it holds. */
export async function until(what: string, condition: () => boolean, seconds = 180): Promise<void> {
  for (const began = performance.now(); !condition(); await delay(500))
    if (performance.now() - began > seconds * 1000) throw new Error(`waited ${seconds} s in vain for ${what}`);
}
