import { AudioError } from '../lib/errors.ts';
import type { MicrophoneFault } from '../lib/faults.ts';

/** The microphone cannot be captured; `fault` names the reason. Another attempt may succeed. */
export class CaptureError extends AudioError {
  readonly fault: MicrophoneFault;
  constructor(fault: MicrophoneFault, message: string, tryHint: string, options?: ErrorOptions) {
    super(message, tryHint, options);
    this.fault = fault;
  }
}
