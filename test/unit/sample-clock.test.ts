import { expect, test } from 'vitest';
import type { AudioFrame, AudioSource } from '../../agent/audio/frame.ts';
import { openSampleClock } from '../../agent/audio/sample-clock.ts';
import { superviseMicrophone } from '../../agent/audio/supervisor.ts';
import { seededRandom } from '../support/random.ts';
import { fixedClock, silentLogger } from '../support/samples.ts';

const sampleRate = 80; // few samples, many seconds
const length = sampleRate / 2;
const seconds = 6 * 3600;
const sound = Float32Array.from({ length }, (_, i) => Math.sin(i));
const stillness = new Float32Array(length).fill(0.1);

interface Device {
  /** By how many parts per million the crystal is fast. */
  ppm: number;
  /** For how long the reader is delayed at this second; sound that comes meanwhile is buffered. */
  late?: (second: number) => number;
  /** Seconds of sound lost before this second, and counted as lost. */
  lost?: (second: number) => number;
  /** Whether the signal is constant at this second, as behind a noise gate. */
  still?: (second: number) => boolean;
}

/** A device on a simulated clock, read for six hours with some jitter. */
function device({ ppm, late = () => 0, lost = () => 0, still = () => false }: Device) {
  const time = { ms: 50_000 };
  const random = seededRandom(1);
  let lostSeconds = 0;
  async function* frames(): AsyncGenerator<AudioFrame> {
    let firstSample = 0;
    for (let i = 1; i <= 2 * seconds; i++) {
      const second = i / 2;
      const gap = Number.isInteger(second) ? lost(second) : 0;
      lostSeconds += gap;
      firstSample += gap * sampleRate;
      const thereMs = 50_000 + ((firstSample + length) / sampleRate / (1 + ppm / 1e6)) * 1000;
      time.ms = Math.max(time.ms, thereMs + 40 * random()); // buffered sound arrives at once
      yield { samples: still(second) ? stillness : sound, firstSample };
      firstSample += length;
      time.ms += (Number.isInteger(second) ? late(second) : 0) * 1000;
    }
  }
  const source: AudioSource = { sampleRate, dropped: 0, frames };
  return { time, source, lostSeconds: () => lostSeconds };
}

const hourly = (value: number) => (second: number) => (second % 3600 === 1800 ? value : 0);
const cases: [string, Omit<Device, 'ppm'>][] = [
  ['nothing else', {}],
  ['a board that is 1.5 s late each hour', { late: hourly(1.5) }],
  ['4 s lost each hour', { lost: hourly(4) }],
  ['pauses of 3 s without variation each minute', { still: (second) => second % 60 >= 30 && second % 60 < 33 }],
];

test.each(cases.flatMap(([what, how]) => [0, 100, -100, 500, -500].map((ppm) => ({ what, how, ppm }))))(
  'listened plus lost time equals the elapsed six hours, with a crystal off by $ppm ppm and $what',
  async ({ how, ppm }) => {
    const { time, source, lostSeconds } = device({ ppm, ...how });
    let listened = 0;
    await superviseMicrophone(
      {
        open: async () => source,
        async use(of, signal) {
          for await (const _ of of.frames(signal));
        },
        report: (hearing) => {
          listened = hearing.listenedSeconds;
        },
        clock: fixedClock({ monotonicMs: () => time.ms }),
        logger: silentLogger,
        random: () => 1,
        silenceSeconds: 5,
        once: true,
      },
      new AbortController().signal,
    );
    const elapsed = (time.ms - 50_000) / 1000;
    expect(elapsed).toBeGreaterThan(seconds - 20);
    expect(Math.abs(listened + lostSeconds() - elapsed)).toBeLessThan(0.5);
  },
);

test.each([0, 100, -100, 500, -500])(
  'each sample is placed within 0.1 s, with a crystal off by %i ppm and a reader that is late, once for a minute',
  async (ppm) => {
    const { time, source } = device({ ppm, late: hourly(1.5) });
    const clock = openSampleClock(sampleRate);
    const behindMs = (second: number) => (second % 3600 >= 600 && second % 3600 < 660 ? 500 : 0);
    let worst = 0;
    for await (const frame of source.frames(new AbortController().signal)) {
      const end = (frame.firstSample + length) / sampleRate;
      const placedMs = clock.arrived(frame, time.ms + behindMs(end)) + end * 1000;
      worst = Math.max(worst, Math.abs(placedMs - (50_000 + (end / (1 + ppm / 1e6)) * 1000)));
    }
    expect(worst).toBeLessThan(100);
  },
);
