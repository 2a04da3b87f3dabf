import type { Clock } from '../lib/clock.ts';
import type { MicrophoneFault } from '../lib/faults.ts';
import { CaptureError } from './capture-error.ts';
import type { AudioFrame, AudioSource } from './frame.ts';
import type { Hearing } from './hearing.ts';
import { openSampleClock } from './sample-clock.ts';
import { openSignalCheck, type SignalVerdict } from './signal-check.ts';

const provenSeconds = 1;

interface WatchParts {
  /** Gets the seconds listened and the samples dropped. */
  readonly hearing: Hearing;
  readonly clock: Clock;
  readonly silenceSeconds: number;
  /** The sound is heard to its end, whatever its quality. */
  readonly once?: boolean;
  /** Outlives the source. */
  readonly doubt: ReturnType<typeof openRateDoubt>;
  /** Called with each frame: the seconds lost so far, of all sources. */
  readonly watchLoss: (lostSeconds: number) => void;
  /** Called with each frame once the source has given sound for a second, at a rate that is not in doubt. */
  proven(source: AudioSource, verdict: SignalVerdict, heardSeconds: number): void;
  /** Called once the consumer is done with a frame. */
  report(hearing: Readonly<Hearing>): void;
}

/** The same source, whose signal is checked and whose seconds are counted. Throws a CaptureError at a fault. */
export function watchSource(source: AudioSource, parts: WatchParts): AudioSource {
  const { hearing, clock, silenceSeconds, once = false, doubt, watchLoss, proven, report } = parts;
  const check = openSignalCheck(source.sampleRate, silenceSeconds);
  const listened = openListenedSeconds(source.sampleRate);
  let heard = 0;
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
        const verdict = check.push(frame, arrivedMs, arrivedMs - askedMs, hearing.state === 'deaf');
        countDropped();
        watchLoss(hearing.droppedSamples / source.sampleRate);
        if (verdict.fault && !once) {
          if (verdict.fault === 'slow' || verdict.fault === 'fast') doubt.begin(verdict);
          throw capturedBadly(verdict.fault, silenceSeconds);
        }
        heard += verdict.heardSamples;
        const rateUnknown = doubt.lasts(verdict);
        hearing.listenedSeconds += listened(frame, arrivedMs, verdict.heardSamples, rateUnknown);
        if (heard >= provenSeconds * source.sampleRate && !rateUnknown) proven(source, verdict, heard / source.sampleRate);
        yield frame;
        report(hearing);
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

/**
 * Counts the seconds listened to by the clock, like the elapsed time: a fast crystal would make up for seconds that
 * were not heard. The returned function takes each frame and gives the seconds that it adds: 0 while the rate is
 * unknown, and all of them once it is known.
 */
function openListenedSeconds(sampleRate: number) {
  const sampleClock = openSampleClock(sampleRate);
  let zeroMs: number | undefined; // time of sample 0 by the clock, as of the last sound that was counted
  let unproven = 0; // seconds heard since a wrong rate, while the rate is not yet known
  return (frame: AudioFrame, arrivedMs: number, heardSamples: number, rateUnknown: boolean): number => {
    const placedMs = sampleClock.arrived(frame, arrivedMs);
    zeroMs ??= placedMs;
    if (heardSamples > 0) {
      unproven += Math.max(0, heardSamples / sampleRate + (placedMs - zeroMs) / 1000);
      zeroMs = placedMs;
    }
    if (rateUnknown) return 0;
    const seconds = unproven;
    unproven = 0;
    return seconds;
  };
}

/**
 * Doubts a rate that was found wrong, also across other faults, until it is disproved over as many seconds or is known
 * to be right.
 */
export function openRateDoubt() {
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
