import type { z } from 'zod';
import { gapSchema, selftestSchema, soundEventSchema, statusSchema } from './event.ts';
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
  gap: gapSchema,
  selftest: selftestSchema,
  privacy: privacySchema,
};

/**
 * Returns a function that gives a payload for one of a sensor's topics as its schema reads it, written anew; nothing
 * where it is no valid message in exactly the form that JSON.stringify writes. Otherwise a repeated key, white space,
 * the order of keys or digits that do not change a value could carry more than what was checked. `topics` gives the
 * topic of each kind.
 */
export function closedForm(topics: Readonly<Record<PublishedKind, string>>): (topic: string, payload: string) => string | undefined {
  const schemas = new Map(Object.entries(topics).map(([kind, topic]) => [topic, publishedSchemas[kind as PublishedKind]]));
  return (topic, payload) => {
    try {
      const value: unknown = JSON.parse(payload);
      const read = schemas.get(topic)?.safeParse(value);
      return read?.success && JSON.stringify(value) === payload ? JSON.stringify(read.data) : undefined;
    } catch {
      return undefined; // not JSON
    }
  };
}
