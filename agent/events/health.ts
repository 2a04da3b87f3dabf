import { z } from 'zod';
import { eventRefusals, linkFaults, type MicrophoneFault, microphoneFaults, outboxFaults } from '../lib/faults.ts';
import { inSteps } from '../lib/steps.ts';
import { type Model, modelSchema, outboxIdSchema, versionSchema } from './event.ts';

const count = z.number().int().min(0).max(1e12);
const seconds = z.number().min(0).max(3.2e9).refine(inSteps(10));

/**
 * The state of the sensor; published at intervals, and at once when hearing changes. The one source of
 * docs/health.schema.json.
 */
export const healthSchema = z
  .strictObject({
    time: z.iso.datetime({ precision: 3 }).describe('When the message was made, UTC.'),
    clock: z.enum(['synchronised', 'unsynchronised']).describe('Whether `time` can be trusted.'),
    bootId: z.uuid(),
    version: versionSchema,
    uptimeSeconds: seconds.describe('Since the board started.'),
    hearing: z.strictObject({
      state: z
        .enum(['starting', 'listening', 'deaf', 'stopped', 'silent'])
        .describe('silent: the listener has not reported for longer than it should, because it is down or hangs.'),
      fault: z
        .enum(['none', ...microphoneFaults])
        .describe('docs/health.md says what each means. clipped: heard, but badly. While the state is silent or stopped: the last one reported.'),
      suspicion: z
        .enum(['none', 'covered', 'noisy'])
        .describe('Compared with what is usual here at this hour. covered: much quieter throughout; noisy: much louder and without variation.'),
      elapsedSeconds: seconds.describe(
        'Since the listener or the running courier first started in this boot, whichever was earlier. It may fall when the courier restarts.',
      ),
      listenedSeconds: seconds.describe('The part of elapsedSeconds in which sound was heard. A new boot and a new outbox begin with 0.'),
      notHeardSeconds: seconds.describe('The rest of elapsedSeconds.'),
      droppedSamples: count.describe('Lost between microphone and listener, at the rate of the microphone.'),
      opens: count.describe('How often the microphone was opened.'),
      starts: count.describe('How often the listener was started in this boot.'),
      noiseFloorDb: z
        .number()
        .min(-120)
        .max(20)
        .refine(inSteps(1))
        .optional()
        .describe(
          'Level exceeded for 90 % of the last five minutes, of the time since the last fault only; unweighted, relative to a full-scale sine. Absent while nothing is heard.',
        ),
      reportedSecondsAgo: seconds.describe('Age of these figures; the uptime where the listener has not reported in this boot.'),
    }),
    model: modelSchema.optional(),
    outbox: z.strictObject({
      id: outboxIdSchema
        .optional()
        .describe(
          'The outbox that is counted here, as in `gap` and `summary` and in the id of an event. Absent, like the counts below, while it cannot be read.',
        ),
      pending: count.optional().describe('Events that wait for delivery; one that the broker took is no longer counted within ten seconds.'),
      oldestSeconds: seconds
        .optional()
        .describe('Age of the oldest of them. Absent if it dates from an earlier boot and the time then or the time now is not known.'),
      stored: count.optional().describe('Events stored since the outbox was created: pending, sent, expired and unreadable together.'),
      sent: count.optional().describe('Delivered.'),
      expired: count.optional().describe('Deleted unsent: too old, or too many. A gap message covers them.'),
      refused: count
        .optional()
        .describe(
          'Heard but never stored, because there were more than `outbox.maxEventsPerMinute`. No gap message covers them. Events that the broker refuses are kept, and `link` reports them.',
        ),
      dropped: count.optional().describe('Heard but never stored, because the disk took no writes for too long. A gap message covers them.'),
      unreadable: count
        .optional()
        .describe('Lost with a damaged part of the file. A gap message covers them. What a lost log of the file held is not counted, in any of these counts.'),
      faults: z.array(z.enum(outboxFaults)).max(8).describe('outbox_damaged: a damaged file was set aside within the last week of the courier’s running time.'),
    }),
    link: z
      .strictObject({
        connections: count.describe('Connections to the broker since the courier started.'),
        lastFault: z
          .enum(['none', ...linkFaults])
          .describe(
            'Why there was no connection before the present one: how the last attempt failed or, if none failed, how the previous connection was lost.',
          ),
        eventsRefused: z.boolean().describe('Events of this sensor are refused or held back, as `eventRefusal` says; they are kept and tried again.'),
        eventRefusal: z
          .enum(['none', ...eventRefusals])
          .describe(
            "refused: by the broker's access control, or they are larger than it takes. no_subscriber: nobody subscribes to them at the broker. beyond_rate: the courier sends them at the rate of `outbox.maxEventsPerMinute` alone, since more wait than an honest listener stores.",
          ),
        certificateUntil: z.iso
          .datetime({ precision: 3 })
          .optional()
          .describe(
            "When the sensor's certificate ends, or an authority sent with it, UTC: without a new one there is no connection after that. Absent where it has none.",
          ),
      })
      .describe('The connection of the courier to the broker.'),
    board: z.strictObject({
      temperatureCelsius: z.number().min(-60).max(200).optional(),
      throttled: z
        .enum(['no', 'earlier', 'now'])
        .optional()
        .describe('Whether the board slows down for heat or low voltage; only on boards that report it (Raspberry Pi).'),
      underVoltage: z.enum(['no', 'earlier', 'now']).optional(),
      freeDiskMegabytes: z.number().min(0).max(1e9).optional().describe('On the disk of the outbox.'),
    }),
  })
  .describe('Whether the sensor hears, and the state of its parts.');
export type Health = z.infer<typeof healthSchema>;

/** What the listener tells the courier, through the outbox. Counts are of this boot. */
export interface HearingRecord {
  readonly bootId: string;
  readonly model: Model;
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
