/** Exponential backoff in milliseconds with full jitter: uniform from half of `base` to min(cap, base * 2^attempt). */
export function backoffMs(attempt: number, random: () => number, baseMs = 500, capMs = 60_000): number {
  const ceiling = Math.min(capMs, baseMs * 2 ** Math.min(attempt, 20));
  return Math.round(baseMs / 2 + random() * (ceiling - baseMs / 2));
}
