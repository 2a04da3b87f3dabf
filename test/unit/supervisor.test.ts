import { expect, test, vi } from 'vitest';
import { CaptureError } from '../../agent/audio/capture-error.ts';
import type { AudioSource } from '../../agent/audio/frame.ts';
import type { Hearing } from '../../agent/audio/hearing.ts';
import { superviseMicrophone } from '../../agent/audio/supervisor.ts';
import { fixedClock, silentLogger } from '../support/samples.ts';

const sampleRate = 16000;
vi.mock('../../agent/lib/sleep.ts', () => import('../support/timed-sleep.ts'));

/** Runs a supervisor over frames of 100 ms, on a clock advanced by them, until the frames end. */
async function supervised(
  frames: number,
  sound: (frame: number) => Float32Array,
  end = (stop: AbortController) => stop.abort(),
  atFullScale?: number,
  busy = false,
  once = false,
) {
  let opens = 0;
  const stop = new AbortController();
  let nowMs = 0;
  const changes: string[] = [];
  const atSeconds: number[] = [];
  let latest: Hearing | undefined;
  let frame = 0;
  const source = (): AudioSource => ({
    sampleRate,
    dropped: 0,
    async *frames() {
      for (let firstSample = 0; frame < frames; frame++) {
        nowMs += 100;
        const samples = sound(frame);
        yield atFullScale === undefined ? { samples, firstSample } : { samples, firstSample, atFullScale };
        firstSample += samples.length;
      }
      end(stop);
    },
  });
  const parts = { clock: fixedClock({ monotonicMs: () => nowMs }), logger: silentLogger, random: () => 0, silenceSeconds: 5, once };
  await superviseMicrophone(
    {
      ...parts,
      async open() {
        if (busy && ++opens % 2 === 0) throw new CaptureError('busy', 'Expected the microphone, got: busy', 'close the other program');
        return source();
      },
      async use(watched, signal) {
        for await (const { samples } of watched.frames(signal)) samples.fill(0);
      },
      report(hearing) {
        latest = { ...hearing };
        const kind = `${hearing.state} ${hearing.fault ?? ''}`.trim();
        if (kind === changes.at(-1)) return;
        changes.push(kind);
        atSeconds.push(nowMs / 1000);
      },
    },
    stop.signal,
  );
  return { changes, atSeconds, latest: latest as Hearing, elapsedSeconds: nowMs / 1000 };
}

test('the short pauses of a clipped microphone count as heard', async () => {
  const [loud, pause] = [(_: unknown, i: number) => (i % 2 ? 32767 / 32768 : -1), () => 0];
  const { changes, latest, elapsedSeconds } = await supervised(600, (frame) => Float32Array.from({ length: sampleRate / 10 }, frame % 10 < 6 ? loud : pause));
  expect(changes).toEqual(['starting', 'listening', 'listening clipped', 'stopped clipped']);
  expect(latest.listenedSeconds).toBeCloseTo(elapsedSeconds - 0.4, 1); // the last pause has not ended
  expect(latest.opens).toBe(1);
});

test.each([
  [0.985, 'slow'],
  [1.015, 'fast'],
])(
  'a rate of %f of what it should be keeps the microphone deaf over reopenings; it is heard again within 30 s after the rate is right',
  async (factor, fault) => {
    const samples = (share: number) => Float32Array.from({ length: (share * sampleRate) / 10 }, (_, i) => Math.sin(i));
    const { changes, atSeconds, latest, elapsedSeconds } = await supervised(4000, (frame) => samples(frame < 2520 ? factor : 1));
    expect(changes).toEqual(['starting', 'listening', `deaf ${fault}`, 'listening', 'stopped']);
    expect(atSeconds[3]).toBeLessThan(252 + 30);
    // heard time is the minute until the fault was found, the last attempt, in which the rate became right, and what
    // followed
    expect(latest.listenedSeconds).toBeLessThan(elapsedSeconds - 170);
    expect(latest.opens).toBeGreaterThan(1);
    expect(latest.opens).toBeLessThan(8);
  },
);

test('a rate off by 1.5 % stays a fault, even if another fault occurs between two openings', async () => {
  const slow = () => Float32Array.from({ length: 0.0985 * sampleRate }, (_, i) => Math.sin(i));
  const { latest, elapsedSeconds } = await supervised(6000, slow, undefined, undefined, true);
  expect(elapsedSeconds).toBeGreaterThan(600);
  expect(latest.listenedSeconds).toBeLessThan(62);
});

test('repeated loss of sound is logged when it begins and when it ends', async () => {
  let [nowMs, dropped] = [0, 0];
  const stop = new AbortController();
  const told: string[] = [];
  const tell = (figures: object, message: string) => void told.push(`${nowMs / 1000} s ${JSON.stringify(figures)} ${message.slice(0, 20)}`);
  const source: AudioSource = {
    sampleRate,
    get dropped() {
      return dropped;
    },
    async *frames() {
      for (let firstSample = 0; nowMs < 300_000; firstSample += sampleRate) {
        nowMs += 1000;
        if (nowMs === 30_000) dropped += 8000; // a single loss
        if (nowMs > 70_000 && nowMs <= 150_000) dropped += sampleRate / 2;
        if (nowMs === 250_000) dropped += 0.7 * sampleRate; // a little over 1 % of a minute
        yield { samples: Float32Array.from({ length: sampleRate }, (_, i) => Math.sin(i)), firstSample: firstSample + dropped };
      }
      stop.abort();
    },
  };
  const clock = fixedClock({ monotonicMs: () => nowMs });
  const use = async (watched: AudioSource, signal: AbortSignal) => {
    for await (const { samples } of watched.frames(signal)) samples.fill(0);
  };
  const logger = { ...silentLogger, warn: tell, info: tell };
  await superviseMicrophone(
    { open: async () => source, use, report: () => undefined, clock, logger, random: () => 0, silenceSeconds: 5, once: true },
    stop.signal,
  );
  expect(told.filter((line) => line.includes('lost'))).toEqual([
    '120 s {"lostSeconds":25,"ofSeconds":60} sound is lost: is th',
    '240 s {"lostSeconds":0,"ofSeconds":60} almost no sound is l',
    '300 s {"lostSeconds":0.7,"ofSeconds":60} sound is lost: is th',
  ]);
});

test('a recorder that stops just before the listener is no fault', async () => {
  const { changes } = await supervised(
    30,
    () => Float32Array.from({ length: sampleRate / 10 }, (_, i) => Math.sin(i)),
    (stop) => {
      setTimeout(() => stop.abort(), 20);
      throw new CaptureError('failed', 'Expected it to keep capturing, got: exit 1', 'look at the log');
    },
  );
  expect(changes).toEqual(['starting', 'listening', 'stopped']);
});

test('clipping in one of two channels is reported, even if the mean of both is not at full scale', async () => {
  const half = () => Float32Array.from({ length: sampleRate / 10 }, (_, i) => (i % 2 ? 0.5 : -0.5));
  expect((await supervised(200, half, undefined, sampleRate / 10)).changes).toEqual(['starting', 'listening', 'listening clipped', 'stopped clipped']);
  expect((await supervised(200, half, undefined, 0)).changes).toEqual(['starting', 'listening', 'stopped']);
});

test('an error that is not a microphone fault ends the supervisor without a retry', async () => {
  const failing = supervised(
    5,
    () => Float32Array.from({ length: sampleRate / 10 }, (_, i) => Math.sin(i)),
    () => {
      throw new Error('the model fails');
    },
  );
  await expect(failing).rejects.toThrow('the model fails');
});

test('a file is heard once: zeros are no fault, and an error is thrown and not retried', async () => {
  const zeros = () => new Float32Array(sampleRate / 10);
  const { changes, latest } = await supervised(100, zeros, () => undefined, undefined, false, true);
  expect(changes).toEqual(['starting', 'stopped']);
  expect(latest.opens).toBe(1);
  const damaged = new CaptureError('failed', 'Expected a whole file, got a part', 'copy it again');
  const failing = supervised(
    5,
    zeros,
    () => {
      throw damaged;
    },
    undefined,
    false,
    true,
  );
  await expect(failing).rejects.toBe(damaged);
});

test('the journal has each reason of a fault once until the microphone is heard, and no more than a few where each is another', async () => {
  const reasons: unknown[] = [];
  const logger = { ...silentLogger, error: (fields: object) => void reasons.push((fields as { reason?: string }).reason) };
  let nowMs = 0;
  const heard: AudioSource = {
    sampleRate,
    dropped: 0,
    async *frames() {
      for (let firstSample = 0; firstSample < 2 * sampleRate; firstSample += 1600, nowMs += 100)
        yield { samples: Float32Array.from({ length: 1600 }, (_, i) => Math.sin(i) / 10), firstSample };
    },
  };
  /** Opens the microphone once for each of these: the reason why it cannot be opened, or 'heard'. */
  const run = async (attempts: readonly string[]) => {
    reasons.length = 0;
    const stop = new AbortController();
    let next = 0;
    await superviseMicrophone(
      {
        ...{ clock: fixedClock({ monotonicMs: () => nowMs }), logger, random: () => 0, silenceSeconds: 5, report: () => undefined },
        async open() {
          const reason = attempts[next++];
          if (reason === undefined) stop.abort();
          if (reason === 'heard') return heard;
          throw new CaptureError('failed', `${reason}`, 'see dmesg');
        },
        async use(source, signal) {
          for await (const { samples } of source.frames(signal)) samples.fill(0);
        },
      },
      stop.signal,
    );
    return [...reasons];
  };
  expect(await run(['SIGKILL', 'EAGAIN', 'EAGAIN', 'SIGKILL', 'heard', 'SIGKILL', 'EAGAIN'])).toEqual(['SIGKILL', 'EAGAIN', 'SIGKILL', 'EAGAIN']);
  expect(await run(Array.from({ length: 9 }, (_, i) => `exit ${i}`))).toHaveLength(8);
});

test('a microphone that is away for hours is tried again each 8 s at most, and the figures are reported each second meanwhile', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'], now: 0 });
  const stop = new AbortController();
  const [opened, reported]: number[][] = [[], []];
  const ended = superviseMicrophone(
    {
      ...{ clock: fixedClock({ monotonicMs: () => Date.now() }), logger: silentLogger, random: () => 1, silenceSeconds: 5 },
      async open() {
        opened?.push(Date.now());
        throw new CaptureError('absent', 'Expected the microphone, got nothing', 'plug it in');
      },
      use: async () => undefined,
      report: () => void reported?.push(Date.now()),
    },
    stop.signal,
  );
  await vi.advanceTimersByTimeAsync(2 * 3_600_000);
  stop.abort();
  await ended;
  vi.useRealTimers();
  const between = (times: number[] = []) => times.slice(1).map((ms, i) => ms - (times[i] as number));
  expect(between(opened).slice(0, 6)).toEqual([600, 1100, 2100, 4100, 8100, 8100]); // a tenth of a second to see whether all is stopped
  expect(Math.max(...between(opened))).toBe(8100);
  expect(Math.max(...between(reported))).toBeLessThan(1200);
});
