import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { toCloudEvent } from '../../agent/delivery/to-cloud-event.ts';
import { schemaFiles } from '../../agent/events/write-schema.ts';
import { validatorOf } from '../support/published-schema.ts';
import { fixedClock, recordedEvent } from '../support/samples.ts';

const sender = { outboxId: '0123456789abcdef', site: 'old-port', sensor: 'lamp-1', historicalAfterSeconds: 60 };
const validate = validatorOf('event');

test('the schemas in docs match the code', () => {
  for (const [name, content] of Object.entries(schemaFiles())) expect(readFileSync(`docs/${name}`, 'utf8'), `${name}: npm run schema`).toBe(content);
});

test('asyncapi.json is complete: its references resolve, and each channel and address parameter has a description', () => {
  const { channels, operations } = JSON.parse(readFileSync('docs/asyncapi.json', 'utf8')) as {
    channels: Record<string, { address: string; description?: string; parameters: Record<string, { description?: string }>; messages: object }>;
    operations: Record<string, { channel: { $ref: string } }>;
  };
  expect(Object.values(operations).map(({ channel }) => channel.$ref)).toEqual(Object.keys(channels).map((kind) => `#/channels/${kind}`));
  for (const [kind, { address, description, parameters, messages }] of Object.entries(channels)) {
    expect([...address.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)).toEqual(Object.keys(parameters));
    const schema = JSON.parse(readFileSync(`docs/${kind}.schema.json`, 'utf8')) as { description: string };
    expect(messages).toMatchObject({ [kind]: { payload: { $ref: `./${kind}.schema.json` } } });
    expect(description).toBe(schema.description);
    for (const parameter of Object.values(parameters)) expect(parameter.description).toMatch(/^Up to 32 of a-z, 0-9 and -/);
  }
});

test('a stored event becomes a valid CloudEvent, with and without calibration', () => {
  for (const event of [recordedEvent(0), recordedEvent(0, { soundPressureLevelDb: 92 })]) {
    const published = toCloudEvent({ ...event, sequence: 7 }, sender, fixedClock());
    expect(validate(published), JSON.stringify(validate.errors)).toBe(true);
    expect(published).toMatchObject({ id: '0123456789abcdef-7', source: '/tocsin/old-port/lamp-1', time: '2026-11-20T10:00:00.000Z' });
    const { label, confidence, durationSeconds, levelAboveBackgroundDb, soundPressureLevelDb, scores, bootId, model } = event;
    const told = { label, confidence, durationSeconds, levelAboveBackgroundDb, soundPressureLevelDb, scores, bootId, model };
    expect(published.data).toEqual({ ...told, sequence: 7, clock: 'synchronised', historical: false });
  }
});

test('the event schema refuses additional properties and unknown labels', () => {
  const published = toCloudEvent({ ...recordedEvent(0), sequence: 1 }, sender, fixedClock());
  expect(validate({ ...published, note: 'text' })).toBe(false);
  expect(validate({ ...published, data: { ...published.data, audio: 'UklGRg==' } })).toBe(false);
  expect(validate({ ...published, data: { ...published.data, label: 'speech' } })).toBe(false);
});

test('an event heard before the clock was set is corrected in the same boot and marked unsynchronised in another boot', () => {
  const event = { ...recordedEvent(0, { onsetWallMs: 5000, onsetMonotonicMs: 10_000, clockSynchronised: false }), sequence: 1 };
  const corrected = toCloudEvent(event, sender, fixedClock({ monotonicMs: () => 25_000 }));
  expect(corrected).toMatchObject({ time: '2026-11-20T10:00:15.000Z', data: { clock: 'corrected' } });
  const lost = toCloudEvent({ ...event, bootId: 'ffffffff-7d3a-4f5b-9c8d-1e2f3a4b5c6d' }, sender, fixedClock());
  expect(lost.data.clock).toBe('unsynchronised');
  expect(toCloudEvent(event, sender, fixedClock({ synchronised: () => false })).data.clock).toBe('unsynchronised');
});

test.each([
  [3700, 'synchronised'],
  [3900, 'corrected'],
] as const)('a timestamp of one hour ago that is %i ms off is %s (limit: 500 ppm drift)', (offMs, quality) => {
  const clock = fixedClock({ monotonicMs: () => 3_610_000 });
  const rightMs = clock.wallMs() - 3_600_000;
  for (const by of [-offMs, offMs]) {
    const event = recordedEvent(0, { onsetMonotonicMs: 10_000, onsetWallMs: rightMs + by });
    const { time, data } = toCloudEvent({ ...event, sequence: 1 }, sender, clock);
    expect([Date.parse(time) - rightMs, data.clock]).toEqual([quality === 'corrected' ? 0 : by, quality]);
  }
});

test('an event delivered late is marked historical', () => {
  const just = toCloudEvent({ ...recordedEvent(0), sequence: 1 }, sender, fixedClock({ monotonicMs: () => 60_000 }));
  expect(just.data.historical).toBe(false);
  const late = toCloudEvent({ ...recordedEvent(0), sequence: 1 }, sender, fixedClock({ monotonicMs: () => 61_001 }));
  expect(late.data.historical).toBe(true);
});

test('an event of an earlier boot and unknown age is historical, also in the first seconds of this boot', () => {
  const earlier = recordedEvent(0, { bootId: 'ffffffff-7d3a-4f5b-9c8d-1e2f3a4b5c6d', clockSynchronised: false });
  const published = toCloudEvent({ ...earlier, sequence: 1 }, sender, fixedClock({ monotonicMs: () => 10_000 }));
  expect(published.data).toMatchObject({ clock: 'unsynchronised', historical: true });
});
