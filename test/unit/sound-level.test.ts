import { describe, expect, test } from 'vitest';
import { openSoundLevelMeter } from '../../agent/audio/sound-level.ts';
import { openAWeighting } from '../../agent/audio/weighting.ts';

// IEC 61672-1:2013, table 3: nominal frequency in Hz, A-weighting in dB, acceptance limits of class 1 and class 2 in dB
// (above, below).
const none = Number.NEGATIVE_INFINITY;
const table: [hz: number, a: number, one: [number, number], two: [number, number]][] = [
  [10, -70.4, [3, none], [5, none]],
  [12.5, -63.4, [2.5, none], [5, none]],
  [16, -56.7, [2, -4], [5, none]],
  [20, -50.5, [2, -2], [3, -3]],
  [25, -44.7, [2, -1.5], [3, -3]],
  [31.5, -39.4, [1.5, -1.5], [3, -3]],
  [40, -34.6, [1, -1], [2, -2]],
  [50, -30.2, [1, -1], [2, -2]],
  [63, -26.2, [1, -1], [2, -2]],
  [80, -22.5, [1, -1], [2, -2]],
  [100, -19.1, [1, -1], [1.5, -1.5]],
  [125, -16.1, [1, -1], [1.5, -1.5]],
  [160, -13.4, [1, -1], [1.5, -1.5]],
  [200, -10.9, [1, -1], [1.5, -1.5]],
  [250, -8.6, [1, -1], [1.5, -1.5]],
  [315, -6.6, [1, -1], [1.5, -1.5]],
  [400, -4.8, [1, -1], [1.5, -1.5]],
  [500, -3.2, [1, -1], [1.5, -1.5]],
  [630, -1.9, [1, -1], [1.5, -1.5]],
  [800, -0.8, [1, -1], [1.5, -1.5]],
  [1000, 0, [0.7, -0.7], [1, -1]],
  [1250, 0.6, [1, -1], [1.5, -1.5]],
  [1600, 1, [1, -1], [2, -2]],
  [2000, 1.2, [1, -1], [2, -2]],
  [2500, 1.3, [1, -1], [2.5, -2.5]],
  [3150, 1.2, [1, -1], [2.5, -2.5]],
  [4000, 1, [1, -1], [3, -3]],
  [5000, 0.5, [1.5, -1.5], [3.5, -3.5]],
  [6300, -0.1, [1.5, -2], [4.5, -4.5]],
  [8000, -1.1, [1.5, -2.5], [5, -5]],
  [10000, -2.5, [2, -3], [5, none]],
  [12500, -4.3, [2, -5], [5, none]],
  [16000, -6.6, [2.5, -16], [5, none]],
  [20000, -9.3, [3, none], [5, none]],
];
/** The exact frequency for a nominal one: 1000 * 10^(n/10) Hz. */
const exact = (nominal: number) => 1000 * 10 ** (Math.round(10 * Math.log10(nominal / 1000)) / 10);
const decibels = (power: number) => 10 * Math.log10(2 * power + 1e-30);

/** The settled output level for a full-scale sine, in dB. */
function gainAt(hz: number, sampleRate: number): number {
  const weighting = openAWeighting(sampleRate);
  const settle = Math.round(sampleRate * 0.5);
  const length = Math.round((Math.ceil(hz / 10) * 10 * sampleRate) / hz / 10);
  const whole = Math.round((Math.max(5, Math.floor((length / sampleRate) * hz)) * sampleRate) / hz);
  const samples = Float64Array.from({ length: settle + whole }, (_, i) => Math.sin((2 * Math.PI * hz * i) / sampleRate));
  for (let at = 0; at < samples.length; at += 777) weighting.apply(samples.subarray(at, at + 777));
  return decibels(samples.subarray(settle).reduce((sum, y) => sum + y * y, 0) / whole);
}

describe.each([
  [48000, 1, 20000],
  [44100, 1, 20000],
  [16000, 1, 5000],
] as const)('A-weighting at %i Hz meets class %i up to %i Hz', (sampleRate, grade, top) => {
  test.each(table.filter(([hz]) => hz <= top))('the weighting at %f Hz is %f dB within the limits', (nominal, expected, ...limits) => {
    const [above, below] = limits[grade - 1] as [number, number];
    const deviation = gainAt(exact(nominal), sampleRate) - expected;
    expect(deviation).toBeLessThanOrEqual(above);
    expect(deviation).toBeGreaterThanOrEqual(below);
    // where the bilinear transform does not warp the frequency scale, only the rounding of the table deviates
    if (nominal < sampleRate / 20) expect(Math.abs(deviation)).toBeLessThan(0.15);
  });
});

const rate = 48000;
function sine(hz: number, seconds: number, amplitude = 1): Float32Array {
  return Float32Array.from({ length: Math.round(seconds * rate) }, (_, i) => amplitude * Math.sin((2 * Math.PI * hz * i) / rate));
}

describe('the sound level meter', () => {
  test('reads the true level of a steady 1 kHz sine in every measure', () => {
    const meter = openSoundLevelMeter(rate);
    meter.push(sine(1000, 10, 0.1));
    const { laeqDb, lafDb, lasDb, lafMaxDb, seconds } = meter.levels();
    expect(seconds).toBe(10);
    for (const level of [laeqDb, lafDb, lasDb, lafMaxDb]) expect(Math.abs(level + 20)).toBeLessThan(0.1);
  });

  // IEC 61672-1, table 4: toneburst of 4 kHz, reference 10 lg(1 - exp(-T / tau)), class 1 limits
  test.each([
    [200, 'fast', -1, 0.5, -0.5],
    [50, 'fast', -4.8, 1, -1],
    [10, 'fast', -11.1, 1, -1],
    [2, 'fast', -18, 1, -1.5],
    [500, 'slow', -4.1, 0.5, -0.5],
    [200, 'slow', -7.4, 0.5, -0.5],
    [50, 'slow', -13.1, 1, -1],
    [2, 'slow', -27, 1, -3],
  ] as const)('reads a burst of %i ms with time weighting %s at %f dB relative to the steady tone', (ms, speed, reference, above, below) => {
    const pick = (meter: ReturnType<typeof openSoundLevelMeter>) => (speed === 'fast' ? meter.levels().lafMaxDb : meter.levels().lasMaxDb);
    const steady = openSoundLevelMeter(rate);
    steady.push(sine(4000, 8));
    const burst = openSoundLevelMeter(rate);
    burst.push(new Float32Array(rate));
    burst.push(sine(4000, ms / 1000));
    burst.push(new Float32Array(rate));
    const deviation = pick(burst) - pick(steady) - reference;
    expect(deviation).toBeLessThanOrEqual(above);
    expect(deviation).toBeGreaterThanOrEqual(below);
  });

  test('decays by 34.7 dB/s with weighting F and by 4.3 dB/s with weighting S', () => {
    const meter = openSoundLevelMeter(rate);
    meter.push(sine(4000, 5));
    const before = meter.levels();
    meter.push(new Float32Array(rate));
    const after = meter.levels();
    expect(before.lafDb - after.lafDb).toBeCloseTo(34.7, 0);
    expect(before.lasDb - after.lasDb).toBeCloseTo(4.3, 0);
    expect(after.lafMaxDb).toBeCloseTo(before.lafMaxDb, 1);
  });

  test('measures a quiet step correctly after the energy of months of sound', () => {
    const steps: number[] = [];
    const meter = openSoundLevelMeter(rate, (_fastDb, meanSquare) => void steps.push(meanSquare));
    meter.push(sine(1000, 1, 883)); // one second with the energy of 90 days at -10 dB
    meter.push(sine(1000, 3, 1e-4));
    for (const meanSquare of steps.slice(-8)) expect(decibels(meanSquare)).toBeCloseTo(-80, 1);
    expect(meter.levels().laeqDb).toBeCloseTo(20 * Math.log10(883) - 10 * Math.log10(4), 1);
  });

  test('keeps the maximum of at most the last minute', () => {
    const meter = openSoundLevelMeter(rate);
    meter.push(sine(1000, 1));
    meter.push(sine(1000, 5, 0.01));
    expect(meter.fastMaximum(2)).toBeCloseTo(-40, 0);
    expect(meter.fastMaximum(10)).toBeCloseTo(0, 0);
    for (let i = 0; i < 57; i++) meter.push(sine(1000, 1, 0.01));
    expect(meter.fastMaximum(100), 'of a minute at most').toBeCloseTo(-40, 0);
    expect(openSoundLevelMeter(rate).levels().laeqDb).toBeLessThan(-120);
  });

  test('the maximum includes a blow of the last milliseconds, and the whole of the step in which the time asked for begins', () => {
    const meter = openSoundLevelMeter(rate);
    meter.push(sine(1000, 2, 0.01));
    meter.push(sine(1000, 0.06));
    expect(meter.fastMaximum(0.01)).toBeCloseTo(10 * Math.log10(1 - Math.exp(-0.06 / 0.125)), 0);
    meter.push(sine(1000, 0.065));
    meter.push(new Float32Array(0.25 * rate));
    const atEndOfBlow = 10 * Math.log10(1 - Math.exp(-1));
    expect(meter.fastMaximum(0.2)).toBeCloseTo(atEndOfBlow, 0);
    expect(meter.fastMaximum(0.125)).toBeCloseTo(atEndOfBlow - 4.3, 0);
  });
});
