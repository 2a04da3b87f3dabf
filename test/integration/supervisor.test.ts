import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CaptureError } from '../../agent/audio/capture-error.ts';
import { openPcmProcess } from '../../agent/audio/pcm-process.ts';
import { systemClock } from '../../agent/lib/clock.ts';
import type { MicrophoneFault } from '../../agent/lib/faults.ts';
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
      sampleRate,
      silenceTimeoutSeconds: 2,
      monotonicMs: systemClock().monotonicMs,
      tryHint: 'try',
    });
  return { set, open };
}

const told = (fault: MicrophoneFault, namedMs: number, backMs: number) =>
  process.stdout.write(`${fault}: named after ${(namedMs / 1000).toFixed(1)} s, over ${(backMs / 1000).toFixed(1)} s after the microphone was well again\n`);

describe.concurrent('a fault is named within 10 s, and the microphone heard again within 30 s of its return', () => {
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
    await new Promise((resolve) => setTimeout(resolve, 3000)); // it stays away for a while, and tries fail
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

  test('clipped is a fault that is heard all the same, without opening again', async () => {
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

test('one that works for a second and fails again is not opened ever more often', async () => {
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

test('an error that is not of the microphone is not swallowed', async () => {
  const supervised = startSupervised(async () => {
    throw new RangeError('a defect');
  }, 2);
  await expect(supervised.stop()).rejects.toThrow('a defect');
});
