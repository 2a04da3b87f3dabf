import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { openHealthReport } from '../../agent/delivery/health.ts';
import { openLink } from '../../agent/delivery/link.ts';
import type { Publisher } from '../../agent/delivery/publisher.ts';
import type { Clock } from '../../agent/lib/clock.ts';
import type { BrokerError } from '../../agent/lib/errors.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { validatorOf } from './published-schema.ts';
import { fixedClock, limits, silentLogger } from './samples.ts';

export const validate = validatorOf('health');
export const openOutbox = () => openSqliteOutbox(join(mkdtempSync(join(tmpdir(), 'tocsin-health-')), 'outbox.db'), limits);

type HealthLimits = Pick<Parameters<typeof openHealthReport>[3], 'allowance' | 'newsPerMinute'> & { readonly intervalMs?: number };

/** A courier's health report at a simulated time; every published message is checked against the schema. */
export function healthCourier(
  outbox = openOutbox(),
  listenerRuns: () => boolean | undefined = () => undefined,
  change: Partial<Clock> = {},
  { intervalMs = 120_000, ...more }: HealthLimits = {},
) {
  const time = { ms: 20_000 };
  const published: { topic: string; text: string; retain: boolean }[] = [];
  const publisher = (): Publisher => ({
    lost: new AbortController().signal,
    close: async () => undefined,
    publish: async (topic, text, { retain }) => {
      tries++;
      await held;
      if (failure) throw failure;
      published.push({ topic, text, retain });
    },
  });
  let tries = 0;
  let failure: BrokerError | undefined;
  let held: Promise<void> | undefined;
  const link = openLink(() => undefined);
  const parts = {
    link,
    outbox,
    clock: fixedClock({ monotonicMs: () => time.ms, ...change }),
    logger: silentLogger,
    board: () => ({ temperatureCelsius: 51.2 }),
    listenerRuns,
    ...more,
  };
  const report = openHealthReport('t/health', '0.1.0', intervalMs, parts);
  let connection = publisher();
  return {
    outbox,
    link,
    reconnect: () => {
      connection = publisher();
    },
    fail: (error?: BrokerError) => {
      failure = error;
    },
    tries: () => tries,
    /** Messages published from now on are answered only after this. */
    hold: (until: Promise<void>) => {
      held = until;
    },
    /** The message published at this time, if any. */
    async at(ms: number) {
      time.ms = ms;
      const before = published.length;
      report.tick(connection);
      await new Promise((resolve) => setImmediate(resolve));
      const [message] = published.slice(before);
      if (!message) return undefined;
      expect(message).toMatchObject({ topic: 't/health', retain: true });
      const health = JSON.parse(message.text);
      expect(validate(health), JSON.stringify(validate.errors)).toBe(true);
      return health;
    },
  };
}
