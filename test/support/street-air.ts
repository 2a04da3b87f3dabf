// The air of a street, in a process of its own: node street-air.ts PIPE. Wind for ever, and the test sound while its parent says so.
import { constants, openSync, writeSync } from 'node:fs';
import { openAudioFile } from '../../agent/audio/audio-file.ts';
import { seededRandom } from './random.ts';

const rate = 48_000;
const patienceMs = 2000; // a reader that takes nothing for longer is gone, and sound is lost
const [, , path = ''] = process.argv;
const sound: number[] = [];
for await (const { samples } of (await openAudioFile('deploy/selftest.wav', rate, 'fast')).frames(new AbortController().signal)) sound.push(...samples);
// opened for reading too: a pipe without a reader is then full, not broken
const pipe = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
const random = seededRandom(1);
let sounding = false;
let at = 0;
let waiting = Buffer.alloc(0);
let made = 0;
const began = performance.now();
let taken = began;
process.on('message', (message: { sounding: boolean }) => {
  sounding = message.sounding;
});
process.on('disconnect', () => process.exit());

setInterval(() => {
  const due = Math.floor(((performance.now() - began) * rate) / 1000) - made;
  made += due;
  const samples = Int16Array.from({ length: due }, () => {
    if (!sounding) at = 0;
    const heard = sounding ? (sound[at++ % sound.length] as number) : 0;
    return Math.round(Math.max(-1, Math.min(1, heard + (random() - 0.5) * 0.002)) * 32767);
  });
  waiting = performance.now() - taken > patienceMs ? Buffer.from(samples.buffer) : Buffer.concat([waiting, Buffer.from(samples.buffer)]);
  try {
    waiting = waiting.subarray(writeSync(pipe, waiting));
    taken = performance.now();
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EAGAIN') throw cause;
  }
}, 20);
