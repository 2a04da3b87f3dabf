/**
 * Detects a device that gives too little: of the last 2 * `silenceSeconds`, half passed without a sample and the reader
 * waited in vain for as long. Both must hold: a reader that was late, or a board that stood still, has not waited, and
 * sound that comes late but complete is not missing.
 */
export function openStallWatch(sampleRate: number, silenceSeconds: number, beganMs: number) {
  const longestMs = silenceSeconds * 1000;
  let receivedMs = 0;
  let waitedMs = 0;
  const past = [{ atMs: beganMs, receivedMs, waitedMs }];
  function note(atMs: number): void {
    past.push({ atMs, receivedMs, waitedMs });
    while (past[1] && past[1].atMs <= atMs - 2 * longestMs) past.shift();
  }
  return {
    /** Takes `count` samples that arrived at `nowMs`. */
    arrived(count: number, nowMs: number): void {
      if (receivedMs === 0) past.length = 0; // the time needed to open the device does not count
      receivedMs += (count / sampleRate) * 1000;
      note(nowMs);
    },
    /** Takes `ms` that the reader waited in vain; returns whether the device is stuck. */
    waited(ms: number, nowMs: number): boolean {
      waitedMs += ms;
      note(nowMs);
      const since = past[0] as (typeof past)[0];
      const missingMs = nowMs - since.atMs - (receivedMs - since.receivedMs);
      return Math.min(missingMs, waitedMs - since.waitedMs) >= longestMs;
    },
  };
}
