import { freemem } from 'node:os';
import { setFlagsFromString } from 'node:v8';

/**
 * Has V8 collect early instead of growing while memory is plentiful: the young generation stays as small as it started, and the old
 * one is collected whenever it has grown by a fifth. Neither is a limit on what may be held, so that nothing can die of them, as it could
 * of `--max-old-space-size`. A courier does not grow by the backlog that passes through it, at 0.04 ms of CPU an event; a listener is some
 * 30 MB smaller where sound comes faster than in the street (`bench`), and the same at the street's pace. Both flags are read at every
 * collection, so that they can be set here once, and not in every place that starts a process.
 */
export function collectEarly(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--heap-growing-percent=20');
}

/**
 * Bytes that this process may still take: what the machine has free, or what the limit of its control group leaves beside it, whichever is
 * less. `process.availableMemory` counts pages of files that were read as taken, which the kernel gives back, and is 0 without /proc.
 */
export function freeMemory(): number {
  const limit = process.constrainedMemory(); // 0 where it is not known
  return Math.min(freemem(), limit === 0 ? Number.POSITIVE_INFINITY : limit - process.memoryUsage.rss());
}
