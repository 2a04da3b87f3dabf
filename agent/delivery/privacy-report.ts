import type { PrivacyMessage, Verification } from '../events/privacy.ts';
import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import type { Publisher, Report } from './publisher.ts';

export interface PrivacyReportParts {
  readonly clock: Clock;
  readonly logger: Logger;
  /** The outcome of the last verification, or nothing. */
  readonly verification: () => Verification | undefined;
}

const pollMs = 10_000; // the listener cannot write there, but if it could, this would bound what it says
const retryMs = 60_000;

/**
 * Publishes, retained, what this sensor may publish: on every connection, and when the sensor has been verified anew.
 */
export function openPrivacyReport(topic: string, fixed: Omit<PrivacyMessage, 'bootId' | 'verification'>, parts: PrivacyReportParts): Report {
  const { clock, logger, verification } = parts;
  let connection: Publisher | undefined;
  let published = '';
  let nextMs = 0;
  let busy = false;
  let failing = false;
  return {
    tick(publisher: Publisher): void {
      const now = clock.monotonicMs();
      if (busy || (publisher === connection && now < nextMs)) return;
      if (publisher !== connection) published = '';
      connection = publisher;
      nextMs = now + pollMs;
      const last = verification();
      const payload = JSON.stringify({ ...fixed, bootId: clock.bootId, ...(last === undefined ? {} : { verification: last }) } satisfies PrivacyMessage);
      if (payload === published) return;
      busy = true;
      publisher
        .publish(topic, payload, { retain: true })
        .then(
          () => {
            published = payload;
            failing = false;
          },
          (error: unknown) => {
            nextMs = now + retryMs;
            if (!failing) logger.warn({ reason: messageOf(error) }, 'the privacy message was not taken; trying again');
            failing = true;
          },
        )
        .finally(() => {
          busy = false;
        });
    },
  };
}
