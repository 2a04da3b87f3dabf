import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openAudioFile } from '../../agent/audio/audio-file.ts';
import type { AudioSource } from '../../agent/audio/frame.ts';
import { openPcmProcess } from '../../agent/audio/pcm-process.ts';
import { systemClock } from '../../agent/lib/clock.ts';
import { shellWord } from '../../agent/lib/shell-word.ts';
import { sampleRate, synthesiseScene, wavFile } from '../demo/synthesise-scene.ts';

const folder = mkdtempSync(join(tmpdir(), 'tocsin-audio-'));
const scene = synthesiseScene().subarray(0, 2 * sampleRate);
writeFileSync(join(folder, 'scene.wav'), wavFile(scene, sampleRate));
writeFileSync(join(folder, 'scene.pcm'), Buffer.from(scene.buffer, scene.byteOffset, scene.byteLength));
const never = () => new AbortController().signal;

const shell = (script: string, silenceTimeoutSeconds = 5): AudioSource =>
  openPcmProcess({
    command: 'sh',
    args: ['-c', script],
    channels: 1,
    sampleRate,
    silenceTimeoutSeconds,
    monotonicMs: systemClock().monotonicMs,
    tryHint: 'try',
  });
const ended = /Expected sh to keep capturing/;

// The process stands in for a microphone: it writes what arecord would write. It cannot show how an unplugged device
// behaves.
const sources: [string, () => Promise<AudioSource>, RegExp | undefined][] = [
  ['audio file', () => openAudioFile(join(folder, 'scene.wav'), sampleRate, 'fast'), undefined],
  ['capture process', async () => shell(`cat ${shellWord(join(folder, 'scene.pcm'))}`), ended],
];

describe.each(sources)('%s', (_name, open, atEnd) => {
  test('yields every sample once, in order, with its index', async () => {
    const source = await open();
    const heard: number[] = [];
    const reading = (async () => {
      for await (const { samples, firstSample } of source.frames(never())) {
        expect(firstSample).toBe(heard.length);
        heard.push(...samples);
      }
    })();
    if (atEnd) await expect(reading).rejects.toThrow(atEnd);
    else await reading;
    expect(heard.length).toBe(scene.length);
    for (let i = 0; i < heard.length; i += 97) expect(heard[i]).toBeCloseTo((scene[i] as number) / 32768, 3);
    expect(source.dropped).toBe(0);
  });

  test('overwrites handed-out samples with zeros when the next frame is requested and when the reader fails', async () => {
    const handed: Float32Array[] = [];
    const reading = (async () => {
      for await (const { samples } of (await open()).frames(never())) {
        expect(samples.some((sample) => sample !== 0)).toBe(true);
        expect(handed.every((earlier) => earlier.every((sample) => sample === 0))).toBe(true);
        if (handed.push(samples) === 2) throw new Error('the reader fails');
      }
    })();
    await expect(reading).rejects.toThrow(/the reader fails/);
    expect(handed.every((samples) => samples.every((sample) => sample === 0))).toBe(true);
  });

  test('stops without an error when aborted', async () => {
    const stop = new AbortController();
    let frames = 0;
    for await (const _frame of (await open()).frames(stop.signal)) {
      frames++;
      stop.abort();
    }
    expect(frames).toBeGreaterThan(0);
  });
});

async function drain(source: AudioSource): Promise<void> {
  for await (const _frame of source.frames(never()));
}

test('a capture process that exits, stalls or reports an overrun ends with an error that names the cause and fault', async () => {
  await expect(drain(shell('echo device busy >&2; exit 3'))).rejects.toThrow(/exit 3 \(device busy\)/);
  await expect(drain(shell('kill -ABRT $$'))).rejects.toThrow(/exit SIGABRT/);
  await expect(drain(shell('exec sleep 60', 0.2))).rejects.toThrow(/no sound for 0.2 s/);
  await expect(drain(shell("echo 'read error: Input/output error' >&2"))).rejects.toMatchObject({ fault: 'failed' });
  await expect(drain(shell("head -c 3200 /dev/urandom; echo 'read error: Input/output error' >&2"))).rejects.toMatchObject({ fault: 'unplugged' });
  await expect(drain(shell("echo 'audio open error: Device or resource busy' >&2; exit 1"))).rejects.toMatchObject({ fault: 'busy' });
  await expect(drain(shell("echo 'audio open error: No such device' >&2; exit 1"))).rejects.toMatchObject({ fault: 'absent' });
  const search = "for n in 1 2 3 4 5 6 7 8; do echo 'ALSA lib confmisc.c:1342:(snd_func_refer) error evaluating name' >&2; done";
  const words = "echo 'arecord: main:831: audio open error: No such file or directory' >&2; exit 1";
  await expect(drain(shell(`${search}; ${words}`))).rejects.toThrow(/exit 1 \(arecord: main:831: audio open error: No such file or directory\)$/);
  await expect(drain(shell(`${search}; exit 1`))).rejects.toThrow(/exit 1 \(ALSA lib .* evaluating name\)$/);
  const overrun = shell("head -c 3200 /dev/urandom; echo 'overrun!!! (at least 250.000 ms long)' >&2; head -c 3200 /dev/urandom");
  await expect(drain(overrun)).rejects.toThrow();
  expect(overrun.dropped).toBe(0.25 * sampleRate);
  await expect(
    drain(openPcmProcess({ command: '/no/arecord', args: [], channels: 1, sampleRate, silenceTimeoutSeconds: 1, monotonicMs: () => 0, tryHint: '' })),
  ).rejects.toThrow(/ENOENT/);
});

test('a capture that cannot start is the retryable fault `failed` and leaks no file descriptor per attempt', async () => {
  const open = () => readdirSync('/proc/self/fd').length;
  const never = () =>
    drain(openPcmProcess({ command: 'arecord', args: ['\0'], channels: 1, sampleRate, silenceTimeoutSeconds: 1, monotonicMs: () => 0, tryHint: 'try' }));
  await expect(never()).rejects.toMatchObject({ fault: 'failed', message: expect.stringContaining('Expected to start arecord, got:') });
  const before = open();
  for (let i = 0; i < 20; i++) await expect(never()).rejects.toThrow();
  expect(open()).toBeLessThan(before + 5);
});

test('a file that is not audio is refused by name', async () => {
  writeFileSync(join(folder, 'junk.wav'), 'not sound at all');
  await expect(openAudioFile(join(folder, 'junk.wav'), sampleRate, 'fast')).rejects.toThrow(/Expected a wav, flac, ogg or mp3 file at .*junk.wav/);
  await expect(openAudioFile('/nowhere.wav', sampleRate, 'fast')).rejects.toThrow(/ENOENT/);
});

test('the committed scene.flac matches the output of the synthesis script', async () => {
  const source = await openAudioFile('test/demo/scene.flac', sampleRate, 'fast');
  const expected = synthesiseScene();
  let at = 0;
  for await (const { samples } of source.frames(never()))
    for (const sample of samples) expect(Math.abs(Math.round(sample * 32768) - (expected[at++] as number))).toBeLessThanOrEqual(1);
  expect(at).toBe(expected.length);
  expect(readFileSync('test/demo/scene.flac').length).toBeLessThan(500_000);
});
