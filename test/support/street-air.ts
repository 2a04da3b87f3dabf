// The sound of a street, in its own process: node street-air.ts PIPE... Wind all the time, and the test sound while
// its parent says so. Like a sound card, it gives each pipe the sound from the moment that a reader opens it.
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { openAudioFile } from '../../agent/audio/audio-file.ts';
import { seededRandom } from './random.ts';

const rate = 48_000;
const period = rate / 8; // what arecord requests at once: ALSA's file device fills a shorter answer with silence
const patienceMs = 2000; // a reader that takes nothing for longer is stuck, and sound is lost
const sound: number[] = [];
for await (const { samples } of (await openAudioFile('deploy/selftest.wav', rate, 'fast')).frames(new AbortController().signal)) sound.push(...samples);
const random = seededRandom(1);
let sounding = false;
let at = 0;
let made = 0;
const began = performance.now();
process.on('message', (message: { sounding: boolean }) => {
  sounding = message.sounding;
});
process.on('disconnect', () => process.exit());

/** Fills a pipe while it has a reader. */
function openEar(path: string): (pcm: Buffer) => void {
  let pipe: number | undefined;
  let waiting: Buffer = Buffer.alloc(0);
  let taken = 0;
  return (pcm) => {
    try {
      if (pipe === undefined) {
        pipe = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
        waiting = Buffer.alloc(0);
        taken = performance.now();
      }
      waiting = performance.now() - taken > patienceMs ? pcm : Buffer.concat([waiting, pcm]);
      waiting = waiting.subarray(writeSync(pipe, waiting));
      taken = performance.now();
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      if (code === 'EPIPE' && pipe !== undefined) {
        closeSync(pipe);
        pipe = undefined;
      } else if (code !== 'EAGAIN' && code !== 'ENXIO') throw cause; // ENXIO: no reader
    }
  };
}

const ears = process.argv.slice(2).map(openEar);
setInterval(() => {
  const due = Math.floor(((performance.now() - began) * rate) / 1000) - made;
  if (due < period) return;
  made += period;
  const samples = Int16Array.from({ length: period }, () => {
    if (!sounding) at = 0;
    const heard = sounding ? (sound[at++ % sound.length] as number) : 0;
    return Math.round(Math.max(-1, Math.min(1, heard + (random() - 0.5) * 0.002)) * 32767);
  });
  for (const hear of ears) hear(Buffer.from(samples.buffer));
}, 20);
