/**
 * Sound level in steps of 125 ms (the "fast" time constant of IEC 61672-1) and the background behind it: the level
 * exceeded 90 % of the last minute (L90). Levels are unweighted, in dB relative to a full-scale sine.
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
  let sum = 0;
  let count = 0;
  return {
    push(samples) {
      for (let at = 0; at < samples.length; ) {
        const end = Math.min(samples.length, at + length - count);
        let squares = sum; // a local variable makes it ten times as fast
        for (let i = at; i < end; i++) {
          const sample = samples[i] as number;
          squares += sample * sample;
        }
        sum = squares;
        count += end - at;
        at = end;
        if (count < length) continue;
        const level = 10 * Math.log10((2 * sum) / count + 1e-10);
        levels.push(level);
        onStep?.(level);
        if (levels.length > remembered) levels.shift();
        sum = 0;
        count = 0;
      }
    },
    aboveBackgroundDb(seconds) {
      const recent = Math.max(1, Math.ceil(seconds / stepSeconds));
      // over a whole step, as for the others: else a click in the first millisecond would be louder
      const unfinished = 10 * Math.log10((2 * sum) / length + 1e-10);
      const loudest = Math.max(unfinished, ...levels.slice(-recent));
      const before = levels.slice(0, -recent);
      const sorted = (before.length > 0 ? before : levels).toSorted((a, b) => a - b);
      const background = sorted[Math.floor(sorted.length / 10)] ?? loudest;
      return loudest - background;
    },
  };
}
