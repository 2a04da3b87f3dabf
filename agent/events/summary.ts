import { z } from 'zod';
import { inSteps } from '../lib/steps.ts';
import { type Model, modelSchema, outboxIdSchema } from './event.ts';

const seconds = z.number().min(0).max(7200).refine(inSteps(10));
const count = z.number().int().min(0).max(100_000);
const levels = (reference: string, min: number, max: number) => {
  const level = z.number().min(min).max(max).refine(inSteps(10));
  return z
    .strictObject({
      laeq: level.describe('Equivalent continuous level.'),
      la10: level.describe('Level exceeded 10 % of the time: the loud moments.'),
      la90: level.describe('Level exceeded 90 % of the time: the background.'),
    })
    .optional()
    .describe(
      `A-weighted; percentiles of the level with time constant F (IEC 61672-1), sampled every 125 ms. ${reference} Absent where nothing, or nothing but exact zeros, was heard.`,
    );
};

/**
 * An hour in figures, for planning; published once an hour, late when the sensor was offline. The one source of
 * docs/summary.schema.json.
 */
export const summarySchema = z
  .strictObject({
    outbox: outboxIdSchema,
    sequence: z
      .number()
      .int()
      .min(1)
      .max(1e12)
      .describe(
        'With `outbox`, the deduplication key. A missing number is an hour that still waits or was lost, except where a repair of the outbox skipped numbers: 1,000 or more at once, up to a million. An hour that a killed listener had not stored has no number.',
      ),
    bootId: z.uuid(),
    model: modelSchema,
    time: z.iso.datetime({ precision: 3 }).describe('When the hour began, UTC: at a full clock hour once the clock is right, or at a start of the listener.'),
    clock: z.enum(['synchronised', 'corrected', 'unsynchronised']).describe('Whether `time` can be trusted, as in an event.'),
    elapsedSeconds: seconds.describe('Time covered: less than an hour after a start and before a stop of the listener.'),
    listenedSeconds: seconds.describe('The part of elapsedSeconds in which sound was heard; counts and levels cover only this part.'),
    recognised: z
      .strictObject({ glass_break: count, shout: count, bang: count })
      .describe('Sounds recognised, by label; also those that outbox.maxEventsPerMinute kept from becoming events.'),
    levelsDbfs: levels('Decibels relative to a full-scale sine.', -130, 20),
    levelsDbSpl: levels('dB SPL; only on a calibrated sensor.', -70, 180),
  })
  .describe('What was heard in an hour, in counts and levels.');
export type Summary = z.infer<typeof summarySchema>;

/**
 * What the listener tells the courier of an hour, through the outbox. Levels are in dB relative to a full-scale sine.
 */
export interface HourSummary {
  readonly bootId: string;
  readonly model: Model;
  readonly beganWallMs: number;
  readonly beganMonotonicMs: number;
  readonly clockSynchronised: boolean;
  readonly elapsedSeconds: number;
  readonly listenedSeconds: number;
  readonly recognised: Summary['recognised'];
  readonly levels?: { readonly laeq: number; readonly la10: number; readonly la90: number };
  readonly splAtFullScaleDb?: number;
}
