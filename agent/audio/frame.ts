/**
 * The most seconds of silence that follow the last sound so that it is judged. Covers the largest latency plus hop
 * that a model's manifest may have.
 */
export const longestTailSeconds = 2;

/**
 * A stretch of mono sound. `samples` is valid until the reader asks for the next frame or leaves, for whatever reason.
 * Then the source overwrites it with zeros.
 */
export interface AudioFrame {
  readonly samples: Float32Array;
  /** Index of the first sample since the source opened, counting what was dropped. */
  readonly firstSample: number;
  /** How many samples were at full scale before two channels were mixed to one. */
  readonly atFullScale?: number;
  /** Whether the recorder reported, since the frame before, that it dropped samples. */
  readonly afterOverrun?: boolean;
}

/**
 * Port: where sound comes from.
 *
 * Call `frames` once. It yields in order until the signal aborts or the sound ends, and releases the device in both
 * cases. It throws an AudioError when the source goes away, falls silent or is not what was asked for; the caller may
 * open another. A source runs ahead of its reader by at most two seconds.
 */
export interface AudioSource {
  readonly sampleRate: number;
  /** Samples lost since the source opened. */
  readonly dropped: number;
  /**
   * Sample rate of the hardware in Hz, once sound has arrived and if the kernel tells. If it is below `sampleRate`,
   * there is no sound above half of it.
   */
  readonly hardwareRate?: number | undefined;
  /** Whether the microphone's two channels are in antiphase; the source corrects this. */
  readonly antiphase?: boolean;
  frames(signal: AbortSignal): AsyncIterable<AudioFrame>;
}
