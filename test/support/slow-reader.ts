// Reads 16-bit sound as from a microphone, more slowly than it comes: node slow-reader.ts SCRIPT [CHUNKS]. Each chunk is overwritten, as by the
// listener. Says how much it has read, and waits.
import { setTimeout as delay } from 'node:timers/promises';
import { openPcmProcess } from '../../agent/audio/pcm-process.ts';

const [script = '', chunks = 'Infinity'] = process.argv.slice(2);
const microphone = openPcmProcess({
  command: 'sh',
  args: ['-c', script],
  sampleRate: 48_000,
  silenceTimeoutSeconds: 30,
  monotonicMs: () => performance.now(),
  tryHint: 'none',
});
let samples = 0;
let left = Number(chunks);
try {
  for await (const frame of microphone.frames(new AbortController().signal)) {
    samples += frame.samples.length;
    frame.samples.fill(0);
    await delay(20);
    if (--left === 0) break;
  }
} catch (error) {
  if (!/exit 0/.test(String(error))) throw error;
}
console.log(`${samples} samples`);
setInterval(() => undefined, 1000);
