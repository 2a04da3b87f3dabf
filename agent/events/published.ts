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

/** Whether a payload is a message of a topic of one sensor. `topics` names them by their kind. */
export function isPublishable(topics: Readonly<Record<PublishedKind, string>>): (topic: string, payload: string) => boolean {
  const schemas = new Map(Object.entries(topics).map(([kind, topic]) => [topic, publishedSchemas[kind as PublishedKind]]));
  return (topic, payload) => {
    try {
      return schemas.get(topic)?.safeParse(JSON.parse(payload)).success ?? false;
    } catch {
      return false; // no JSON
    }
  };
}
