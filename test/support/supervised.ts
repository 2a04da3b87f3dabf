import type { AudioSource } from '../../agent/audio/frame.ts';
import type { Hearing } from '../../agent/audio/hearing.ts';
import { superviseMicrophone } from '../../agent/audio/supervisor.ts';
import { systemClock } from '../../agent/lib/clock.ts';
import type { Logger } from '../../agent/lib/logger.ts';
import { silentLogger } from './samples.ts';

/** Runs a supervisor over `open` without a classifier, and collects its reports. */
export function startSupervised(open: () => Promise<AudioSource>, silenceSeconds: number, logger: Logger = silentLogger) {
  const stop = new AbortController();
  const seen: { state: Hearing['state']; fault: Hearing['fault']; atMs: number }[] = [];
  const latest: { hearing?: Hearing } = {};
  const ended = superviseMicrophone(
    {
      open,
      async use(source, signal) {
        for await (const frame of source.frames(signal)) frame.samples.fill(0);
      },
      report(hearing) {
        const { state, fault } = hearing;
        if (state !== latest.hearing?.state || fault !== latest.hearing.fault) seen.push({ state, fault, atMs: performance.now() });
        latest.hearing = { ...hearing };
      },
      clock: systemClock(),
      logger,
      random: () => 1, // the longest waits
      silenceSeconds,
    },
    stop.signal,
  );
  return {
    seen,
    latest,
    /** Resolves with the milliseconds until state and fault match; rejects after `limitMs`. */
    async until(state: Hearing['state'], fault: Hearing['fault'], limitMs: number): Promise<number> {
      const began = performance.now();
      while (latest.hearing?.state !== state || latest.hearing.fault !== fault) {
        if (performance.now() - began > limitMs) throw new Error(`expected ${state} ${fault ?? ''} in ${limitMs} ms, got ${JSON.stringify(seen)}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return performance.now() - began;
    },
    async stop() {
      stop.abort();
      await ended;
    },
  };
}
