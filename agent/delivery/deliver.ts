import type { Status } from '../events/event.ts';
import { messageOf } from '../lib/errors.ts';
import type { LinkFault } from '../lib/faults.ts';
import { ifPossible } from '../lib/if-possible.ts';
import { sleep } from '../lib/sleep.ts';
import { Attempts } from './attempts.ts';
import { Birth } from './birth.ts';
import { type CourierParts, type DrainOptions, drain } from './drain.ts';
import { openExpiry } from './expiry.ts';
import { connectedLine } from './link.ts';
import { linkFaultOf } from './link-fault.ts';
import type { OpenPublisher, Publisher } from './publisher.ts';
import { Refusals } from './refusals.ts';
import { topicsOf } from './topics.ts';

interface DeliveryOptions extends DrainOptions {
  readonly version: string;
  readonly maxAgeMs: number;
}

interface DeliveryParts extends CourierParts {
  readonly openPublisher: OpenPublisher;
  readonly random: () => number;
}

const steadyMs = 10_000; // since the first answer: one that never comes is waited for longer than this

/**
 * Drains the outbox until the signal aborts: connect, birth, publish in order, acknowledge (`drain.ts`). On any failure
 * it waits with jitter and begins again with the oldest unacknowledged event.
 *
 * INVARIANTS
 * - An event leaves the outbox only after a PUBACK that says neither that it is refused nor that nobody subscribes.
 * - At most `maxInFlight` events are sent and unacknowledged.
 * - Events are first sent in order of sequence. Fresh ones, which are new when the connection begins or heard later,
 *   overtake a backlog that takes long (`queue.ts`).
 * - A refused event is never thrown away, and holds up no other that the broker would take (`refusals.ts`).
 */
export async function deliver(options: DeliveryOptions, parts: DeliveryParts, signal: AbortSignal): Promise<void> {
  const { outbox, openPublisher, clock, logger, random, link, noteBoot, progress = () => undefined } = parts;
  const topics = topicsOf(options.site, options.sensor);
  const status = (state: Status['state'], pending?: number) =>
    JSON.stringify({ state, bootId: clock.bootId, version: options.version, ...(pending === undefined ? {} : { pending }) } satisfies Status);
  const expireOld = openExpiry(options.maxAgeMs, { outbox, clock, logger });
  const refusals = new Refusals(random);
  const birth = new Birth(topics.status, () => status('online', pendingNow()), parts);
  const told = new Set<LinkFault>(); // in the journal, since the link last held
  let answeredMs = Number.POSITIVE_INFINITY; // when the broker first answered a message over this connection

  const attempts = new Attempts();
  while (!signal.aborted) {
    let publisher: Publisher | undefined;
    answeredMs = Number.POSITIVE_INFINITY;
    try {
      publisher = await openPublisher({ topic: topics.status, payload: status('offline') }, signal);
      await serve(publisher);
    } catch (error) {
      await publisher?.close(false); // before the wait, so that the will is published
      if (signal.aborted) return; // a stop ends what is under way: no fault of the link
      const fault = linkFaultOf(error);
      // Only a connection that held resets the backoff. So a broker that accepts and breaks is not hammered, and two
      // sensors of one name do not take the session from each other fast.
      if (clock.monotonicMs() - answeredMs > steadyMs && fault !== 'session_taken') attempts.restart();
      link?.failed(fault);
      const attempt = attempts.made;
      if (attempt === 0) told.clear();
      const waitMs = attempts.waitMs(fault, random);
      if (told.has(fault)) logger.debug({ reason: messageOf(error), attempt, waitMs }, 'still not connected');
      else logger.warn({ fault, reason: messageOf(error) }, 'not connected; events are kept');
      told.add(fault);
      await beforeNextAttempt(waitMs);
    }
  }

  /** Uses one connection, from the birth to the farewell. */
  async function serve(publisher: Publisher): Promise<void> {
    link?.connected();
    progress(); // the connection and the birth may each take as long as a time-out
    await birth.tell(publisher);
    answeredMs = clock.monotonicMs();
    await outboxReadable(publisher);
    logger.info({ pending: pendingNow() }, connectedLine);
    while (!signal.aborted) await drain(publisher, options, { ...parts, topics, birth, refusals, expireOld }, signal);
    const farewell = await publisher.publish(topics.status, status('offline'), { retain: true }).then(
      () => true,
      () => false,
    );
    await publisher.close(farewell);
  }

  async function beforeNextAttempt(waitMs: number): Promise<void> {
    const hadTime = clock.synchronised(); // the time may be what was missing: certificates are not yet valid in 1970
    for (let leftMs = waitMs; leftMs > 0 && !signal.aborted && clock.synchronised() === hadTime; leftMs -= 1000) {
      progress();
      // these have no need of a broker
      noteBoot?.();
      await expireOld(signal, progress);
      outbox.faults(); // who looks at them deletes a damaged file after its week
      await sleep(Math.min(leftMs, 1000), signal);
    }
  }

  function pendingNow(): number | undefined {
    return ifPossible(() => outbox.pendingCount());
  }

  /** Waits until the outbox can be read. Meanwhile the connection has one use: health tells the fault. */
  async function outboxReadable(publisher: Publisher): Promise<void> {
    const stop = AbortSignal.any([signal, publisher.lost]);
    for (; !stop.aborted && pendingNow() === undefined; await sleep(1000, stop)) {
      for (const each of parts.reports ?? [])
        try {
          each.tick(publisher);
        } catch (error) {
          logger.debug({ reason: messageOf(error) }, 'a report could not be read from the outbox');
        }
      progress();
    }
    if (publisher.lost.aborted && !signal.aborted) throw publisher.lost.reason;
  }
}
