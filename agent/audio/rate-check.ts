import type { MicrophoneFault } from '../lib/faults.ts';

export interface RateVerdict {
  fault?: Extract<MicrophoneFault, 'slow' | 'fast'>;
  /** Seconds over which the rate has been measured; for a rate found wrong, the seconds that this took. */
  rateSeconds: number;
  /** The rate was right so long and so steadily that even the smallest deviation that is reported is excluded. */
  rateRight: boolean;
}

// A rate is wrong if it is steadily off by `deviation` over five steps of `stride` seconds. Crystals are off by 0.01 %;
// 44.1 against 48 kHz is 8 %.
const rates = [
  { deviation: 0.05, stride: 1 },
  { deviation: 0.01, stride: 12 },
];
const steps = 5;
const kept = 1 + steps * Math.max(...rates.map(({ stride }) => stride)); // seconds
// A rate that is off by 1 % moves 50 ms in each part. Frames that come late at random never hide that in four parts if
// they are up to 100 ms late, and in 2 of 100 tries if up to 400 ms.
const rightParts = 4;
const rightPart = 5; // seconds
const rightSeconds = 0.03; // a crystal moves 2 ms
// Least wait within a second in which the reader caught up with the sound: reading what lies ready takes a few ms a
// frame.
const leastWaitMs = 200;
// A reader that was busy for longer may have lost sound: this much waits for it outside the device (pcm-process.ts).
const longestBusyMs = 600;

/**
 * Holds the rate of the samples against the clock: their lag behind it is measured as the least lag of each second (the
 * freshest arrival). The rate is wrong if this lag moves the same way in each of five steps, and by at least
 * `deviation` in all. A single loss is one step and no rate fault. In each of these seconds the reader must have waited
 * for the device, as it does even for a fast one: else the reader was late, and it is the reader that falls behind or
 * catches up. Whatever may have been lost to a late reader begins the measurement again: a listener that stands still
 * every few seconds, as for a slow card, waits for the device in between.
 */
export function openRateCheck(sampleRate: number) {
  let received = 0;
  let beganMs = -1;
  let lastMs = 0;
  let secondEndsMs = 0;
  let least = Infinity;
  let waitedMs = 0;
  let rateRight = false;
  const seconds: { lag: number; waitedMs: number }[] = [];

  function wrongRate(): Pick<RateVerdict, 'fault' | 'rateSeconds'> | undefined {
    for (const { deviation, stride } of rates) {
      const newest = seconds.length - 1;
      if (newest < steps * stride) continue;
      const lag = (back: number) => (seconds[newest - back * stride] as { lag: number }).lag;
      const growth = lag(0) - lag(steps);
      if (Math.abs(growth) < deviation * steps * stride) continue;
      const parts = Array.from({ length: steps }, (_, i) => lag(i) - lag(i + 1));
      if (!parts.every((part) => part / growth > 1 / (3 * steps))) continue;
      const waited = Array.from({ length: steps + 1 }, (_, i) => (seconds[newest - i * stride] as { waitedMs: number }).waitedMs);
      if (Math.min(...waited) < leastWaitMs) continue;
      return { fault: growth > 0 ? 'slow' : 'fast', rateSeconds: steps * stride };
    }
    return undefined;
  }

  function isRateRight(): boolean {
    const last = seconds.slice(-1 - rightParts * rightPart);
    if (last.length <= rightParts * rightPart || last.some(({ waitedMs: waited }) => waited < leastWaitMs)) return false;
    const lags = last.filter((_, i) => i % rightPart === 0).map(({ lag }) => lag);
    return lags.slice(1).every((lag, i) => Math.abs(lag - (lags[i] as number)) < rightSeconds);
  }

  function beginAgain(nowMs: number): void {
    seconds.length = 0;
    [least, waitedMs, rateRight] = [Infinity, 0, false];
    secondEndsMs = Math.max(secondEndsMs, nowMs + 1000);
  }

  return {
    /**
     * @param arrivedMs monotonic time of arrival
     * @param waited how long the reader waited for these samples, in ms
     * @param afterOverrun whether the recorder had to drop samples before these
     */
    push(samples: number, arrivedMs: number, waited: number, afterOverrun = false): RateVerdict {
      received += samples;
      if (beganMs < 0) {
        beganMs = lastMs = arrivedMs;
        secondEndsMs = arrivedMs + 2000; // sound that was buffered before the start is no measure
      }
      if (afterOverrun || arrivedMs - lastMs - waited > longestBusyMs) beginAgain(arrivedMs);
      lastMs = arrivedMs;
      least = Math.min(least, (arrivedMs - beganMs) / 1000 - received / sampleRate);
      waitedMs += waited;
      let wrong: ReturnType<typeof wrongRate>;
      if (arrivedMs >= secondEndsMs) {
        seconds.push({ lag: least, waitedMs });
        if (seconds.length > kept) seconds.shift();
        least = Infinity;
        waitedMs = 0;
        secondEndsMs = Math.max(secondEndsMs + 1000, arrivedMs);
        wrong = wrongRate();
        rateRight = isRateRight();
      }
      return { rateSeconds: seconds.length - 1, rateRight, ...wrong };
    },
  };
}
