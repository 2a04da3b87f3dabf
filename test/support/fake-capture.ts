// Stands in for arecord: 16-bit samples on stdout in real time, in the mode that the given file names: `sound zeros
// flat clipped slow fast stuck absent busy unplugged`. It cannot show what a driver or a USB hub does, only arecord's
// output and error messages.
import { readFileSync } from 'node:fs';

const control = process.env.FAKE_CAPTURE ?? process.argv[2] ?? '';
const rate = Number(process.env.FAKE_RATE ?? process.argv[3] ?? 16000);
const channels = Number(process.env.FAKE_CHANNELS ?? 1);
const mode = () => readFileSync(control, 'utf8').trim();
const die = (words: string) => {
  process.stderr.write(`arecord: ${words}\n`);
  process.exit(1);
};
if (mode() === 'busy') die('main:831: audio open error: Device or resource busy');
if (mode() === 'absent' || mode() === 'unplugged') die('main:831: audio open error: No such file or directory');

let written = 0;
let due = 0;
let last = performance.now();
let state = 1;
const parent = process.ppid;
setInterval(() => {
  if (process.ppid !== parent) process.exit(0); // a stuck one writes nothing and would not notice that its reader has ended
  const now = mode();
  if (now === 'unplugged' || now === 'absent') die('pcm_read:2221: read error: Input/output error');
  const elapsed = (performance.now() - last) / 1000;
  last += elapsed * 1000;
  if (now === 'stuck') return;
  due += elapsed * rate * (now === 'slow' ? 0.85 : now === 'fast' ? 1.15 : 1);
  const count = Math.floor(due - written);
  written += count;
  const pcm = Buffer.alloc(count * channels * 2);
  for (let i = 0; i < count; i++) {
    state = (state * 48271) % 2147483647;
    const noise = Math.round((state / 2147483647 - 0.5) * 2000);
    const sample = now === 'zeros' ? 0 : now === 'flat' ? 345 : now === 'clipped' ? (noise > 0 ? 32767 : -32768) : noise;
    for (let c = 0; c < channels; c++) pcm.writeInt16LE(sample, (i * channels + c) * 2);
  }
  process.stdout.write(pcm);
}, 125);
process.stdout.on('error', () => process.exit(0));
