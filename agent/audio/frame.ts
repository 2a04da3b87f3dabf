/** Silence that is heard behind the last sound, so that it is judged: more than the latency and the hop that a model's manifest may have. */
export const tailSeconds = 2;

/** A stretch of mono sound. `samples` holds it until the next is asked for or the reader leaves, for whatever reason: then the source overwrites it with zeros. */
export interface AudioFrame {
  readonly samples: Float32Array;
  /** Index of the first sample since the source opened, counting what was dropped. */
  readonly firstSample: number;
  /** How many were at full scale before two channels were made one. */
  readonly atFullScale?: number;
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
  /** At which the hardware samples, once it is heard and where the kernel tells. Below `sampleRate` there is no sound above half of it. */
  readonly hardwareRate?: number | undefined;
  /** The microphone's two channels go against each other, which is put right. */
  readonly antiphase?: boolean;
  frames(signal: AbortSignal): AsyncIterable<AudioFrame>;
}
