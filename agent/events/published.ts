import type { z } from 'zod';
import { lostSchema, selftestSchema, soundEventSchema, statusSchema } from './event.ts';
import { healthSchema } from './health.ts';
import { privacySchema, type publishedKinds } from './privacy.ts';
import { summarySchema } from './summary.ts';

export type PublishedKind = (typeof publishedKinds)[number];

/** Everything that may ever leave the sensor, by the last level of its topic. */
export const publishedSchemas: Record<PublishedKind, z.ZodType> = {
  event: soundEventSchema,
  status: statusSchema,
  health: healthSchema,
  summary: summarySchema,
  gap: lostSchema,
  selftest: selftestSchema,
  privacy: privacySchema,
};

/**
 * Whether a payload is a message of a topic of one sensor, written as JSON.stringify writes it: a key given twice, blanks or digits that are
 * no part of a value would carry more than what was checked. `topics` names them by their kind.
 */
export function isPublishable(topics: Readonly<Record<PublishedKind, string>>): (topic: string, payload: string) => boolean {
  const schemas = new Map(Object.entries(topics).map(([kind, topic]) => [topic, publishedSchemas[kind as PublishedKind]]));
  return (topic, payload) => {
    try {
      const value: unknown = JSON.parse(payload);
      return JSON.stringify(value) === payload && (schemas.get(topic)?.safeParse(value).success ?? false);
    } catch {
      return false; // no JSON
    }
  };
}
