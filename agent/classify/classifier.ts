/** A score in 0..1 per label, in the order of `labels`, for one frame of sound. */
export interface ScoreFrame {
  readonly scores: readonly number[];
  /** Seconds since the start of the stream: the end of the sound that this frame describes. */
  readonly endSeconds: number;
  /**
   * Seconds of the stream heard when the frame was scored: later than `endSeconds` by the model's latency and by what
   * fills the hop.
   */
  readonly scoredSeconds: number;
}

/**
 * Port: turns samples into scores. Call `push` with consecutive samples at `sampleRate`, one call at a time; it scores
 * each window that is full and keeps less than one window. `reset` forgets the stream (after a gap); `close` frees the
 * model.
 */
export interface Classifier {
  readonly sampleRate: number;
  readonly frameSeconds: number;
  /** Seconds of silence after the last sound within which all of it is scored. */
  readonly tailSeconds: number;
  push(samples: Float32Array): Promise<ScoreFrame[]>;
  reset(): void;
  close(): Promise<void>;
}
