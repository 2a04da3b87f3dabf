import type { ScoreFrame } from '../classify/classifier.ts';
import type { DetectionRule, Label } from '../classify/model-manifest.ts';

/**
 * A sound that was recognised. Times are in seconds on the sample clock. `offsetSeconds` is known once it has ended.
 */
export interface Detection {
  readonly label: Label;
  readonly onsetSeconds: number;
  offsetSeconds: number;
  /** The highest smoothed score so far. */
  confidence: number;
  /** The scores of all labels at that moment, in label order. */
  scores: readonly number[];
}

/**
 * Why a sound made no event of its own: it never reached `open` (under), fell below `close` before the minimum duration
 * (short), was joined to the event before it (merged), or ended during the cool-down (cooldown).
 */
export interface Miss {
  readonly label: Label;
  readonly reason: 'under' | 'short' | 'merged' | 'cooldown';
  /** The highest smoothed score; for `merged` and `cooldown`, the score with which the sound passed `open`. */
  readonly peak: number;
}

interface DetectorStep {
  /** Sounds confirmed by this frame: report these at once. */
  readonly confirmed: Detection[];
  /** Confirmed sounds that have ended for good: repeats within the merge time have been joined to them. */
  readonly ended: Detection[];
  readonly missed: Miss[];
}

const longSeconds = 60;

export type TrackState = 'idle' | 'open' | 'confirmed' | 'tail' | 'cooldown';

/** How a label stands after the last frame; tracks are in the order of the labels. */
export interface Track {
  /** Smoothed, as compared with the thresholds. */
  readonly score: number;
  readonly state: TrackState;
  /**
   * Time left in this state: until confirmation (open), until a repeat is a new event (tail), until the next event may
   * begin (cooldown); else 0.
   */
  readonly leftSeconds: number;
}

/**
 * Turns score frames into detections. Pure: no clock but the frames' own, no input but the scores.
 *
 * Per label:
 *   idle -(score >= open)-> open -(held >= close for minDuration)-> confirmed -(score < close)-> tail
 *   tail -(score >= open within merge)-> confirmed
 *   tail -(merge over)-> cooldown -> idle
 *
 * After a minute an event ends where its score falls below open, and no repeat joins it: a din between the thresholds,
 * or one bang after another, must not keep what comes for hours from being told.
 *
 * An open sound that falls below close before it is confirmed goes back to idle. A sound that begins in the cool-down
 * and outlasts it opens when the cool-down ends, with its original onset and confidence. The score is a causal mean
 * over `smoothingSeconds`.
 */
export function openEventDetector(labels: readonly Label[], rules: Record<Label, DetectionRule>, frameSeconds: number) {
  const tracks = labels.map((label, index) => openTrack(label, index, rules[label], frameSeconds));
  return {
    push(frame: ScoreFrame): DetectorStep {
      const step: DetectorStep = { confirmed: [], ended: [], missed: [] };
      for (const track of tracks) track.push(frame, step);
      return step;
    },
    /** Ends what is still going on: the stream is over. */
    finish(): Detection[] {
      return tracks.flatMap((track) => track.finish());
    },
    look: (): Track[] => tracks.map((track) => track.look()),
  };
}
export type EventDetector = ReturnType<typeof openEventDetector>;

function openTrack(label: Label, index: number, rule: DetectionRule, frameSeconds: number) {
  const size = Math.max(1, Math.round(rule.smoothingSeconds / frameSeconds));
  const recent: number[] = [];
  let state: TrackState = 'idle';
  let current: Detection | undefined;
  let until = 0;
  let now = 0;
  let score = 0;
  let stirred = 0; // the highest score since it rose above `close`, while no sound has opened
  // a sound that is above `open` during the cool-down, and the score with which it passed it
  let waiting: { readonly sound: Detection; readonly passed: number } | undefined;

  function begin(frame: ScoreFrame): Detection {
    const onsetSeconds = Math.max(0, now - frameSeconds * (1 + (size - 1) / 2));
    return { label, onsetSeconds, offsetSeconds: Math.max(onsetSeconds, now), confidence: 0, scores: frame.scores };
  }

  function follow(sound: Detection | undefined, frame: ScoreFrame): void {
    if (!sound) return;
    sound.offsetSeconds = Math.max(sound.offsetSeconds, frame.endSeconds - ((size - 1) * frameSeconds) / 2);
    if (score <= sound.confidence) return;
    sound.confidence = score;
    sound.scores = [...frame.scores];
  }

  function push(frame: ScoreFrame, step: DetectorStep): void {
    recent.push(frame.scores[index] ?? 0);
    if (recent.length > size) recent.shift();
    score = recent.reduce((a, b) => a + b, 0) / size;
    now = frame.endSeconds;
    const slack = frameSeconds / 2; // durations are compared in whole frames
    if (state === 'tail' && now > until + slack) {
      step.ended.push(current as Detection);
      current = undefined;
      state = 'cooldown';
      until += rule.cooldownSeconds;
    }
    if (state === 'cooldown' && now > until + slack) state = 'idle';
    if (state === 'cooldown' && score >= rule.open) {
      waiting ??= { sound: begin(frame), passed: score };
      follow(waiting.sound, frame);
    }
    if (waiting && score < rule.open) {
      step.missed.push({ label, reason: 'cooldown', peak: waiting.passed });
      waiting = undefined;
    }
    if (state === 'idle' && score < rule.open) {
      if (score >= rule.close) stirred = Math.max(stirred, score);
      else if (stirred > 0) {
        step.missed.push({ label, reason: 'under', peak: stirred });
        stirred = 0;
      }
    }
    if (state === 'idle' && score >= rule.open) {
      stirred = 0;
      current = waiting?.sound ?? begin(frame);
      waiting = undefined;
      until = now - frameSeconds + rule.minDurationSeconds;
      state = 'open';
    }
    if (state === 'open') {
      if (score < rule.close) {
        step.missed.push({ label, reason: 'short', peak: current?.confidence ?? 0 });
        current = undefined;
        state = 'idle';
        return;
      }
      follow(current, frame);
      if (now >= until - slack) {
        state = 'confirmed';
        step.confirmed.push(current as Detection);
      }
    } else if (state === 'confirmed') {
      const isLong = now - (current?.onsetSeconds ?? now) > longSeconds;
      if (score >= (isLong ? rule.open : rule.close)) follow(current, frame);
      else {
        state = 'tail';
        until = now + (isLong ? 0 : rule.mergeSeconds);
      }
    } else if (state === 'tail' && score >= rule.open) {
      state = 'confirmed';
      step.missed.push({ label, reason: 'merged', peak: score });
      follow(current, frame);
    }
  }

  return {
    push,
    look: (): Track => ({ score, state, leftSeconds: state === 'idle' || state === 'confirmed' ? 0 : Math.max(0, until - now) }),
    finish: () => (current && (state === 'confirmed' || state === 'tail') ? [current] : []),
  };
}
