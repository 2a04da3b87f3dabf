import type { ScoreFrame } from '../classify/classifier.ts';
import type { DetectionRule, Label } from '../classify/model-manifest.ts';

/** A sound that was recognised. Times are in seconds on the sample clock. `offsetSeconds` is known once it has ended. */
export interface Detection {
  readonly label: Label;
  readonly onsetSeconds: number;
  offsetSeconds: number;
  /** The highest smoothed score so far. */
  confidence: number;
  /** The scores of all labels at that moment, in label order. */
  scores: readonly number[];
}

export interface DetectorStep {
  /** Sounds confirmed by this frame: report these at once. */
  readonly confirmed: Detection[];
  /** Confirmed sounds that have ended for good: repeats within the merge time have been joined to them. */
  readonly ended: Detection[];
}

/**
 * Turns score frames into detections. Pure: no clock but the frames' own, no input but the scores.
 *
 * Per label: idle -(score >= open)-> open -(held >= close for minDuration)-> confirmed -(score < close)-> tail
 * tail -(score >= open within merge)-> confirmed; tail -(merge over)-> cooldown -> idle. An open sound that falls under
 * close before it is confirmed goes back to idle. The score is a causal mean over `smoothingSeconds`.
 */
export function openEventDetector(labels: readonly Label[], rules: Record<Label, DetectionRule>, frameSeconds: number) {
  const tracks = labels.map((label, index) => openTrack(label, index, rules[label], frameSeconds));
  return {
    push(frame: ScoreFrame): DetectorStep {
      const step: DetectorStep = { confirmed: [], ended: [] };
      for (const track of tracks) track.push(frame, step);
      return step;
    },
    /** Ends what is still going on: the stream is over. */
    finish(): Detection[] {
      return tracks.flatMap((track) => track.finish());
    },
  };
}
export type EventDetector = ReturnType<typeof openEventDetector>;

function openTrack(label: Label, index: number, rule: DetectionRule, frameSeconds: number) {
  const size = Math.max(1, Math.round(rule.smoothingSeconds / frameSeconds));
  const recent: number[] = [];
  let state: 'idle' | 'open' | 'confirmed' | 'tail' | 'cooldown' = 'idle';
  let current: Detection | undefined;
  let until = 0;

  function follow(score: number, frame: ScoreFrame): void {
    if (!current) return;
    current.offsetSeconds = Math.max(current.offsetSeconds, frame.endSeconds - ((size - 1) * frameSeconds) / 2);
    if (score <= current.confidence) return;
    current.confidence = score;
    current.scores = [...frame.scores];
  }

  function push(frame: ScoreFrame, step: DetectorStep): void {
    recent.push(frame.scores[index] ?? 0);
    if (recent.length > size) recent.shift();
    const score = recent.reduce((a, b) => a + b, 0) / size;
    const now = frame.endSeconds;
    const slack = frameSeconds / 2; // durations are compared in whole frames
    if (state === 'tail' && now > until + slack) {
      step.ended.push(current as Detection);
      current = undefined;
      state = 'cooldown';
      until += rule.cooldownSeconds;
    }
    if (state === 'cooldown' && now > until + slack) state = 'idle';
    if (state === 'idle' && score >= rule.open) {
      const onsetSeconds = Math.max(0, now - frameSeconds * (1 + (size - 1) / 2));
      current = { label, onsetSeconds, offsetSeconds: now, confidence: 0, scores: frame.scores };
      until = now - frameSeconds + rule.minDurationSeconds;
      state = 'open';
    }
    if (state === 'open') {
      if (score < rule.close) {
        current = undefined;
        state = 'idle';
        return;
      }
      follow(score, frame);
      if (now >= until - slack) {
        state = 'confirmed';
        step.confirmed.push(current as Detection);
      }
    } else if (state === 'confirmed') {
      if (score >= rule.close) follow(score, frame);
      else {
        state = 'tail';
        until = now + rule.mergeSeconds;
      }
    } else if (state === 'tail' && score >= rule.open) {
      state = 'confirmed';
      follow(score, frame);
    }
  }

  return {
    push,
    finish: () => (current && (state === 'confirmed' || state === 'tail') ? [current] : []),
  };
}
