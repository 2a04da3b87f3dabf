// The whole agent, in the order of the data; listen() is below, deliver() in delivery/deliver.ts:
//
//   listen()   microphone ─▶ resample ─▶ classify ─▶ detect ─▶ outbox          no network
//                  │                                    ▲
//                  └──────────▶ level ──────────────────┘
//                                 └────────▶ tap ◀──────┘  ─▶ meter socket  numbers for a technician here
//   deliver()  outbox ─▶ CloudEvent ─▶ MQTT 5, QoS 1                            no microphone
//
// The listener also stores figures of its own hearing in the outbox, which the courier publishes as health, and counts
// of the events that other thresholds would have made.
//
// listen() and deliver() run as two processes; the outbox file is all they share.
import { type AudioSource, longestTailSeconds } from './audio/frame.ts';
import { openLevelMeter } from './audio/level.ts';
import { openResampler } from './audio/resample.ts';
import { openSampleClock } from './audio/sample-clock.ts';
import { openSoundLevelMeter, type SoundLevelMeter } from './audio/sound-level.ts';
import type { Classifier, ScoreFrame } from './classify/classifier.ts';
import { type DetectionRule, type Label, labels, type ModelManifest } from './classify/model-manifest.ts';
import { rulesOf } from './classify/rules.ts';
import type { Config } from './config/schema.ts';
import type { RecordedEvent } from './events/event.ts';
import { type Detection, type EventDetector, type Miss, openEventDetector } from './events/event-detector.ts';
import type { HourMeter } from './events/hour-meter.ts';
import type { ThresholdCounter } from './events/threshold-counts.ts';
import type { Clock } from './lib/clock.ts';
import { AudioError, ConfigError } from './lib/errors.ts';
import type { Logger } from './lib/logger.ts';
import type { Tap } from './meter/tap.ts';
import type { Outbox } from './outbox/outbox.ts';

// A loss up to this long is heard as silence: after a restart recognition takes up to half a second to hear again.
const shortSeconds = 0.2;
const soonSeconds = 10;
const marginSeconds = 0.25; // an onset is accurate to a frame or two

export interface Heard {
  readonly detection: Detection;
  readonly aboveBackgroundDb: number;
  /** Seconds from the onset to the newest sample received; includes model latency and backlog. */
  readonly sinceOnsetSeconds: number;
}

interface RecordParts {
  readonly clock: Clock;
  readonly model: Pick<ModelManifest, 'name' | 'version'>;
  /** The meter of the source; takes each frame before it is heard. */
  readonly soundLevel: Pick<SoundLevelMeter, 'fastMaximum'>;
  /** The sound pressure level in dB of a full-scale sine; absent if the microphone was not calibrated. */
  readonly splAtFullScaleDb?: number | undefined;
}

/** The event of a sound as the outbox stores it: all that is kept of it. */
export function recordOf({ detection, aboveBackgroundDb, sinceOnsetSeconds }: Heard, onsetMonotonicMs: number, parts: RecordParts): RecordedEvent {
  const { clock, model, soundLevel, splAtFullScaleDb } = parts;
  const [glass_break = 0, shout = 0, bang = 0] = detection.scores;
  const { wallMs, monotonicMs, synchronised } = clock.now();
  return {
    label: detection.label,
    onsetWallMs: wallMs - (monotonicMs - onsetMonotonicMs),
    onsetMonotonicMs,
    bootId: clock.bootId,
    clockSynchronised: synchronised,
    durationSeconds: detection.offsetSeconds - detection.onsetSeconds,
    confidence: detection.confidence,
    levelAboveBackgroundDb: aboveBackgroundDb,
    ...(splAtFullScaleDb !== undefined ? { soundPressureLevelDb: soundLevel.fastMaximum(sinceOnsetSeconds + marginSeconds) + splAtFullScaleDb } : {}),
    scores: { glass_break, shout, bang },
    model: { name: model.name, version: model.version },
  };
}

export interface HearCallbacks {
  /** A sound is confirmed. */
  confirmed?(heard: Heard): void;
  /** A confirmed sound is over. */
  ended?(detection: Detection): void;
  missed?(miss: Miss): void;
  /** Each 125 ms, in dB relative to a full-scale sine. */
  level?(decibels: number): void;
  /** Recognition begins, or begins again after a gap. */
  began?(): void;
  /** Called before a frame is heard; what came before a gap has been judged by then. */
  frame?(samples: Float32Array): void;
  /** Called after each frame of scores of what was heard, not of inserted silence. */
  scored?(frame: ScoreFrame, detector: EventDetector): void;
}

/**
 * Hears a source to its end or until the signal aborts. Recognition hears silence in place of a short gap in the
 * samples and begins again after a longer one. What came just before such a gap is judged, except before one that
 * follows another within `soonSeconds`; what came just before the end or an AudioError is judged in any case. Every
 * buffer is overwritten with zeros after use, whatever ends the call.
 */
export async function hear(
  source: AudioSource,
  classifier: Classifier,
  rules: Record<Label, DetectionRule>,
  on: HearCallbacks,
  signal: AbortSignal,
): Promise<{ secondsHeard: number }> {
  if (source.sampleRate < classifier.sampleRate)
    throw new ConfigError(
      `Expected sound of at least ${classifier.sampleRate} Hz, as the model takes, got ${source.sampleRate} Hz`,
      'raise microphone.sampleRateHz to a rate that the microphone has, or take another model',
    );
  const meter = openLevelMeter(classifier.sampleRate, on.level);
  const begin = (firstSample: number) => ({
    resampler: openResampler(source.sampleRate, classifier.sampleRate),
    detector: openEventDetector(labels, rules, classifier.frameSeconds),
    beganSeconds: firstSample / source.sampleRate,
  });
  let stretch = begin(0); // of sound between two gaps that are not short
  let samplesHeard = 0;
  const placed = (detection: Detection): Detection => ({
    ...detection,
    onsetSeconds: detection.onsetSeconds + stretch.beganSeconds,
    offsetSeconds: detection.offsetSeconds + stretch.beganSeconds,
  });
  const stretchSeconds = () => samplesHeard / source.sampleRate - stretch.beganSeconds;
  const judge = async (samples: Float32Array, scored?: HearCallbacks['scored']) => {
    for (const scores of await classifier.push(samples)) {
      const step = stretch.detector.push(scores);
      for (const detection of step.confirmed) {
        const sinceOnsetSeconds = stretchSeconds() - detection.onsetSeconds;
        on.confirmed?.({ detection: placed(detection), aboveBackgroundDb: meter.aboveBackgroundDb(sinceOnsetSeconds + marginSeconds), sinceOnsetSeconds });
      }
      for (const detection of step.ended) on.ended?.(placed(detection));
      for (const miss of step.missed) on.missed?.(miss);
      scored?.(scores, stretch.detector);
    }
  };
  const judged = (samples: Float32Array) => judge(samples).finally(() => samples.fill(0));
  const confirmSeconds = Math.max(...labels.map((label) => rules[label].smoothingSeconds + rules[label].minDurationSeconds));
  const endSeconds = Math.min(longestTailSeconds, classifier.tailSeconds + confirmSeconds);
  /**
   * Feeds silence after the last sound, because a sound is reported only once what follows it has been heard. No more
   * than that takes: after a gap this delays the sound that waits, and a longer delay would make the next gap. None
   * after a gap that follows another soon, as on a board that is too slow: it would lose twice as much.
   */
  const end = async (silenceSeconds = endSeconds) => {
    // the resampler returns the last of the sound before the silence
    await judged(stretch.resampler.push(new Float32Array(Math.ceil(source.sampleRate * silenceSeconds))));
    for (const detection of stretch.detector.finish()) on.ended?.(placed(detection));
  };
  /** Goes on to the first sample of a frame: over a short gap with silence, after a longer one anew. */
  const skipTo = async (firstSample: number) => {
    const lost = firstSample - samplesHeard;
    if (lost === 0) return;
    if (lost > 0 && lost <= shortSeconds * source.sampleRate) return judged(stretch.resampler.push(new Float32Array(lost)));
    const isSoon = stretch.beganSeconds > 0 && stretchSeconds() < soonSeconds;
    await end(isSoon ? 0 : endSeconds);
    classifier.reset();
    stretch.resampler.clear(); // without silence behind it, the last of the sound is still in there
    stretch = begin(firstSample);
    on.began?.();
  };
  on.began?.();
  try {
    for await (const frame of source.frames(signal)) {
      await skipTo(frame.firstSample);
      on.frame?.(frame.samples);
      samplesHeard = frame.firstSample + frame.samples.length;
      const samples = stretch.resampler.push(frame.samples);
      try {
        meter.push(samples);
        await judge(samples, on.scored);
      } finally {
        samples.fill(0);
      }
    }
    await end();
  } catch (error) {
    if (error instanceof AudioError) await end();
    throw error;
  } finally {
    stretch.resampler.clear();
    classifier.reset();
    // the model's runtime keeps data of its last run, which is now one of silence
    await classifier.push(new Float32Array(classifier.sampleRate)).catch(() => undefined);
    classifier.reset();
  }
  return { secondsHeard: samplesHeard / source.sampleRate };
}

export interface ListenParts {
  readonly source: AudioSource;
  readonly classifier: Classifier & { readonly manifest: ModelManifest };
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Called with the level of each 125 ms, in dB relative to a full-scale sine. */
  readonly level?: (decibels: number) => void;
  /** Sums up the hour. */
  readonly hour?: Pick<HourMeter, 'recognised' | 'level'>;
  readonly tap?: Tap;
  /** Counts would-be events by threshold. */
  readonly counter?: Pick<ThresholdCounter, 'push' | 'restart'>;
}

/** The listener: hears the source and puts what it recognises in the outbox. */
export async function listen(config: Pick<Config, 'model' | 'microphone'>, parts: ListenParts, signal: AbortSignal): Promise<void> {
  const { source, classifier, outbox, clock, logger, hour, tap, counter } = parts;
  const { splAtFullScaleDb } = config.microphone;
  const soundLevel = openSoundLevelMeter(source.sampleRate, hour?.level);
  if (splAtFullScaleDb !== undefined) tap?.soundPressure(() => soundLevel.levels().lafDb + splAtFullScaleDb);
  const sampleClock = openSampleClock(source.sampleRate);
  let beganMs = 0;
  const counted: AudioSource = {
    ...source,
    async *frames(stop) {
      for await (const frame of source.frames(stop)) {
        beganMs = sampleClock.arrived(frame, clock.monotonicMs());
        yield frame;
      }
    },
  };
  const confirmed = (heard: Heard) => {
    const { detection } = heard;
    hour?.recognised(detection.label);
    const onsetMonotonicMs = beganMs + detection.onsetSeconds * 1000;
    const fate = outbox.append(recordOf(heard, onsetMonotonicMs, { clock, model: classifier.manifest, soundLevel, splAtFullScaleDb }));
    tap?.fired(detection.label, detection.confidence, fate !== 'refused');
    // does not say what was heard: the journal keeps its lines long after the event is delivered and deleted
    if (fate === 'held') logger.warn({}, 'event held in memory: the outbox cannot be written');
    if (fate === 'refused') logger.error({}, 'event refused: more than outbox.maxEventsPerMinute');
  };
  const { secondsHeard } = await hear(
    counted,
    classifier,
    rulesOf(classifier.manifest, config.model),
    {
      confirmed,
      missed: (miss) => tap?.missed(miss),
      level(decibels) {
        parts.level?.(decibels);
        tap?.level(decibels);
      },
      began: () => counter?.restart(),
      frame: (samples) => soundLevel.push(samples),
      scored(frame, detector) {
        counter?.push(frame);
        if (tap?.watched) tap.scores(detector.look());
      },
    },
    signal,
  );
  logger.info({ secondsHeard, dropped: source.dropped }, 'stopped listening');
}
