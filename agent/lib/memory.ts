import { freemem } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { ifPossible } from './if-possible.ts';

/**
 * For the courier. Makes V8 collect garbage early instead of growing while memory is plentiful: the young generation
 * keeps its initial size, and the old one is collected whenever it has grown by a fifth. Neither flag limits what may
 * be held, so no process can die of them, as it could of `--max-old-space-size`. A courier does not grow with the
 * backlog that passes through it, at 0.04 ms of CPU an event. A listener would only pay for it: 0.4 ms of CPU a second
 * of sound, for 5 MB. V8 reads both flags at every collection, so they can be set once here.
 */
export function collectEarly(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--heap-growing-percent=20');
}

/**
 * Bytes that this process may still allocate: the free memory of the machine, or what the process leaves of its control
 * group's limit, whichever is less. `process.availableMemory` counts cached pages of files as taken, although the
 * kernel gives them back, and is 0 without /proc.
 */
export function freeMemory(): number {
  const limit = process.constrainedMemory(); // 0 where it is not known
  const used = ifPossible(() => process.memoryUsage.rss()) ?? 0; // where the kernel does not tell, that is no reason not to start
  // pages of the program itself may be counted in another group: then a process is larger than its own limit
  return Math.max(0, Math.min(freemem(), limit === 0 ? Number.POSITIVE_INFINITY : limit - used));
}
