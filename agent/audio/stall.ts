/**
 * Says when a device gives too little: half of the last two times `silenceSeconds` went by without a sample, while its reader waited in vain.
 * Only what is both counts. A reader that was late, or a board that stood still, has not waited; what comes late but whole is not missing.
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
    /** `count` samples came. */
    arrived(count: number, nowMs: number): void {
      if (receivedMs === 0) past.length = 0; // the time that it took to open is no part of what it gives
      receivedMs += (count / sampleRate) * 1000;
      note(nowMs);
    },
    /** The reader waited for `ms` and nothing came: whether the device is stuck. */
    waited(ms: number, nowMs: number): boolean {
      waitedMs += ms;
      note(nowMs);
      const since = past[0] as (typeof past)[0];
      const missingMs = nowMs - since.atMs - (receivedMs - since.receivedMs);
      return Math.min(missingMs, waitedMs - since.waitedMs) >= longestMs;
    },
  };
}
