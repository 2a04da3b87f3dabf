import type { Status } from '../events/event.ts';
import { backoffMs } from '../lib/backoff.ts';
import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import { sleep } from '../lib/sleep.ts';
import type { Outbox } from '../outbox/outbox.ts';
import type { HealthReport } from './health.ts';
import type { OpenPublisher, Publisher } from './publisher.ts';
import { toCloudEvent } from './to-cloud-event.ts';
import { topicsOf } from './topics.ts';

export interface DeliveryOptions {
  readonly site: string;
  readonly sensor: string;
  readonly version: string;
  readonly maxInFlight: number;
  readonly historicalAfterSeconds: number;
  readonly maxAgeMs: number;
}

export interface DeliveryParts {
  readonly outbox: Outbox;
  readonly openPublisher: OpenPublisher;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  readonly health?: HealthReport;
  /** Told whenever the outbox was looked at, or the broker found to be away. Silence means that this loop hangs. */
  readonly progress?: () => void;
}

const pollMs = 100; // how often an empty outbox is looked at again
const stuckMs = 90_000; // longer than any publish may take: its time-out has not worked

/**
 * Drains the outbox until the signal aborts: connect, birth, publish in order, acknowledge; on any failure wait with
 * jitter and begin again from the oldest event not acknowledged.
 *
 * INVARIANTS: an event leaves the outbox only after a good PUBACK; at most `maxInFlight` are sent and unacknowledged;
 * events are first sent in order of sequence; a refused event is never thrown away.
 */
export async function deliver(options: DeliveryOptions, parts: DeliveryParts, signal: AbortSignal): Promise<void> {
  const { outbox, openPublisher, clock, logger, random, progress = () => undefined } = parts;
  const topics = topicsOf(options.site, options.sensor);
  const status = (state: Status['state'], pending?: number) =>
    JSON.stringify({ state, bootId: clock.bootId, version: options.version, ...(pending === undefined ? {} : { pending }) } satisfies Status);
  for (let attempt = 0; !signal.aborted; ) {
    let publisher: Publisher | undefined;
    try {
      publisher = await openPublisher({ topic: topics.status, payload: status('offline') }, signal);
      await publisher.publish(topics.status, status('online', outbox.pendingCount()), { retain: true });
      logger.info({ pending: outbox.pendingCount() }, 'connected');
      await drain(publisher, () => {
        attempt = 0;
      });
      await publisher.publish(topics.status, status('offline'), { retain: true }).catch(() => undefined);
    } catch (error) {
      const waitMs = backoffMs(attempt, random);
      if (attempt === 0) logger.warn({ reason: messageOf(error), pending: outbox.pendingCount() }, 'not connected; events are kept');
      else logger.debug({ reason: messageOf(error), attempt, waitMs }, 'still not connected');
      attempt++;
      for (let leftMs = waitMs; leftMs > 0 && !signal.aborted; leftMs -= 1000) {
        progress();
        await sleep(Math.min(leftMs, 1000), signal);
      }
    } finally {
      await publisher?.close();
    }
  }

  async function drain(publisher: Publisher, succeeded: () => void): Promise<void> {
    const inFlight = new Map<number, Promise<void>>();
    const failure = new AbortController();
    const acknowledged: number[] = [];
    let sent = 0;
    let nextExpiry = 0;
    let movedMs = clock.monotonicMs(); // when a publish last settled, or none was under way
    let wake = () => {};
    const settled = () => {
      if (acknowledged.length > 0) {
        outbox.acknowledge(acknowledged.splice(0));
        succeeded();
      }
      wake();
    };
    const stop = AbortSignal.any([signal, publisher.lost, failure.signal]);
    while (!stop.aborted) {
      parts.health?.tick(publisher);
      if (clock.monotonicMs() >= nextExpiry) {
        nextExpiry = clock.monotonicMs() + 60_000;
        const expired = clock.synchronised() ? outbox.expire(clock.wallMs(), options.maxAgeMs) : 0;
        if (expired > 0) logger.error({ expired }, 'events were too old to deliver and have expired');
      }
      if (inFlight.size === 0) movedMs = clock.monotonicMs();
      for (const event of outbox.pending(sent, options.maxInFlight - inFlight.size)) {
        const payload = JSON.stringify(toCloudEvent(event, { ...options, outboxId: outbox.id }, clock));
        sent = event.sequence;
        const done = publisher
          .publish(topics.event, payload, { retain: false })
          .then(
            () => void acknowledged.push(event.sequence),
            (error) => failure.abort(error),
          )
          .finally(() => {
            inFlight.delete(event.sequence);
            movedMs = clock.monotonicMs();
            // acknowledgements that arrive together become one transaction
            setImmediate(settled);
          });
        inFlight.set(event.sequence, done);
      }
      if (clock.monotonicMs() - movedMs < stuckMs) progress();
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      await Promise.race([woken, sleep(pollMs, stop)]);
    }
    await Promise.allSettled(inFlight.values());
    if (acknowledged.length > 0) outbox.acknowledge(acknowledged.splice(0));
    if (failure.signal.aborted) throw failure.signal.reason;
    if (publisher.lost.aborted && !signal.aborted) throw new Error('the connection broke');
  }
}
