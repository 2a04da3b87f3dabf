import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { CaptureError } from '../../agent/audio/capture-error.ts';
import type { Hearing } from '../../agent/audio/hearing.ts';
import { openPcmProcess } from '../../agent/audio/pcm-process.ts';
import { openHealthReport } from '../../agent/delivery/health.ts';
import { openLink } from '../../agent/delivery/link.ts';
import { openLevelHistory } from '../../agent/events/level-history.ts';
import { systemClock } from '../../agent/lib/clock.ts';
import type { MicrophoneFault } from '../../agent/lib/faults.ts';
import { openHearingReport } from '../../agent/outbox/hearing-report.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { fixedClock, limits, silentLogger } from '../support/samples.ts';
import { startSupervised } from '../support/supervised.ts';

const sampleRate = 16000;

function fakeMicrophone(first: string) {
  const control = join(mkdtempSync(join(tmpdir(), 'tocsin-capture-')), 'mode');
  const set = (mode: string) => writeFileSync(control, mode);
  set(first);
  const open = async () =>
    openPcmProcess({
      command: process.execPath,
      args: ['test/support/fake-capture.ts', control, String(sampleRate)],
      channels: 1,
      sampleRate,
      silenceTimeoutSeconds: 2,
      monotonicMs: systemClock().monotonicMs,
      tryHint: 'try',
    });
  return { set, open };
}

const told = (fault: MicrophoneFault, namedMs: number, backMs: number) =>
  process.stdout.write(`${fault}: named after ${(namedMs / 1000).toFixed(1)} s, over ${(backMs / 1000).toFixed(1)} s after the microphone was well again\n`);

describe.concurrent("a fault is detected within 10 s, and sound is heard again within 30 s of the microphone's return", () => {
  test.each<[string, MicrophoneFault]>([
    ['zeros', 'zeros'],
    ['flat', 'flat'],
    ['stuck', 'stuck'],
    ['slow', 'slow'],
    ['fast', 'fast'],
    ['unplugged', 'unplugged'],
  ])('%s', async (mode, fault) => {
    const microphone = fakeMicrophone('sound');
    const supervised = startSupervised(microphone.open, 2);
    await supervised.until('listening', undefined, 30_000);
    microphone.set(mode);
    const named = await supervised.until('deaf', fault, 10_000);
    const before = supervised.latest.hearing?.listenedSeconds as number;
    await new Promise((resolve) => setTimeout(resolve, 3000)); // the fault lasts for a while, and retries fail
    expect(supervised.latest.hearing?.state).toBe('deaf');
    expect(supervised.latest.hearing?.listenedSeconds).toBe(before);
    microphone.set('sound');
    const back = await supervised.until('listening', undefined, 30_000);
    told(fault, named, back);
    expect(supervised.latest.hearing?.opens).toBeGreaterThan(1);
    await supervised.stop();
    expect(supervised.seen.at(-1)).toMatchObject({ state: 'stopped' });
  });

  test.each<[string, MicrophoneFault]>([
    ['absent', 'absent'],
    ['busy', 'busy'],
  ])('%s from the start', async (mode, fault) => {
    const microphone = fakeMicrophone(mode);
    const supervised = startSupervised(microphone.open, 2);
    const named = await supervised.until('deaf', fault, 10_000);
    expect(supervised.latest.hearing?.listenedSeconds).toBe(0);
    microphone.set('sound');
    told(fault, named, await supervised.until('listening', undefined, 30_000));
    await supervised.stop();
  });

  test('clipping is a fault during which the microphone is still heard, without reopening', async () => {
    const microphone = fakeMicrophone('sound');
    const supervised = startSupervised(microphone.open, 2);
    await supervised.until('listening', undefined, 30_000);
    microphone.set('clipped');
    const named = await supervised.until('listening', 'clipped', 10_000);
    microphone.set('sound');
    told('clipped', named, await supervised.until('listening', undefined, 30_000));
    expect(supervised.latest.hearing?.opens).toBe(1);
    await supervised.stop();
  });
});

test('a microphone that fails again after each second of sound is reopened after growing waits', async () => {
  const second = () => ({ firstSample: 0, samples: Float32Array.from({ length: sampleRate }, (_, i) => Math.sin(i)) });
  const supervised = startSupervised(
    async () => ({
      sampleRate,
      dropped: 0,
      async *frames() {
        yield second();
        yield second();
        throw new CaptureError('unplugged', 'Expected sound, got the end', 'try');
      },
    }),
    2,
  );
  const began = performance.now();
  while ((supervised.latest.hearing?.opens ?? 0) < 5) await new Promise((resolve) => setTimeout(resolve, 20));
  expect(performance.now() - began).toBeGreaterThan(5000); // half a second, one, two and four
  await supervised.stop();
  expect(supervised.latest.hearing?.listenedSeconds).toBeGreaterThan(4);
});

test('lost samples are added up over all openings and reach the health message', async () => {
  const losses = [[0, 100, 100, 350], [20, 20, 50, 50], [7]];
  const hint: unknown[] = [];
  const logger = { ...silentLogger, error: (fields: { hint?: string }) => void hint.push(fields.hint) };
  const supervised = startSupervised(
    async () => {
      const lost = losses.shift() ?? [];
      let dropped = 0;
      return {
        sampleRate,
        get dropped() {
          return dropped;
        },
        async *frames(signal) {
          for (dropped of lost) yield { firstSample: 0, samples: Float32Array.from({ length: sampleRate / 8 }, (_, i) => Math.sin(i)) };
          dropped += 3; // known only once no more sound comes
          if (losses.length > 0) throw new CaptureError('unplugged', 'Expected sound, got the end', 'plug it in');
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
        },
      };
    },
    2,
    logger,
  );
  await vi.waitFor(() => expect(supervised.latest.hearing).toMatchObject({ opens: 3, droppedSamples: 350 + 3 + 50 + 3 + 7 }), { timeout: 20_000 });
  await supervised.stop();
  expect(hint).toEqual(['plug it in']); // the same fault is logged once
  const outbox = openSqliteOutbox(join(mkdtempSync(join(tmpdir(), 'tocsin-dropped-')), 'outbox.db'), limits);
  const parts = { outbox, clock: fixedClock(), logger: silentLogger };
  const levels = openLevelHistory(
    () => undefined,
    () => undefined,
  );
  openHearingReport({ ...parts, levels }, { name: 'street', version: '0.1.0' }, 120_000)(supervised.latest.hearing as Hearing);
  const published: string[] = [];
  const publish = async (_topic: string, text: string) => void published.push(text);
  const health = openHealthReport('t/health', '0.1.0', 120_000, { ...parts, link: openLink(() => undefined), board: () => ({}), listenerRuns: () => true });
  health.tick({ lost: new AbortController().signal, close: async () => undefined, publish });
  await vi.waitFor(() => expect(published).toHaveLength(1));
  expect(JSON.parse(published[0] as string).hearing.droppedSamples).toBe(416);
  outbox.close();
});

test('a lower hardware rate and channels in antiphase are each logged once', async () => {
  const warned: unknown[] = [];
  const logger = { ...silentLogger, warn: (...said: unknown[]) => void warned.push(said) };
  const rates = [undefined, 48_000, 8000, 8000];
  const supervised = startSupervised(
    async () => ({
      sampleRate,
      dropped: 0,
      hardwareRate: rates.shift(),
      antiphase: rates.length < 2,
      async *frames(signal) {
        for (let second = 0; second < 2; second++) yield { firstSample: 0, samples: Float32Array.from({ length: sampleRate }, (_, i) => Math.sin(i)) };
        if (rates.length > 0) throw new CaptureError('unplugged', 'Expected sound, got the end', 'try');
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
      },
    }),
    2,
    logger,
  );
  await vi.waitFor(() => expect(supervised.latest.hearing).toMatchObject({ opens: 4, state: 'listening' }), { timeout: 20_000 });
  await supervised.stop();
  expect(warned).toEqual([
    [{ hardwareRate: 8000, sampleRate }, expect.any(String)],
    [{}, expect.stringContaining('in opposite phase')],
  ]);
});

test('an error that is not a microphone fault ends the supervisor', async () => {
  const supervised = startSupervised(async () => {
    throw new RangeError('a defect');
  }, 2);
  await expect(supervised.stop()).rejects.toThrow('a defect');
});
