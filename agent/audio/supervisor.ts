import { backoffMs } from '../lib/backoff.ts';
import type { Clock } from '../lib/clock.ts';
import { AudioError } from '../lib/errors.ts';
import type { MicrophoneFault } from '../lib/faults.ts';
import type { Logger } from '../lib/logger.ts';
import { sleep } from '../lib/sleep.ts';
import { tenth } from '../lib/tenth.ts';
import { CaptureError } from './capture-error.ts';
import type { AudioFrame, AudioSource } from './frame.ts';
import { openSampleClock } from './sample-clock.ts';
import { openSignalCheck, type SignalVerdict } from './signal-check.ts';

/** The supervisor's figures. Seconds count from `sinceMonotonicMs`; those not listened were not heard. */
export interface Hearing {
  readonly sinceMonotonicMs: number;
  state: 'starting' | 'listening' | 'deaf' | 'stopped';
  fault: MicrophoneFault | undefined;
  /** By the clock, not by the crystal of the sound card. */
  listenedSeconds: number;
  droppedSamples: number;
  /** How often the microphone was opened. */
  opens: number;
}

export interface SupervisorParts {
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

const provenSeconds = 1;
const steadySeconds = 60; // the backoff restarts after this; a microphone that comes and goes faster keeps long waits
const togetherMs = 100;
const longestWaitMs = 8000; // with the time to open and to prove it, a returned microphone is heard within 30 s

/**
 * Keeps a microphone open until the signal aborts.
 *
 * starting -(sound for 1 s)-> listening -(fault)-> deaf -(opened again; sound for 1 s, and the rate known where that
 * was the fault)-> listening. `clipped` is a fault while listening. A fault stays until it is disproved, not just until
 * the next attempt.
 */
export async function superviseMicrophone(parts: SupervisorParts, signal: AbortSignal): Promise<void> {
  const { open, use, report, clock, logger, random, silenceSeconds, once = false } = parts;
  const hearing: Hearing = {
    sinceMonotonicMs: clock.monotonicMs(),
    state: 'starting',
    fault: undefined,
    listenedSeconds: 0,
    droppedSamples: 0,
    opens: 0,
  };
  const turn = (state: Hearing['state'], fault: MicrophoneFault | undefined, error?: AudioError) => {
    if (hearing.state === state && hearing.fault === fault) return;
    if (fault && fault !== hearing.fault)
      logger.error({ fault, reason: error?.message, hint: error?.tryHint }, state === 'deaf' ? 'not hearing; trying again' : 'hearing badly');
    else if (state === 'listening') logger.info({ after: hearing.fault ?? hearing.state }, 'hearing');
    hearing.state = state;
    hearing.fault = fault;
    report(hearing);
  };
  report(hearing);
  let attempt = 0;
  const remark = openRemarks(logger);
  const doubt = openRateDoubt();
  const watchLoss = openLossWatch(parts);

  function watched(source: AudioSource): AudioSource {
    const check = openSignalCheck(source.sampleRate, silenceSeconds);
    let heard = 0;
    let unproven = 0; // seconds heard since a wrong rate, while the rate is not yet known
    const sampleClock = openSampleClock(source.sampleRate);
    let zeroMs: number | undefined; // time of sample 0 by the clock, as of the last sound that was counted
    let droppedBefore = 0;
    const countDropped = () => {
      hearing.droppedSamples += source.dropped - droppedBefore;
      droppedBefore = source.dropped;
    };
    async function* frames(stop: AbortSignal): AsyncGenerator<AudioFrame> {
      let askedMs = clock.monotonicMs();
      try {
        for await (const frame of source.frames(stop)) {
          const arrivedMs = clock.monotonicMs();
          const verdict = check.push(frame.samples, arrivedMs, arrivedMs - askedMs, hearing.state === 'deaf', frame.atFullScale);
          countDropped();
          watchLoss(hearing.droppedSamples / source.sampleRate);
          if (verdict.fault && !once) {
            if (verdict.fault === 'slow' || verdict.fault === 'fast') doubt.begin(verdict);
            throw capturedBadly(verdict.fault, silenceSeconds);
          }
          heard += verdict.heardSamples;
          const placedMs = sampleClock.arrived(frame, arrivedMs);
          zeroMs ??= placedMs;
          if (verdict.heardSamples > 0) {
            // by the clock, like the elapsed time: a fast crystal would make up for seconds that were not heard
            unproven += Math.max(0, verdict.heardSamples / source.sampleRate + (placedMs - zeroMs) / 1000);
            zeroMs = placedMs;
          }
          const rateUnknown = doubt.lasts(verdict);
          if (!rateUnknown) {
            hearing.listenedSeconds += unproven;
            unproven = 0;
          }
          if (heard >= provenSeconds * source.sampleRate && !rateUnknown) {
            if (heard >= steadySeconds * source.sampleRate) attempt = 0;
            turn('listening', verdict.clipped ? 'clipped' : undefined);
            remark(source);
          }
          yield frame;
          report(hearing); // the consumer is done with the frame
          askedMs = clock.monotonicMs();
        }
      } finally {
        countDropped(); // the last thing reported may have been an overrun
      }
    }
    return {
      sampleRate: source.sampleRate,
      get dropped() {
        return source.dropped;
      },
      frames,
    };
  }

  while (!signal.aborted) {
    hearing.opens++;
    try {
      await use(watched(await open()), signal);
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
      logger.warn({ hardwareRate, sampleRate }, 'the microphone itself samples at a lower rate: there is no sound above half of it');
    }
    if (!toldAntiphase && antiphase) {
      toldAntiphase = true;
      logger.warn(
        {},
        'the two channels of the microphone go against each other; one is turned over, else they would cancel: is a balanced one on a stereo input?',
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
      logger.warn(figures, 'sound is lost: is the model too slow for this board, or does something else keep it busy? sudo tocsin doctor tells');
    if (!isLosing && wasLosing) logger.info(figures, 'next to no sound is lost any more');
    [beganMs, lostBefore] = [clock.monotonicMs(), lostSeconds];
  };
}

/**
 * Doubts a rate that was found wrong, also across other faults, until it is disproved over as many seconds or is known
 * to be right.
 */
function openRateDoubt() {
  let seconds = 0; // over which it was found wrong
  return {
    begin({ rateSeconds }: SignalVerdict): void {
      seconds = rateSeconds;
    },
    lasts({ rateSeconds, rateRight }: SignalVerdict): boolean {
      if (rateSeconds >= seconds || rateRight) seconds = 0;
      return seconds > 0;
    },
  };
}

function capturedBadly(fault: MicrophoneFault, seconds: number): CaptureError {
  const got: Partial<Record<MicrophoneFault, string>> = {
    zeros: `${seconds} s of exact zeros, or zeros most of the time`,
    flat: `${seconds} s without any variation, or none most of the time`,
    slow: 'samples more slowly than its rate',
    fast: 'samples faster than its rate',
  };
  const hint =
    fault === 'zeros' || fault === 'flat'
      ? 'check the plug, the mute switch and the capture volume (alsamixer)'
      : 'check microphone.sampleRateHz, the USB hub and its power supply';
  return new CaptureError(fault, `Expected sound from the microphone, got ${got[fault]}`, hint);
}
