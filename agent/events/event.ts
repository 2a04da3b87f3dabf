import { z } from 'zod';
import { inSteps } from '../lib/steps.ts';

/**
 * What may be said of one sound; published as CloudEvents 1.0 JSON, structured mode. The one source of
 * docs/event.schema.json.
 */
const score = z.number().min(0).max(1).refine(inSteps(1000));
const sequence = z.number().int().min(1).max(1e12);
export const outboxIdSchema = z.string().regex(/^[0-9a-f]{16}$/);
export const versionSchema = z.string().regex(/^[0-9a-z.-]{1,32}$/);
export const modelSchema = z.strictObject({ name: z.string().regex(/^[0-9a-z-]{1,32}$/), version: versionSchema });
export type Model = Readonly<z.infer<typeof modelSchema>>;
export const soundEventSchema = z
  .strictObject({
    specversion: z.literal('1.0'),
    id: z
      .string()
      .regex(/^[0-9a-f]{16}-[1-9][0-9]{0,15}$/)
      .describe(
        'Deduplication key: the outbox and its sequence number. The same event sent twice has the same id; `time`, `clock` and `historical` may differ.',
      ),
    source: z
      .string()
      .regex(/^\/tocsin\/[a-z0-9-]{1,32}\/[a-z0-9-]{1,32}$/)
      .describe('The sensor: /tocsin/SITE/SENSOR.'),
    type: z.literal('org.tocsin.sound.detected.v1'),
    time: z.iso.datetime({ precision: 3 }).describe('Onset of the sound, UTC.'),
    datacontenttype: z.literal('application/json'),
    dataschema: z.literal('urn:tocsin:schema:sound-detected:1'),
    data: z.strictObject({
      label: z.enum(['glass_break', 'shout', 'bang']),
      confidence: score.describe('Highest smoothed score of the label up to the report.'),
      durationSeconds: z
        .number()
        .min(0)
        .max(600)
        .refine(inSteps(1000))
        .describe(
          'From the onset to the end of the sound that had been judged when the event was confirmed, in the time of the sound itself. The sensor does not wait for the end of a sound, so it may have lasted longer. The report goes out later than this by the time that judging takes.',
        ),
      levelAboveBackgroundDb: z
        .number()
        .min(-20)
        .max(140)
        .refine(inSteps(1))
        .describe('Level of the loudest 125 ms of the sound, relative to the level exceeded for 90 % of the minute before.'),
      soundPressureLevelDb: z
        .number()
        .min(0)
        .max(200)
        .refine(inSteps(1))
        .optional()
        .describe('LAFmax of the sound so far in dB SPL (IEC 61672-1: A-weighted, fast); only on a calibrated sensor.'),
      scores: z
        .strictObject({ glass_break: score, shout: score, bang: score })
        .describe('Of the moment when `confidence` was reached, and not smoothed: that of the label may be another number.'),
      sequence: sequence.describe(
        'Counts up within one outbox. A missing number still waits on the sensor, a gap message covers it, or it was lost behind the sensor.',
      ),
      bootId: z.uuid().describe('The boot of the sensor in which the sound was heard.'),
      model: modelSchema,
      clock: z
        .enum(['synchronised', 'corrected', 'unsynchronised'])
        .describe(
          'Whether `time` can be trusted; corrected: the sound was heard before the clock was set or while it was wrong, and `time` has been corrected since.',
        ),
      historical: z
        .boolean()
        .describe(
          'Sent more than `mqtt.historicalAfterSeconds` after the onset, for whatever reason, or after a time that is not known. Decided when the sensor sends the event: it may then wait at the broker.',
        ),
    }),
  })
  .describe('One recognised sound, as Tocsin publishes it.');
export type SoundEvent = z.infer<typeof soundEventSchema>;

/** Retained on the status topic: birth when the courier connects, death as its will. */
export const statusSchema = z
  .strictObject({
    state: z
      .enum(['online', 'offline'])
      .describe(
        'offline: published by the sensor when it is stopped. Otherwise the broker publishes it as the will: at once when the connection breaks, or after about one and a half times `mqtt.keepaliveSeconds` when the sensor falls silent. A broker that was killed before that may retain online.',
      ),
    bootId: z.uuid(),
    version: versionSchema,
    pending: z.number().int().min(0).max(1e12).optional().describe('Events waiting in the outbox when the sensor connected.'),
  })
  .describe('Whether the sensor is connected. While it is offline, the retained messages on its other topics date from before.');
export type Status = z.infer<typeof statusSchema>;

/** Published when events will never arrive: expired, dropped or lost with a damaged file. */
export const gapSchema = z
  .strictObject({
    outbox: outboxIdSchema.describe('The part of the event id before its sequence number.'),
    first: sequence,
    last: sequence,
    reason: z
      .enum(['too_old', 'too_many', 'dropped', 'unreadable'])
      .describe(
        'too_old: they waited longer than `outbox.maxAgeDays`; too_many: they took more space than `outbox.maxMegabytes`; dropped: the disk took no writes at that time; unreadable: lost with a damaged part of the file or with its log, in a range in which most numbers may belong to no event.',
      ),
  })
  .describe(
    'Events with a sequence number from `first` to `last` that have not arrived never will. Not every one of these numbers belonged to an event. Ranges may overlap: a gap that has grown is sent again as a whole.',
  );
export type GapMessage = z.infer<typeof gapSchema>;

/** On the selftest topic: what `tocsin doctor` and `tocsin selftest` send. Never an alarm, whatever the sound was. */
export const selftestSchema = z
  .strictObject({
    test: z.enum(['link', 'sound']).describe('link: may the sensor publish; sound: a test sound was heard, stored and sent.'),
    bootId: z.uuid(),
    event: soundEventSchema
      .optional()
      .describe('The event of the test sound, in the form in which a real one is published. Its outbox exists for the test alone.'),
  })
  .describe('A test that a person started at the sensor.');
export type SelftestMessage = z.infer<typeof selftestSchema>;

export function linkTest(bootId: string): SelftestMessage {
  return { test: 'link', bootId };
}

/** What the listener knows of a sound when it is confirmed; the outbox stores exactly this and nothing else. */
export interface RecordedEvent {
  readonly label: SoundEvent['data']['label'];
  readonly onsetWallMs: number;
  readonly onsetMonotonicMs: number;
  readonly bootId: string;
  readonly clockSynchronised: boolean;
  readonly durationSeconds: number;
  readonly confidence: number;
  readonly levelAboveBackgroundDb: number;
  readonly soundPressureLevelDb?: number;
  readonly scores: SoundEvent['data']['scores'];
  readonly model: Model;
}
