import { expect, test } from 'vitest';
import { checkConfig } from '../../agent/config/load-config.ts';

/** A valid configuration with another value at one key. */
function withValue(key: string, value: unknown): Record<string, unknown> {
  const config = { site: 'north', sensor: 's1', mqtt: { url: 'mqtts://broker.example' } };
  const names = key.split('.');
  let group: Record<string, unknown> = config;
  for (const name of names.slice(0, -1)) {
    group[name] ??= {};
    group = group[name] as Record<string, unknown>;
  }
  group[names.at(-1) as string] = value;
  return config;
}

const slugs = ['a', '0', 'a-'.repeat(16)];
const noSlugs = ['', '-a', 'a'.repeat(33), 'A', 'a/b', 'a+', '#', 'é', 7];

test.each<[string, unknown[], unknown[]]>([
  ['site', slugs, noSlugs],
  ['sensor', slugs, noSlugs],
  ['microphone.sampleRateHz', [16_000, 44_100, 48_000], [8000, 96_000]],
  ['microphone.silenceTimeoutSeconds', [1, 600], [0.9, 601]],
  ['microphone.splAtFullScaleDb', [60, 160], [59.9, 160.1]],
  ['model.open.bang', [0.001, 1], [0, 1.001]],
  ['outbox.maxMegabytes', [1, 4096], [0.9, 4097]],
  ['outbox.maxAgeDays', [0.01, 366], [0, 367]],
  ['outbox.maxEventsPerMinute', [1, 60], [0, 61, 1.5]],
  ['mqtt.keepaliveSeconds', [5, 1200], [0, 4, 1201, 5.5]],
  ['mqtt.ackTimeoutSeconds', [1, 60], [0.9, 61]],
  ['mqtt.maxInFlight', [1, 16], [0, 17, 1.5]],
  ['mqtt.historicalAfterSeconds', [1, 3600], [0.9, 3601]],
  ['health.intervalSeconds', [5, 3600], [4, 3601, 5.5]],
])('%s is accepted up to its bounds and refused beyond them', (key, accepted, refused) => {
  for (const value of accepted) expect(() => checkConfig(withValue(key, value), 'a.yaml'), JSON.stringify(value)).not.toThrow();
  for (const value of refused) expect(() => checkConfig(withValue(key, value), 'a.yaml'), JSON.stringify(value)).toThrow(`${key}: expected `);
});
