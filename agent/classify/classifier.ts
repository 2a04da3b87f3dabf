/** A score in 0..1 per label, in the classifier's label order, for one frame of sound. */
export interface ScoreFrame {
  readonly scores: readonly number[];
  /** Seconds since the start of the stream: the end of the sound this frame tells of. */
  readonly endSeconds: number;
  /** How much of the stream had been heard when it was scored: what the model looks back and what fills a hop included. */
  readonly scoredSeconds: number;
}

/**
 * Port: turns samples into scores. Call `push` with consecutive samples at `sampleRate`, one call at a time; it takes what
 * fills a window and keeps less than one window. `reset` forgets the stream (after a gap); `close` frees the model.
 */
export interface Classifier {
  readonly labels: readonly string[];
  readonly sampleRate: number;
  readonly frameSeconds: number;
  push(samples: Float32Array): Promise<ScoreFrame[]>;
  reset(): void;
  close(): Promise<void>;
}
