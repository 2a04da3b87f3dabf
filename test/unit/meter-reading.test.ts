import { expect, test } from 'vitest';
import { decodeReading, encodeReading, type MeterReading, readingBytes, readingFields, readingsPerSecond } from '../../agent/meter/reading.ts';
import { meterReading } from '../support/samples.ts';

test('a meter reading decodes to what was encoded, to the precision of its fields', () => {
  const reading = meterReading();
  expect(decodeReading(encodeReading(reading))).toEqual(reading);
  const deaf = meterReading({ state: 'deaf', fault: 'failed', suspicion: 'noisy', levelDb: undefined, splDb: undefined, noiseFloorDb: undefined, last: [] });
  expect(decodeReading(encodeReading(deaf))).toEqual(deaf);
  const lowest = meterReading({ levelDb: -120, splDb: 0, noiseFloorDb: 20 });
  expect(decodeReading(encodeReading(lowest))).toEqual(lowest);
});

test('a meter reading is 83 bytes, ten are sent a second, and no field is named after samples, spectra or text', () => {
  expect(readingsPerSecond * readingBytes).toBe(830);
  expect(encodeReading(meterReading())).toHaveLength(83);
  for (const [name, bytes, min, max, kind] of readingFields) expect(max - min + (kind ? 1 : 0), name).toBeLessThan(256 ** bytes);
  expect(readingFields.map(([name]) => name).join(' ')).not.toMatch(/sample|spectr|band|embed|text|name/);
});

test('a value that is out of bounds, not a number or not finite is encoded as a bound', () => {
  const wild = meterReading({ levelDb: 1e9, noiseFloorDb: Number.NaN, listenedSeconds: -5, elapsedSeconds: Number.POSITIVE_INFINITY });
  expect(decodeReading(encodeReading(wild))).toMatchObject({ levelDb: 20, noiseFloorDb: -120, listenedSeconds: 0, elapsedSeconds: 2 ** 31 - 1 });
  const words = meterReading({ state: 'what was said' as MeterReading['state'], splDb: 'what was said' as unknown as number });
  expect(decodeReading(encodeReading(words))).toMatchObject({ state: 'starting', splDb: 0 });
  const long = meterReading({ last: Array.from({ length: 50 }, () => ({ label: 1, outcome: 'fired' as const, peak: 1, secondsAgo: 1 })) });
  expect(encodeReading(long)).toHaveLength(83);
});

test('decodeReading refuses other lengths and out-of-range values, and every accepted message has one encoding', () => {
  const bytes = encodeReading(meterReading());
  expect(decodeReading(bytes.subarray(1))).toBeUndefined();
  expect(decodeReading(Buffer.concat([bytes, Buffer.from('x')]))).toBeUndefined();
  let at = 0;
  let refused = 0;
  for (const [name, size, min, max, kind] of readingFields) {
    const beyond = max - min + (kind ? 2 : 1);
    if (beyond < 256 ** size) {
      const planted = Buffer.from(bytes);
      planted.writeUIntBE(beyond, at, size);
      expect(decodeReading(planted), name).toBeUndefined();
      refused++;
    }
    at += size;
  }
  expect(refused).toBe(readingFields.length);
  for (const byte of bytes.keys()) {
    const changed = Buffer.from(bytes);
    changed[byte] = (changed[byte] as number) ^ 1;
    const read = decodeReading(changed);
    if (read) expect(encodeReading(read).equals(changed), `byte ${byte}`).toBe(true);
  }
});
