import { z } from 'zod';
import { modelSchema, versionSchema } from './event.ts';

const digest = z.string().regex(/^[0-9a-f]{64}$/);
const score = z.number().min(0).max(1);
const count = z.number().int().min(0).max(1000);
export const publishedKinds = ['event', 'status', 'health', 'summary', 'gap', 'selftest', 'privacy'] as const;

/** What a sensor may publish with its present settings. The operator makes it public and checks sensors against it. */
const privacyManifestSchema = z
  .strictObject({
    format: z.literal(1),
    publishes: z.array(z.enum(publishedKinds)).max(16).describe('The topics of the sensor; each has a schema.'),
    labels: z.array(z.enum(['glass_break', 'shout', 'bang'])).max(8),
    schemas: digest.describe('SHA-256 of the schemas of all messages: cat asyncapi.json *.schema.json | sha256sum'),
    outboxSchema: digest.describe('SHA-256 of the schema of the file between the two processes, which bounds what could ever leave the sensor.'),
    model: modelSchema.extend({ sha256: digest }),
    operatingPoint: z.enum(['balanced', 'strict']),
    thresholds: z.strictObject({ glass_break: score, shout: score, bang: score }).describe('Scores from which a sound is reported.'),
    soundPressureLevel: z.boolean().describe('Whether events carry a level in dB SPL.'),
    maxEventsPerMinute: z.number().int().min(1).max(60),
    maxAgeDays: z.number().min(0).max(366).describe('How long an event may wait on the sensor.'),
    healthIntervalSeconds: z.number().int().min(5).max(3600),
    encrypted: z.boolean().describe('Whether the connection to the broker is TLS.'),
    clientCertificate: z.boolean().describe('Whether the sensor proves its identity with a certificate.'),
    broker: digest.describe('SHA-256 of the address of the broker, which is not published itself: printf %s URL | sha256sum'),
  })
  .describe('What a sensor may publish.');
export type PrivacyManifest = z.infer<typeof privacyManifestSchema>;

/** The outcome of the last `tocsin privacy verify`, as handed to the courier. */
export const verificationSchema = z.strictObject({
  state: z.enum(['passed', 'failed', 'incomplete']).describe('incomplete: nothing failed, and something could not be checked.'),
  time: z.iso.datetime({ precision: 3 }).describe('By the clock of the sensor, which may not have been right.'),
  digest: digest.describe("SHA-256 of the report that it made: tocsin privacy verify --json | jq -cj 'del(.digest)' | sha256sum"),
  passed: count,
  failed: count,
  unchecked: count,
});
export type Verification = z.infer<typeof verificationSchema>;

/** Retained on the privacy topic. The one source of docs/privacy.schema.json. */
export const privacySchema = z
  .strictObject({
    version: versionSchema,
    bootId: z.uuid(),
    package: digest.optional().describe('SHA-256 of the list of files of the installed package; absent if Tocsin was not installed as a package.'),
    manifest: privacyManifestSchema,
    manifestDigest: digest.describe('SHA-256 of the manifest: tocsin privacy manifest | sha256sum, or from this message: jq .manifest | sha256sum'),
    verification: verificationSchema
      .optional()
      .describe(
        'Outcome of the last `tocsin privacy verify` on this sensor, published within ten seconds while connected; absent if there was none, or its record is not root’s alone to write.',
      ),
  })
  .describe('What this sensor may publish, and when that was last checked on it.');
export type PrivacyMessage = z.infer<typeof privacySchema>;
