import { setTimeout as delay } from 'node:timers/promises';

/** Waits, or returns early when the signal aborts. Never throws. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await delay(Math.max(0, ms), undefined, { signal }).catch(() => undefined);
}
