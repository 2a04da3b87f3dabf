// Writes the schemas of docs/ and docs/asyncapi.json from event.ts, health.ts, privacy.ts and summary.ts: npm run schema.
import { writeFileSync } from 'node:fs';
import { z } from 'zod';
import { publishedSchemas } from './event.ts';
import { healthSchema } from './health.ts';
import { privacySchema } from './privacy.ts';
import { summarySchema } from './summary.ts';

/** The files under docs/ that are made from event.ts, health.ts, privacy.ts and summary.ts; a test holds them to it. */
export function schemaFiles(): Record<string, string> {
  const { event, status, gap, selftest } = publishedSchemas();
  const channel = (kind: string, payload: string) => ({
    address: `tocsin/v1/{site}/{sensor}/${kind}`,
    parameters: { site: {}, sensor: {} },
    messages: { [kind]: { contentType: payload, payload: { $ref: `./${kind}.schema.json` } } },
  });
  const asyncapi = {
    asyncapi: '3.0.0',
    info: { title: 'Tocsin sensor', version: '1', description: 'Everything a Tocsin sensor publishes over MQTT 5.' },
    channels: {
      event: channel('event', 'application/cloudevents+json'),
      status: channel('status', 'application/json'),
      gap: channel('gap', 'application/json'),
      selftest: channel('selftest', 'application/json'),
      health: channel('health', 'application/json'),
      summary: channel('summary', 'application/json'),
      privacy: channel('privacy', 'application/json'),
    },
    operations: {
      publishEvent: { action: 'send', channel: { $ref: '#/channels/event' }, bindings: { mqtt: { qos: 1, retain: false } } },
      publishGap: { action: 'send', channel: { $ref: '#/channels/gap' }, bindings: { mqtt: { qos: 1, retain: false } } },
      publishHealth: { action: 'send', channel: { $ref: '#/channels/health' }, bindings: { mqtt: { qos: 1, retain: true } } },
      publishSummary: { action: 'send', channel: { $ref: '#/channels/summary' }, bindings: { mqtt: { qos: 1, retain: false } } },
      publishStatus: { action: 'send', channel: { $ref: '#/channels/status' }, bindings: { mqtt: { qos: 1, retain: true } } },
      publishPrivacy: { action: 'send', channel: { $ref: '#/channels/privacy' }, bindings: { mqtt: { qos: 1, retain: true } } },
      publishSelftest: { action: 'send', channel: { $ref: '#/channels/selftest' }, bindings: { mqtt: { qos: 1, retain: false } } },
    },
  };
  const text = (value: object) => `${JSON.stringify(value, null, 2)}\n`;
  return {
    'event.schema.json': text(event),
    'status.schema.json': text(status),
    'gap.schema.json': text(gap),
    'selftest.schema.json': text(selftest),
    'health.schema.json': text(z.toJSONSchema(healthSchema)),
    'privacy.schema.json': text(z.toJSONSchema(privacySchema)),
    'summary.schema.json': text(z.toJSONSchema(summarySchema)),
    'asyncapi.json': text(asyncapi),
  };
}

if (import.meta.main) for (const [name, content] of Object.entries(schemaFiles())) writeFileSync(new URL(`../../docs/${name}`, import.meta.url), content);
