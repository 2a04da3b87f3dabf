// Writes the schemas of docs/ and docs/asyncapi.json from the definitions beside this file: npm run schema.
import { writeFileSync } from 'node:fs';
import { z } from 'zod';
import { type PublishedKind, publishedSchemas } from './published.ts';

/** Kept by the broker for whoever subscribes later. */
const retained: ReadonlySet<PublishedKind> = new Set(['status', 'health', 'privacy']);

const name = 'Up to 32 of a-z, 0-9 and -, as the operator configured it.';

/** The files under docs/ that are generated from the definitions; a test checks that they match. */
export function schemaFiles(): Record<string, string> {
  const kinds = Object.keys(publishedSchemas) as PublishedKind[];
  const channel = (kind: PublishedKind) => ({
    address: `tocsin/v1/{site}/{sensor}/${kind}`,
    description: publishedSchemas[kind].description,
    parameters: { site: { description: name }, sensor: { description: `${name} Unique on the broker.` } },
    messages: {
      [kind]: { contentType: kind === 'event' ? 'application/cloudevents+json' : 'application/json', payload: { $ref: `./${kind}.schema.json` } },
    },
  });
  const operation = (kind: PublishedKind) => ({
    action: 'send',
    channel: { $ref: `#/channels/${kind}` },
    bindings: { mqtt: { qos: 1, retain: retained.has(kind) } },
  });
  const asyncapi = {
    asyncapi: '3.0.0',
    info: {
      title: 'Tocsin sensor',
      version: '1',
      description:
        'Everything a Tocsin sensor publishes over MQTT 5. docs/platform.md says how a platform counts, places and judges it. Subscribe with a persistent session (no clean start, a session expiry, QoS 1): events, gaps and summaries that nobody subscribes to are kept by the sensor, and sent within ten minutes of the subscription. Any message may come twice. The schemas are closed, and each release has its own: a release that adds a key brings new ones. The digest of the schemas in force on a sensor is `manifest.schemas` in its `privacy` message.',
    },
    channels: Object.fromEntries(kinds.map((kind) => [kind, channel(kind)])),
    operations: Object.fromEntries(kinds.map((kind) => [`publish${kind.replace(/^./, (letter) => letter.toUpperCase())}`, operation(kind)])),
  };
  const text = (value: object) => `${JSON.stringify(value, null, 2)}\n`;
  return {
    ...Object.fromEntries(kinds.map((kind) => [`${kind}.schema.json`, text(z.toJSONSchema(publishedSchemas[kind]))])),
    'asyncapi.json': text(asyncapi),
  };
}

if (import.meta.main) for (const [name, content] of Object.entries(schemaFiles())) writeFileSync(new URL(`../../docs/${name}`, import.meta.url), content);
