import { setImmediate } from 'node:timers/promises';
import { StoppedError } from './errors.ts';

export function stoppedByHand(): StoppedError {
  return new StoppedError('Expected to run to the end, got a stop by hand', 'start again');
}

/** Throws a StoppedError once a person has stopped the command. */
export function stopIf(signal: AbortSignal): void {
  if (signal.aborted) throw stoppedByHand();
}

/**
 * Returns what the work gives. Throws a StoppedError if it was stopped meanwhile: then its result is incomplete, and
 * its error a consequence of the stop.
 */
export async function unlessStopped<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const result = await work.catch((error: unknown) => {
    stopIf(signal);
    throw error;
  });
  stopIf(signal);
  return result;
}

/**
 * Between two parts of a long computation: lets signals have their turn, and throws a StoppedError once a person has
 * stopped the command.
 */
export async function breathe(signal: AbortSignal | undefined): Promise<void> {
  await setImmediate();
  if (signal) stopIf(signal);
}
