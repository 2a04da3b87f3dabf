import { hash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { labels, loadManifest } from '../../classify/model-manifest.ts';
import { rulesOf, thresholdsOf } from '../../classify/rules.ts';
import { brokerAddress } from '../../config/broker-url.ts';
import { installation } from '../../config/load-config.ts';
import type { Config } from '../../config/schema.ts';
import { type PrivacyManifest, type PrivacyMessage, publishedKinds } from '../../events/privacy.ts';
import { schemaFiles } from '../../events/write-schema.ts';
import { schemaOfRelease } from '../../outbox/view-outbox.ts';
import { version } from '../command.ts';
import { listName } from './package-list.ts';

/**
 * What a sensor with these settings may publish. The model's digest is that in its manifest, which the listener
 * verifies.
 */
export function privacyManifest(config: Config): PrivacyManifest {
  const { model: settings, outbox, microphone, health, mqtt } = config;
  const model = loadManifest(settings.path);
  const rules = rulesOf(model, settings);
  const schemas = Object.entries(schemaFiles()).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return {
    format: 1,
    publishes: [...publishedKinds],
    labels: [...labels],
    schemas: hash('sha256', schemas.map(([, content]) => content).join('')),
    outboxSchema: hash('sha256', schemaOfRelease()),
    model: { name: model.name, version: model.version, sha256: model.sha256 },
    operatingPoint: settings.operatingPoint,
    thresholds: thresholdsOf(rules),
    soundPressureLevel: microphone.splAtFullScaleDb !== undefined,
    maxEventsPerMinute: outbox.maxEventsPerMinute,
    maxAgeDays: outbox.maxAgeDays,
    healthIntervalSeconds: health.intervalSeconds,
    encrypted: brokerAddress(mqtt.url).encrypted,
    clientCertificate: mqtt.certFile !== undefined,
    broker: hash('sha256', mqtt.url),
  };
}

/** What the courier publishes of the sensor beside the outcome of its verification. */
export function privacyFacts(config: Config): Omit<PrivacyMessage, 'bootId' | 'verification'> {
  const manifest = privacyManifest(config);
  const list = join(installation, listName);
  return {
    version,
    ...(existsSync(list) ? { package: hash('sha256', readFileSync(list)) } : {}),
    manifest,
    manifestDigest: hash('sha256', manifestText(manifest)),
  };
}

/** The manifest as `tocsin privacy manifest` prints it: what its digest is of. */
export function manifestText(manifest: PrivacyManifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

/** The names of what differs between two manifests, or is in one alone. */
export function differences(a: object, b: object): string[] {
  const flat = (value: object, prefix = ''): [string, string][] =>
    Object.entries(value).flatMap(([key, part]) =>
      part !== null && typeof part === 'object' && !Array.isArray(part) ? flat(part, `${prefix}${key}.`) : [[`${prefix}${key}`, JSON.stringify(part)]],
    );
  const [left, right] = [new Map(flat(a)), new Map(flat(b))];
  return [...new Set([...left.keys(), ...right.keys()])].filter((key) => left.get(key) !== right.get(key));
}
