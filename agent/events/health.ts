import { z } from 'zod';
import { eventRefusals, linkFaults, type MicrophoneFault, microphoneFaults, outboxFaults } from '../lib/faults.ts';
import { inSteps } from '../lib/steps.ts';

const count = z.number().int().min(0).max(1e12);
const seconds = z.number().min(0).max(3.2e9).refine(inSteps(10));

/**
 * The state of the sensor; published at intervals, and at once when hearing changes. The one source of
 * docs/health.schema.json.
 */
export const healthSchema = z
  .strictObject({
    time: z.iso.datetime({ precision: 3 }),
    clock: z.enum(['synchronised', 'unsynchronised']).describe('Whether `time` can be trusted.'),
    bootId: z.uuid(),
    version: z.string().regex(/^[0-9a-z.-]{1,32}$/),
    uptimeSeconds: seconds.describe('Since the board started.'),
    hearing: z.strictObject({
      state: z
        .enum(['starting', 'listening', 'deaf', 'stopped', 'silent'])
        .describe('silent: the listener has not reported for longer than it should; it is down or hangs.'),
      fault: z.enum(['none', ...microphoneFaults]).describe('docs/health.md says what each means. clipped: heard, but badly.'),
      suspicion: z
        .enum(['none', 'covered', 'noisy'])
        .describe('Against what is usual here at this hour: covered, much quieter throughout; noisy, much louder and without variation.'),
      elapsedSeconds: seconds.describe('Since the listener or the running courier first started in this boot, whichever was earlier.'),
      listenedSeconds: seconds.describe('Of these, sound that was heard.'),
      notHeardSeconds: seconds.describe('The rest.'),
      droppedSamples: count.describe('Lost between microphone and listener, at the rate of the microphone.'),
      opens: count.describe('How often the microphone was opened.'),
      starts: count.describe('How often the listener was started in this boot.'),
      noiseFloorDb: z
        .number()
        .min(-120)
        .max(20)
        .refine(inSteps(1))
        .optional()
        .describe('Level exceeded 90 % of the last five minutes since a fault, unweighted, relative to a full-scale sine; none while nothing is heard.'),
      reportedSecondsAgo: seconds.describe('Age of these figures.'),
    }),
    model: z.strictObject({ name: z.string().regex(/^[0-9a-z-]{1,32}$/), version: z.string().regex(/^[0-9a-z.-]{1,32}$/) }).optional(),
    outbox: z.strictObject({
      pending: count
        .optional()
        .describe(
          'Events that wait; what the broker took leaves them within ten seconds. Left out, as the counts that follow, while the outbox cannot be read.',
        ),
      oldestSeconds: seconds
        .optional()
        .describe('Age of the oldest of them; left out where it is of an earlier boot and either the time then or the time now is not known.'),
      stored: count.optional().describe('Events stored in the life of the outbox: pending, sent, expired and unreadable together.'),
      sent: count.optional().describe('Delivered.'),
      expired: count.optional().describe('Deleted unsent: too old, or too many. They are in a gap.'),
      refused: count
        .optional()
        .describe('Heard, and never stored: more than `outbox.maxEventsPerMinute`. In no gap. What the broker refuses is in `link`, and is kept.'),
      dropped: count.optional().describe('Heard, and never stored: the disk took no writes for too long. They are in a gap.'),
      unreadable: count.optional().describe('Lost with a damaged part of the file. They are in a gap.'),
      faults: z.array(z.enum(outboxFaults)).max(8).describe('outbox_damaged: a damaged file was set aside within the last week that the courier ran.'),
    }),
    link: z
      .strictObject({
        connections: count.describe('Connections to the broker since the courier started.'),
        lastFault: z
          .enum(['none', ...linkFaults])
          .describe('Why there was no connection before this one: the last attempt at it that failed, or else how the one before was lost.'),
        eventsRefused: z.boolean().describe('Events of this sensor are refused, as `eventRefusal` says; they are kept and tried again.'),
        eventRefusal: z
          .enum(['none', ...eventRefusals])
          .describe("refused: by the broker's access control, or they are larger than it takes. no_subscriber: nobody subscribes to them at the broker."),
      })
      .describe('How the courier stands with the broker.'),
    board: z.strictObject({
      temperatureCelsius: z.number().min(-60).max(200).optional(),
      throttled: z
        .enum(['no', 'earlier', 'now'])
        .optional()
        .describe('Whether the board slows down for heat or low voltage; only where it tells (Raspberry Pi).'),
      underVoltage: z.enum(['no', 'earlier', 'now']).optional(),
      freeDiskMegabytes: z.number().min(0).max(1e9).optional().describe('Beside the outbox.'),
    }),
  })
  .describe('Whether the sensor hears, and how it fares.');
export type Health = z.infer<typeof healthSchema>;

/** What the listener tells the courier, through the outbox. Counts are of this boot. */
export interface HearingRecord {
  readonly bootId: string;
  readonly model: { readonly name: string; readonly version: string };
  readonly writtenMonotonicMs: number;
  readonly sinceMonotonicMs: number;
  readonly state: 'starting' | 'listening' | 'deaf' | 'stopped';
  readonly fault: MicrophoneFault | 'none';
  readonly suspicion: Health['hearing']['suspicion'];
  readonly listenedSeconds: number;
  readonly droppedSamples: number;
  readonly opens: number;
  readonly starts: number;
  readonly noiseFloorDb?: number;
  /** How often it reports; absent from a listener of an earlier release. */
  readonly intervalSeconds?: number;
}

/**
 * The usual level of an hour of the day, in dB relative to a full-scale sine, learnt from `quarters` quarters of an
 * hour.
 */
export interface UsualLevel {
  readonly hour: number;
  readonly quarters: number;
  readonly floorDb: number;
  readonly loudDb: number;
}
