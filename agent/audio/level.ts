/**
 * Sound level in steps of 125 ms (the "fast" time constant of IEC 61672-1) and the background behind it: the level
 * exceeded 90 % of the last minute (L90). Levels are unweighted, in dB relative to a full-scale sine. The mean of a
 * step is left out: many converters have an offset, which is not sound and may be louder than a quiet street.
 */
interface LevelMeter {
  push(samples: Float32Array): void;
  /** The loudest step of the last `seconds`, above the background before them, in dB. */
  aboveBackgroundDb(seconds: number): number;
}

const stepSeconds = 0.125;
const remembered = 480; // steps: one minute

/** @param onStep called with the level of each step, in dB */
export function openLevelMeter(sampleRate: number, onStep?: (decibels: number) => void): LevelMeter {
  const length = Math.round(sampleRate * stepSeconds);
  const levels: number[] = [];
  let [sum, squared, count] = [0, 0, 0];
  // of the step so far, over the length of a whole one: else a click in its first millisecond would be louder
  const level = () => 10 * Math.log10((2 * (squared - sum ** 2 / Math.max(1, count))) / length + 1e-10);
  return {
    push(samples) {
      for (let at = 0; at < samples.length; ) {
        const end = Math.min(samples.length, at + length - count);
        let [total, squares] = [sum, squared]; // local variables make it ten times as fast
        for (let i = at; i < end; i++) {
          const sample = samples[i] as number;
          total += sample;
          squares += sample * sample;
        }
        [sum, squared] = [total, squares];
        count += end - at;
        at = end;
        if (count < length) continue;
        const decibels = level();
        levels.push(decibels);
        onStep?.(decibels);
        if (levels.length > remembered) levels.shift();
        [sum, squared, count] = [0, 0, 0];
      }
    },
    aboveBackgroundDb(seconds) {
      const recent = Math.max(1, Math.ceil(seconds / stepSeconds));
      const loudest = Math.max(level(), ...levels.slice(-recent));
      const before = levels.slice(0, -recent);
      const sorted = (before.length > 0 ? before : levels).toSorted((a, b) => a - b);
      const background = sorted[Math.floor(sorted.length / 10)] ?? loudest;
      return loudest - background;
    },
  };
}
