import { backoffMs } from '../lib/backoff.ts';
import type { Clock } from '../lib/clock.ts';
import { AudioError } from '../lib/errors.ts';
import type { MicrophoneFault } from '../lib/faults.ts';
import type { Logger } from '../lib/logger.ts';
import { tenth } from '../lib/rounding.ts';
import { sleep } from '../lib/sleep.ts';
import { CaptureError } from './capture-error.ts';
import type { AudioSource } from './frame.ts';
import type { Hearing } from './hearing.ts';
import type { SignalVerdict } from './signal-check.ts';
import { openRateDoubt, watchSource } from './watched-source.ts';

interface SupervisorParts {
  open(): Promise<AudioSource>;
  /** Hears a source to its end. An error that is not an AudioError ends the supervisor. */
  use(source: AudioSource, signal: AbortSignal): Promise<void>;
  /** Called at every change of state or fault, with every frame, and each second between attempts. */
  report(hearing: Readonly<Hearing>): void;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  readonly silenceSeconds: number;
  /** Hears one source to its end, whatever its quality: a file for trials. */
  readonly once?: boolean;
}

const steadySeconds = 60; // the backoff restarts after this; a microphone that comes and goes faster keeps long waits
const togetherMs = 100;
const mostReasons = 8;
const longestWaitMs = 8000; // with the time to open and to prove it, a returned microphone is heard within 30 s

/**
 * Keeps a microphone open until the signal aborts.
 *
 * starting -(sound for 1 s)-> listening -(fault)-> deaf -(opened again; sound for 1 s, and the rate known where that
 * was the fault)-> listening. `clipped` is a fault while listening. A fault stays until it is disproved, not just until
 * the next attempt.
 */
export async function superviseMicrophone(parts: SupervisorParts, signal: AbortSignal): Promise<void> {
  const { open, use, report, clock, logger, random, once = false } = parts;
  const hearing: Hearing = {
    sinceMonotonicMs: clock.monotonicMs(),
    state: 'starting',
    fault: undefined,
    listenedSeconds: 0,
    droppedSamples: 0,
    opens: 0,
  };
  const told = new Set<string>(); // reasons in the journal since it was last heard; not more than a few, where each is another
  const turn = (state: Hearing['state'], fault: MicrophoneFault | undefined, error?: AudioError) => {
    const isNews = error !== undefined && !told.has(error.message) && told.size < mostReasons;
    if (hearing.state === state && hearing.fault === fault && !isNews) return;
    if (fault && (fault !== hearing.fault || isNews))
      logger.error({ fault, reason: error?.message, hint: error?.tryHint }, state === 'deaf' ? 'not hearing; trying again' : 'hearing badly');
    else if (state === 'listening') logger.info({ after: hearing.fault ?? hearing.state }, 'hearing');
    if (isNews) told.add(error.message);
    if (state === 'listening') told.clear();
    hearing.state = state;
    hearing.fault = fault;
    report(hearing);
  };
  report(hearing);
  let attempt = 0;
  const remark = openRemarks(logger);
  const doubt = openRateDoubt();
  const watchLoss = openLossWatch(parts);

  const proven = (source: AudioSource, verdict: SignalVerdict, heardSeconds: number) => {
    if (heardSeconds >= steadySeconds) attempt = 0;
    turn('listening', verdict.clipped ? 'clipped' : undefined);
    remark(source);
  };

  while (!signal.aborted) {
    hearing.opens++;
    try {
      await use(watchSource(await open(), { ...parts, hearing, doubt, watchLoss, proven }), signal);
      if (once) break;
    } catch (error) {
      if (!(error instanceof AudioError)) throw error;
      // whoever stops the recorder stops this process too, perhaps a moment later
      await sleep(togetherMs, signal);
      if (signal.aborted) break;
      if (once) throw error;
      turn('deaf', error instanceof CaptureError ? error.fault : 'failed', error);
      for (let leftMs = backoffMs(attempt++, random, 500, longestWaitMs); leftMs > 0 && !signal.aborted; leftMs -= 1000) {
        report(hearing);
        await sleep(Math.min(leftMs, 1000), signal);
      }
    }
  }
  turn('stopped', hearing.fault);
}

/** Says once each what is odd about a microphone, and no fault. */
function openRemarks(logger: Logger): (source: AudioSource) => void {
  let [toldRate, toldAntiphase] = [false, false];
  return ({ hardwareRate = Infinity, sampleRate, antiphase = false }) => {
    if (!toldRate && hardwareRate < sampleRate) {
      toldRate = true;
      logger.warn(
        { hardwareRate, sampleRate },
        'the microphone itself samples at a lower rate than microphone.sampleRateHz: there is no sound above half of that rate',
      );
    }
    if (!toldAntiphase && antiphase) {
      toldAntiphase = true;
      logger.warn(
        {},
        'the two channels of the microphone are in opposite phase; one is inverted, because they would cancel each other: is a balanced microphone on a stereo input?',
      );
    }
  };
}

/**
 * Warns when sound begins to be lost minute by minute, as where the model is too slow for the board, and says when that
 * is over. It is no fault of the microphone, and else only the counts would tell.
 */
function openLossWatch({ clock, logger }: Pick<SupervisorParts, 'clock' | 'logger'>): (lostSeconds: number) => void {
  let [beganMs, lostBefore, isLosing] = [clock.monotonicMs(), 0, false];
  return (lostSeconds) => {
    const [lost, elapsed] = [lostSeconds - lostBefore, (clock.monotonicMs() - beganMs) / 1000];
    if (elapsed < 60) return;
    const figures = { lostSeconds: tenth(lost), ofSeconds: tenth(elapsed) };
    const wasLosing = isLosing;
    isLosing = lost > elapsed / 100;
    if (isLosing && !wasLosing)
      logger.warn(figures, 'sound is lost: is the model too slow for this board, or does something else keep it busy? See: sudo tocsin doctor');
    if (!isLosing && wasLosing) logger.info(figures, 'almost no sound is lost any more');
    [beganMs, lostBefore] = [clock.monotonicMs(), lostSeconds];
  };
}
