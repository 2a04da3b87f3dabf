import type { MicrophoneFault } from '../lib/faults.ts';

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
