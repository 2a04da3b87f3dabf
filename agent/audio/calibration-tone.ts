/**
 * What a stretch of sound says about the 1 kHz tone of an acoustic calibrator (IEC 60942). Levels: dB below a
 * full-scale sine.
 */
export interface ToneReading {
  readonly frequencyHz: number;
  readonly toneDb: number;
  /** The tone above everything else in the stretch, in dB. */
  readonly purityDb: number;
  readonly clipped: boolean;
}

const nominalHz = 1000;

/**
 * Reads one stretch (0.25 s is enough). The phase advance over parts of 1 ms finds a tone from 500 to 1500 Hz, and that
 * over parts of 10 ms its exact frequency: so a tone at a wrong rate is named too (1088 Hz for 44.1 kHz taken as 48).
 * The level is the amplitude at that frequency.
 */
export function readTone(samples: Float32Array, sampleRate: number): ToneReading {
  const frequencyHz = frequencyNear(frequencyNear(nominalHz, samples, sampleRate, 0.001), samples, sampleRate, 0.01);
  const cycle = sampleRate / frequencyHz;
  const length = Math.floor(Math.floor(samples.length / cycle) * cycle);
  const amplitude = (2 * Math.hypot(...phasor(samples, 0, length, frequencyHz, sampleRate))) / length;
  let [squares, sum, peak] = [0, 0, 0];
  for (let i = 0; i < length; i++) {
    const sample = samples[i] as number;
    squares += sample * sample;
    sum += sample;
    peak = Math.max(peak, Math.abs(sample));
  }
  const tone = (amplitude * amplitude) / 2;
  const rest = Math.max(1e-12, squares / length - (sum / length) ** 2 - tone);
  return { frequencyHz, toneDb: 20 * Math.log10(amplitude + 1e-6), purityDb: 10 * Math.log10(tone / rest + 1e-12), clipped: peak >= 0.999 };
}

/** By the mean phase advance from part to part against a reference: unambiguous to half a turn a part either way. */
function frequencyNear(hz: number, samples: Float32Array, sampleRate: number, partSeconds: number): number {
  const hop = Math.round(sampleRate * partSeconds);
  let [re, im] = [0, 0];
  let before: readonly [number, number] | undefined;
  for (let start = 0; start + hop <= samples.length; start += hop) {
    const now = phasor(samples, start, hop, hz, sampleRate);
    if (before) {
      re += now[0] * before[0] + now[1] * before[1];
      im += now[1] * before[0] - now[0] * before[1];
    }
    before = now;
  }
  return hz + (Math.atan2(im, re) / (2 * Math.PI)) * (sampleRate / hop);
}

/** The sum of samples times exp(-i 2 pi f t), where t counts from the first element of `samples`. */
function phasor(samples: Float32Array, start: number, length: number, hz: number, sampleRate: number): readonly [number, number] {
  let [re, im] = [0, 0];
  for (let i = start; i < start + length; i++) {
    const angle = (2 * Math.PI * hz * i) / sampleRate;
    re += (samples[i] as number) * Math.cos(angle);
    im -= (samples[i] as number) * Math.sin(angle);
  }
  return [re, im];
}

type ToneVerdict = 'found' | 'none' | 'frequency' | 'clipped' | 'unstable';

/**
 * Judges a run of readings. A calibrator of class 1 or 2 keeps 1 kHz within 2 % and its level within 0.2 dB. If its
 * cavity does not sit tight, the level wanders or street noise gets in.
 */
export function judgeTone(readings: readonly ToneReading[]): { verdict: ToneVerdict; toneDb: number; spreadDb: number; frequencyHz: number } {
  const mean = (pick: (reading: ToneReading) => number) => readings.reduce((sum, reading) => sum + pick(reading), 0) / Math.max(1, readings.length);
  const levels = readings.map(({ toneDb }) => toneDb);
  const spreadDb = Math.max(...levels) - Math.min(...levels);
  const toneDb = mean((reading) => reading.toneDb);
  const frequencyHz = mean((reading) => reading.frequencyHz);
  const verdict = ((): ToneVerdict => {
    if (readings.length === 0) return 'none';
    if (readings.every(({ clipped }) => clipped)) return 'clipped'; // from 6 dB beyond full scale its overtones hide the tone
    if (readings.some(({ purityDb }) => purityDb < 15)) return 'none';
    if (readings.some(({ clipped }) => clipped)) return 'clipped';
    if (Math.abs(frequencyHz - nominalHz) > 20) return 'frequency';
    return spreadDb > 0.3 ? 'unstable' : 'found';
  })();
  return { verdict, toneDb, spreadDb, frequencyHz };
}
