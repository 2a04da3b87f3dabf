// Reads 16-bit sound as from a microphone, more slowly than it arrives, and ends as told: node slow-reader.ts SCRIPT
// [whole | leaves | throws | refuses] [CHANNELS]. Prints the number of samples read, and waits.
import { setTimeout as delay } from 'node:timers/promises';
import { openPcmProcess } from '../../agent/audio/pcm-process.ts';

const [script = '', ending = 'whole', channels = '1'] = process.argv.slice(2);
const microphone = openPcmProcess({
  command: 'sh',
  args: ['-c', script],
  channels: channels === '2' ? 2 : 1,
  sampleRate: 48_000,
  silenceTimeoutSeconds: 30,
  monotonicMs: () => performance.now(),
  tryHint: 'none',
  verify: () => {
    if (ending === 'refuses') throw new Error('another microphone');
  },
});
let samples = 0;
let chunks = 0;
try {
  for await (const frame of microphone.frames(new AbortController().signal)) {
    samples += frame.samples.length;
    await delay(20);
    if (++chunks === 3 && ending === 'leaves') break;
    if (chunks === 3 && ending === 'throws') throw new Error('the reader fails');
  }
} catch (error) {
  if (!/exit 0|the reader fails|another microphone/.test(String(error))) throw error;
}
console.log(`${samples} samples`);
setInterval(() => undefined, 1000);
