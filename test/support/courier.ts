import { onTestFinished, vi } from 'vitest';
import type { Allowance } from '../../agent/delivery/allowance.ts';
import { deliver } from '../../agent/delivery/deliver.ts';
import { limitedPublisher } from '../../agent/delivery/limited-publisher.ts';
import type { Link } from '../../agent/delivery/link.ts';
import type { Publisher, Report } from '../../agent/delivery/publisher.ts';
import { openSummaries } from '../../agent/delivery/summaries.ts';
import type { Clock } from '../../agent/lib/clock.ts';
import type { Logger } from '../../agent/lib/logger.ts';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { silentLogger } from './samples.ts';

interface Sent {
  readonly topic: string;
  readonly message: { id: string; data: { sequence: number } };
}

export interface CourierFakes {
  readonly maxAgeMs: number;
  readonly acknowledgeWithinMs: number;
  readonly summaries: true;
  readonly reports: readonly Report[];
  readonly link: Link;
  readonly allowance: Allowance;
  readonly logger: Logger;
  readonly random: () => number;
  readonly progress: () => void;
  readonly noteBoot: () => void;
  /** May wait or throw. */
  readonly connect: () => unknown;
  /** Called for each message; may wait or throw. */
  readonly before: ((sent: Sent) => unknown) | undefined;
  /** Called for each connection that the courier ends. */
  readonly close: () => void;
}

/**
 * Runs the courier until the test ends. The publisher is a fake that accepts at once, unless `before` says otherwise.
 */
export function startCourier(outbox: Outbox, clock: Clock, trial: Partial<CourierFakes>) {
  const {
    maxAgeMs = 1e13,
    acknowledgeWithinMs = 0,
    summaries,
    reports: others = [],
    link,
    allowance,
    logger = silentLogger,
    random = () => 0,
    progress = () => undefined,
    noteBoot = () => undefined,
    connect,
    before,
    close,
  } = trial;
  const sent: Sent[] = [];
  let connections = 0;
  const publish = async (topic: string, payload: string) => {
    const one = { topic, message: JSON.parse(payload) };
    await before?.(one);
    sent.push(one);
  };
  const openPublisher = async (): Promise<Publisher> => {
    connections++;
    await connect?.();
    return { lost: new AbortController().signal, publish, close: async () => close?.() };
  };
  const options = { site: 'a', sensor: 'b', version: '0', maxInFlight: 16, historicalAfterSeconds: 60, maxAgeMs, acknowledgeWithinMs };
  const summing = summaries ? [openSummaries('hour', { outbox, clock, logger: silentLogger, ...(allowance ? { allowance } : {}) })] : [];
  const reports = [...summing, ...others];
  const stop = new AbortController();
  const shared = { ...(link ? { link } : {}), ...(allowance ? { allowance } : {}) };
  const limited = allowance ? limitedPublisher(openPublisher, allowance, new Set(['tocsin/v1/a/b/event', 'tocsin/v1/a/b/gap', 'hour'])) : openPublisher;
  const parts = { outbox, openPublisher: limited, clock, logger, random, reports, progress, noteBoot, ...shared };
  const delivering = deliver(options, parts, stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await delivering;
  });
  const of = (kind: string) => sent.filter(({ topic }) => topic.endsWith(kind)).map(({ message }) => message);
  return { of, ids: () => of('/event').map(({ id }) => id), connections: () => connections };
}

export const soon = (check: () => void) => vi.waitFor(check, { timeout: 20_000, interval: 20 });
