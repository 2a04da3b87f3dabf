import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openLevelMeter } from '../../agent/audio/level.ts';
import { openResampler } from '../../agent/audio/resample.ts';
import { parseDevices } from '../../agent/cli/devices.ts';
import { backoffMs } from '../../agent/lib/backoff.ts';
import { seededRandom } from '../support/random.ts';

function sine(frequency: number, rate: number, seconds: number, amplitude = 0.5): Float32Array {
  return Float32Array.from({ length: rate * seconds }, (_, i) => amplitude * Math.sin((2 * Math.PI * frequency * i) / rate));
}

function resample(x: Float32Array, from: number, chunk: number): Float32Array {
  const resampler = openResampler(from, 16000);
  const parts: number[] = [];
  for (let i = 0; i < x.length; i += chunk) parts.push(...resampler.push(x.slice(i, i + chunk)));
  return Float32Array.from(parts);
}
const rms = (x: Float32Array) => Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length);

test.each([44100, 48000])('a tone resampled from %i Hz stays the same tone, whatever the chunk size', (rate) => {
  const out = resample(sine(1000, rate, 1), rate, 1237);
  const expected = sine(1000, 16000, 1);
  expect(out.length).toBeGreaterThan(15900);
  let worst = 0;
  for (let i = 100; i < out.length - 100; i++) worst = Math.max(worst, Math.abs((out[i] as number) - (expected[i] as number)));
  expect(worst).toBeLessThan(0.005);
  expect(resample(sine(1000, rate, 1), rate, rate)).toEqual(out);
});

test('the resampler removes frequencies above the lower Nyquist limit instead of aliasing them', () => {
  expect(rms(resample(sine(10000, 48000, 1), 48000, 4800).subarray(200, 15000))).toBeLessThan(0.001);
});

test('a tone 20 dB above a quiet minute is reported as 20 dB above background', () => {
  const meter = openLevelMeter(16000);
  meter.push(sine(500, 16000, 60, 0.01));
  meter.push(sine(500, 16000, 1, 0.1));
  expect(meter.aboveBackgroundDb(1)).toBeCloseTo(20, 0);
});

test('an offset of the converter is no sound: the levels are those without it', () => {
  for (const offset of [0, 0.05, -0.05]) {
    const told: number[] = [];
    const meter = openLevelMeter(16000, (decibels) => void told.push(decibels));
    const hear = (amplitude: number, seconds: number) => meter.push(sine(500, 16000, seconds, amplitude).map((sample) => sample + offset));
    hear(0.001, 60);
    hear(0.1, 0.2);
    expect(told.at(-2)).toBeCloseTo(-60, 1);
    expect(meter.aboveBackgroundDb(0.2)).toBeCloseTo(40, 1);
  }
});

test('the level is reported every 125 ms, and the background covers the last minute', () => {
  const told: number[] = [];
  const meter = openLevelMeter(16000, (decibels) => void told.push(decibels));
  const hear = (amplitude: number, seconds: number) => meter.push(sine(1000, 16000, seconds, amplitude));
  hear(0.001, 60);
  hear(0.01, 0.1);
  expect(told).toHaveLength(480);
  hear(0.01, 53.9);
  expect(meter.aboveBackgroundDb(1)).toBeCloseTo(20, 1); // a tenth of the last minute is still quiet
  hear(0.01, 0.5);
  expect(meter.aboveBackgroundDb(1)).toBeCloseTo(0, 1);
  expect(told.map(Math.round)).toEqual([...Array(480).fill(-60), ...Array(436).fill(-40)]);
});

test('an incomplete level step is averaged over its full 125 ms', () => {
  const meter = openLevelMeter(16000);
  meter.push(sine(500, 16000, 10, 0.01));
  meter.push(sine(500, 16000, 1, 0.5).subarray(0, 32)); // 2 ms: 18 dB less over 125 ms
  expect(meter.aboveBackgroundDb(0.125)).toBeCloseTo(20 * Math.log10(0.5 / 0.01) - 10 * Math.log10(62.5), 1);
});

test('backoff grows to its cap, with jitter, and never to zero', () => {
  expect(backoffMs(0, () => 0)).toBe(250);
  expect(backoffMs(3, () => 1)).toBe(4000);
  expect(backoffMs(50, () => 1)).toBe(60_000);
  expect(backoffMs(3, () => 0.5)).toBe(2125);
});

test('the first retry waits of 1,000 sensors are spread: no tenth of the interval holds 150 or more', () => {
  const random = seededRandom(7);
  const waits = Array.from({ length: 1000 }, () => backoffMs(0, random));
  const parts = Array.from({ length: 10 }, (_, part) => waits.filter((ms) => Math.floor((ms - 250) / 25) === part).length);
  expect(Math.max(...parts)).toBeLessThan(150);
});

test('`devices` lists only names that survive a reboot', () => {
  const listing =
    'null\n    Discard all samples\nhw:1,0\n    USB\nplughw:CARD=Device,DEV=0\n    USB PnP Sound Device, USB Audio\n    Hardware device with all software conversions\n';
  expect(parseDevices(listing)).toEqual([{ device: 'plughw:CARD=Device,DEV=0', description: 'USB PnP Sound Device, USB Audio' }]);
});

test('`devices` suggests installing alsa-utils only if arecord is absent', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-devices-'));
  const run = () => spawnSync(process.execPath, ['agent/main.ts', 'devices'], { encoding: 'utf8', env: { PATH: folder } });
  expect(run()).toMatchObject({ status: 4, stderr: expect.stringMatching(/got: spawn arecord ENOENT\nTry: sudo apt install alsa-utils\n$/) });
  writeFileSync(join(folder, 'arecord'), '#!/bin/sh\necho cannot open >&2; exit 1\n', { mode: 0o755 });
  expect(run()).toMatchObject({ status: 4, stderr: expect.stringMatching(/cannot open\nTry: arecord -L by hand shows the same\n$/) });
});
