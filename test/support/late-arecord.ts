// Stands in for arecord with a late reader: 16-bit mono in periods of 125 ms, with half a second buffered in the
// device. Later sound is lost and reported in arecord's words once the reader continues; the sound goes on with what
// arrives then: node late-arecord.ts RATE. It cannot show how long a driver's own buffer is.
import { writeSync } from 'node:fs';

const rate = Number(process.argv[2]);
const period = new Int16Array(rate / 8).map((_, i) => (i % 100) - 50);
const pcm = Buffer.from(period.buffer);
const never = new Int32Array(new SharedArrayBuffer(4));
let dueMs = performance.now();
for (;;) {
  dueMs += 125;
  const early = dueMs - performance.now();
  if (early > 0) Atomics.wait(never, 0, 0, early);
  for (let at = 0; at < pcm.length; ) at += writeSync(1, pcm, at);
  const lateMs = performance.now() - dueMs;
  if (lateMs < 500) continue;
  writeSync(2, `overrun!!! (at least ${lateMs.toFixed(3)} ms long)\n`);
  dueMs += lateMs;
}
