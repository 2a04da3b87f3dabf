/**
 * Streaming conversion to another rate by a windowed sinc (Smith, "Digital Audio Resampling", CCRMA): 32 zero
 * crossings, Hann window, cut off at 0.94 of the lower Nyquist frequency. Delay: 16 samples of the lower rate,
 * compensated.
 *
 * Returned samples belong to the caller; the history is held in one buffer and cleared by `clear`.
 */
interface Resampler {
  push(samples: Float32Array): Float32Array;
  clear(): void;
}

const crossings = 16;

/** @param from input rate in Hz @param to output rate in Hz */
export function openResampler(from: number, to: number): Resampler {
  if (from === to) return { push: (samples) => samples, clear: () => undefined };
  const step = from / to;
  const half = Math.ceil(crossings * Math.max(1, step));
  const divisor = gcd(from, to);
  const phases = to / divisor;
  const kernels = Array.from({ length: phases }, (_, phase) => kernel(((phase * from) / to) % 1, step, half));
  let history = new Float32Array(half);
  let produced = 0;
  let consumed = -half; // index in the source of history[0], with `half` zeros before the first sample
  /** Where the next output begins in `history`: never before it, since each push keeps all from there on. */
  const nextStart = () => Math.floor((produced * from) / to) - half + 1 - consumed;
  return {
    push(samples) {
      const buffer = new Float32Array(history.length + samples.length);
      buffer.set(history);
      buffer.set(samples, history.length);
      history.fill(0);
      const available = consumed + buffer.length - half;
      const out = new Float32Array(Math.max(0, Math.ceil(available / step) - produced + 1));
      let n = 0;
      let start = nextStart();
      for (; start + 2 * half <= buffer.length; start = nextStart()) {
        const weights = kernels[produced % phases] as Float32Array;
        let sum = 0;
        for (let i = 0; i < weights.length; i++) sum += (weights[i] as number) * (buffer[start + i] as number);
        out[n++] = sum;
        produced++;
      }
      history = buffer.slice(start);
      consumed += start;
      buffer.fill(0);
      return out.subarray(0, n);
    },
    clear() {
      history.fill(0);
    },
  };
}

function kernel(fraction: number, step: number, half: number): Float32Array {
  const cutoff = 0.94 / Math.max(1, step);
  const weights = Float32Array.from({ length: 2 * half }, (_, i) => {
    const t = i - half + 1 - fraction;
    const window = Math.abs(t) < half ? 0.5 + 0.5 * Math.cos((Math.PI * t) / half) : 0;
    const x = Math.PI * t * cutoff;
    return window * cutoff * (Math.abs(x) < 1e-9 ? 1 : Math.sin(x) / x);
  });
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((w) => w / sum);
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
