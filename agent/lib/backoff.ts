/** Full-jitter exponential backoff in milliseconds: uniform in [0, min(cap, base * 2^attempt)], never under `base / 2`. */
export function backoffMs(attempt: number, random: () => number, baseMs = 500, capMs = 60_000): number {
  const ceiling = Math.min(capMs, baseMs * 2 ** Math.min(attempt, 20));
  return Math.max(baseMs / 2, Math.round(random() * ceiling));
}
