import { readdirSync } from 'node:fs';
import { exitCodes, TocsinError } from './errors.ts';
import { ifPossible } from './if-possible.ts';
import { readText } from './kernel-files.ts';

/**
 * Throws a TocsinError if the control group of this process leaves it fewer tasks (threads and children) than it needs
 * in all. Whoever cannot have a thread within Node or a library of it is ended by SIGABRT, and nothing says why.
 */
export function requireTasks(needed: number): void {
  const own = ifPossible(() => readdirSync('/proc/self/task').length) ?? Number.POSITIVE_INFINITY; // more than any limit where the kernel does not tell
  for (const [, group = ''] of readText('/proc/self/cgroup').matchAll(/^\d+:(?:pids)?:(.*)$/gm))
    for (const root of ['/sys/fs/cgroup', '/sys/fs/cgroup/pids']) {
      const [limit, used] = [numberIn(`${root}${group}/pids.max`), numberIn(`${root}${group}/pids.current`)];
      if (limit === undefined || used === undefined || limit - used + own >= needed) continue;
      throw new TocsinError(
        `Expected a limit of at least ${needed + used - own} tasks for this service, got ${limit}`,
        'raise TasksMax in the unit: sudo systemctl edit tocsin-listener',
        exitCodes.failure,
      );
    }
}

function numberIn(path: string): number | undefined {
  const text = readText(path).trim();
  return /^\d+$/.test(text) ? Number(text) : undefined; // "max" is no limit
}
