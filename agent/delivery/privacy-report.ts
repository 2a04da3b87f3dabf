import type { PrivacyMessage, Verification } from '../events/privacy.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/logger.ts';
import type { Publisher, Report } from './publisher.ts';
import { SideMessage } from './side-message.ts';

interface PrivacyReportParts {
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
  const message = new SideMessage('the broker did not take the privacy message; trying again', logger);
  let connection: Publisher | undefined;
  let published = '';
  let nextMs = 0;
  return {
    tick(publisher: Publisher): void {
      const now = clock.monotonicMs();
      if (message.isUnderWay || (publisher === connection && now < nextMs)) return;
      if (publisher !== connection) published = '';
      connection = publisher;
      nextMs = now + pollMs;
      const last = verification();
      const payload = JSON.stringify({ ...fixed, bootId: clock.bootId, ...(last === undefined ? {} : { verification: last }) } satisfies PrivacyMessage);
      if (payload === published) return;
      message.publish(
        publisher,
        { topic, payload, retain: true },
        {
          taken: () => {
            published = payload;
          },
          failed: () => {
            nextMs = now + retryMs;
          },
        },
      );
    },
  };
}
