import type { Lost, Status } from '../events/event.ts';
import { backoffMs } from '../lib/backoff.ts';
import type { Clock } from '../lib/clock.ts';
import { BrokerError, messageOf } from '../lib/errors.ts';
import type { LinkFault } from '../lib/faults.ts';
import type { Logger } from '../lib/logger.ts';
import { sleep } from '../lib/sleep.ts';
import type { Gap, Outbox, PendingEvent } from '../outbox/outbox.ts';
import { openExpiry } from './expiry.ts';
import type { Link } from './link.ts';
import { linkFaultOf } from './link-fault.ts';
import type { OpenPublisher, Publisher, Report } from './publisher.ts';
import { Queue } from './queue.ts';
import { kindOf, Refusals } from './refusals.ts';
import { toCloudEvent } from './to-cloud-event.ts';
import { topicsOf } from './topics.ts';

export interface DeliveryOptions {
  readonly site: string;
  readonly sensor: string;
  readonly version: string;
  readonly maxInFlight: number;
  readonly historicalAfterSeconds: number;
  readonly maxAgeMs: number;
  /** Events acknowledged by the broker leave the outbox together, after so long at most: each time costs the disk a write. */
  readonly acknowledgeWithinMs: number;
}

export interface DeliveryParts {
  readonly outbox: Outbox;
  readonly openPublisher: OpenPublisher;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: () => number;
  readonly reports?: readonly Report[];
  /** Told whenever the outbox was looked at, or the broker found to be away. Silence means that this loop hangs. */
  readonly progress?: () => void;
  readonly link?: Link;
}

const pollMs = 100; // how often an empty outbox is looked at again
const steadyMs = 10_000;
const acknowledgeTogether = 256;
const retryMs = 60_000; // how often a birth or a gap that the broker refuses is told again
const stuckMs = 90_000; // longer than any publish may take: its time-out has not worked

const refusalWords = {
  refused: 'the broker refuses events; they are kept and tried again',
  no_subscriber: 'nobody subscribes to events at the broker; they are kept and tried again',
} as const;

/**
 * Drains the outbox until the signal aborts: connect, birth, publish in order, acknowledge; on any failure wait with
 * jitter and begin again from the oldest event not acknowledged.
 *
 * INVARIANTS: an event leaves the outbox only after a good PUBACK, which is none where nobody subscribes; at most `maxInFlight` are sent and unacknowledged;
 * events are first sent in order of sequence, but what is fresh when the connection begins, or heard after, overtakes a
 * backlog that takes long (`queue.ts`); a refused event is never thrown away and holds up no other that would be taken (`refusals.ts`).
 */
export async function deliver(options: DeliveryOptions, parts: DeliveryParts, signal: AbortSignal): Promise<void> {
  const { outbox, openPublisher, clock, logger, random, link, progress = () => undefined } = parts;
  const topics = topicsOf(options.site, options.sensor);
  const status = (state: Status['state'], pending?: number) =>
    JSON.stringify({ state, bootId: clock.bootId, version: options.version, ...(pending === undefined ? {} : { pending }) } satisfies Status);
  const expireOld = openExpiry(options.maxAgeMs, { outbox, clock, logger });
  const refusals = new Refusals(random);
  let birthMs = Number.POSITIVE_INFINITY; // when to tell the birth again
  let isBirthRefused = false;
  const told = new Set<LinkFault>(); // of the link, since it last held
  for (let attempt = 0; !signal.aborted; ) {
    let publisher: Publisher | undefined;
    let connectedMs = Number.POSITIVE_INFINITY;
    try {
      publisher = await openPublisher({ topic: topics.status, payload: status('offline') }, signal);
      connectedMs = clock.monotonicMs();
      link?.connected();
      progress(); // the connection and the birth may each take as long as a time-out
      await bear(publisher);
      await outboxReadable(publisher);
      logger.info({ pending: pendingNow() }, 'connected');
      while (!signal.aborted) await drain(publisher);
      const farewell = await publisher.publish(topics.status, status('offline'), { retain: true }).then(
        () => true,
        () => false,
      );
      await publisher.close(farewell);
    } catch (error) {
      await publisher?.close(false); // before the wait, so that the will is published
      if (signal.aborted) return; // a stop ends what is under way: no fault of the link
      const fault = linkFaultOf(error);
      // only a connection that held begins the waits anew: a broker that accepts and breaks is not hammered either, nor do two of one name take turns fast
      if (clock.monotonicMs() - connectedMs > steadyMs && fault !== 'session_taken') attempt = 0;
      const waitMs = backoffMs(attempt, random);
      link?.failed(fault);
      if (attempt === 0) told.clear();
      if (told.has(fault)) logger.debug({ reason: messageOf(error), attempt, waitMs }, 'still not connected');
      else logger.warn({ fault, reason: messageOf(error) }, 'not connected; events are kept');
      told.add(fault);
      attempt++;
      // the time may be what was missing: certificates are not yet valid in 1970
      const hadTime = clock.synchronised();
      for (let leftMs = waitMs; leftMs > 0 && !signal.aborted && clock.synchronised() === hadTime; leftMs -= 1000) {
        progress();
        await expireOld(signal, progress); // it has no need of a broker
        await sleep(Math.min(leftMs, 1000), signal);
      }
    }
  }

  /** Ends when the signal aborts, or when a repair has put another outbox in place, whose numbers begin anew. */
  async function drain(publisher: Publisher): Promise<void> {
    const outboxId = outbox.id;
    const isSame = () => outbox.id === outboxId;
    const inFlight = new Set<number>();
    const acknowledged = new Set<number>(); // and not deleted yet
    const isFlying = ({ sequence }: PendingEvent) => inFlight.has(sequence) || acknowledged.has(sequence);
    const failure = new AbortController();
    const queue = new Queue(outbox, clock, isFlying, options.historicalAfterSeconds);
    let reorder: (() => void) | undefined; // once an event that was tried has left the outbox
    let movedMs = clock.monotonicMs(); // when a publish last settled, or none was under way
    let wake = () => {};
    let acknowledgeMs = Number.POSITIVE_INFINITY;
    const acknowledge = () => {
      acknowledgeMs = Number.POSITIVE_INFINITY;
      const sequences = [...acknowledged];
      acknowledged.clear();
      if (sequences.length > 0 && isSame()) outbox.acknowledge(sequences);
    };
    const settled = () => {
      if (acknowledged.size > 0) acknowledgeMs = Math.min(acknowledgeMs, clock.monotonicMs() + options.acknowledgeWithinMs);
      if (acknowledged.size >= acknowledgeTogether || options.acknowledgeWithinMs === 0) acknowledge();
      wake();
    };
    const stop = AbortSignal.any([signal, publisher.lost, failure.signal]);
    const onStop = () => wake();
    stop.addEventListener('abort', onStop);
    const next = (room: number): PendingEvent[] => {
      const taken = queue.take(room);
      return isSame() ? taken : []; // reading is how a file that was replaced is noticed
    };
    const send = (event: PendingEvent) => {
      inFlight.add(event.sequence);
      const payload = JSON.stringify(toCloudEvent(event, { ...options, outboxId }, clock));
      return publisher
        .publish(topics.event, payload, { retain: false })
        .then(
          () => {
            acknowledged.add(event.sequence);
            const again = queue.passed(event.sequence);
            const refusing = refusals.any;
            if (refusals.taken(event.sequence, clock.monotonicMs(), again)) reorder = () => (again ? queue.rewind() : queue.reread());
            if (refusals.any) return;
            link?.refusing('none');
            if (refusing) logger.info({}, 'the broker takes events again');
          },
          (error) => {
            if (!(error instanceof BrokerError && error.refused)) return failure.abort(error);
            if (refusals.kind !== kindOf(error)) logger.error({ reason: error.message, hint: error.tryHint }, refusalWords[kindOf(error)]);
            refusals.refused(event.sequence, clock.monotonicMs(), error);
            link?.refusing(refusals.kind);
          },
        )
        .finally(() => {
          inFlight.delete(event.sequence);
          // acknowledgements that arrive together become one transaction
          setImmediate(settled);
        });
    };
    const flying = new Set<Promise<void>>();
    const track = (work: Promise<void>) => {
      flying.add(work);
      const settle = () => {
        flying.delete(work);
        movedMs = clock.monotonicMs();
      };
      void work.then(settle, settle);
    };
    const alive = () => {
      if (flying.size === 0) movedMs = clock.monotonicMs();
      if (clock.monotonicMs() - movedMs < stuckMs) progress();
    };
    let reporting = false;
    let gapMs = 0;
    let isGapRefused = false;
    refusals.begin(clock.monotonicMs());
    link?.refusing(refusals.kind);
    try {
      while (!stop.aborted && isSame()) {
        for (const each of parts.reports ?? []) each.tick(publisher);
        if ((await expireOld(stop, alive, acknowledge)) > 0) queue.reread();
        if (reorder) {
          acknowledge(); // what was tried before its turn is not to be found again
          reorder();
          reorder = undefined;
        }
        if (clock.monotonicMs() >= birthMs) track(bear(publisher).catch((error) => failure.abort(error)));
        const gap = reporting || clock.monotonicMs() < gapMs ? undefined : outbox.gaps(1)[0];
        if (!isSame()) break;
        if (!gap) gapMs = Math.max(gapMs, clock.monotonicMs() + (reporting ? 0 : pollMs));
        else {
          reporting = true;
          queue.reread(); // what the listener has removed is not sent after the gap that names it
          track(
            report(publisher, outboxId, gap)
              .then(
                () => {
                  isGapRefused = false;
                  if (isSame()) outbox.gapReported(gap);
                },
                (error) => {
                  if (!(error instanceof BrokerError && error.refused)) throw error;
                  gapMs = clock.monotonicMs() + retryMs; // it holds up no event
                  if (!isGapRefused) logger.error({ reason: error.message, hint: error.tryHint }, 'a gap is refused; it is kept and tried again');
                  isGapRefused = true;
                },
              )
              .then(() => {
                reporting = false;
              })
              .catch((error) => failure.abort(error)),
          );
        }
        if (clock.monotonicMs() >= acknowledgeMs) acknowledge();
        if (inFlight.size < options.maxInFlight && refusals.isDue(clock.monotonicMs(), inFlight.size)) {
          acknowledge();
          const event = refusals.next(queue);
          if (!isSame()) break;
          if (event) track(send(event));
          else link?.refusing('none');
        }
        if (!refusals.stopped) for (const event of next(options.maxInFlight - inFlight.size)) track(send(event));
        alive();
        // one timer, cleared when woken: thousands of sleeps left behind a second outlive the young generation, and fill the old one
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, pollMs);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
          if (stop.aborted) wake();
        });
      }
    } finally {
      stop.removeEventListener('abort', onStop);
      // what is under way is waited for, but not over a connection that is as good as gone: each may take as long as a time-out
      const giveUp = () => {
        if (failure.signal.reason instanceof BrokerError) void publisher.close(false);
      };
      if (failure.signal.aborted) giveUp();
      else failure.signal.addEventListener('abort', giveUp);
      await Promise.allSettled(flying);
      acknowledge();
    }
    if (failure.signal.aborted) throw failure.signal.reason;
    if (publisher.lost.aborted && !signal.aborted) throw publisher.lost.reason;
  }

  /** The birth. One that the broker refuses is told again over the same connection, or the will of an earlier one would stand for as long as this holds. */
  async function bear(publisher: Publisher): Promise<void> {
    birthMs = Number.POSITIVE_INFINITY;
    try {
      await publisher.publish(topics.status, status('online', pendingNow()), { retain: true });
      isBirthRefused = false;
    } catch (error) {
      if (!(error instanceof BrokerError && error.refused)) throw error;
      birthMs = clock.monotonicMs() + retryMs;
      if (!isBirthRefused) logger.error({ reason: error.message }, 'the broker refuses the status; it is tried again, and events are sent all the same');
      isBirthRefused = true;
    }
  }

  function pendingNow(): number | undefined {
    try {
      return outbox.pendingCount();
    } catch {
      return undefined;
    }
  }

  /** Until the disk lets the outbox be read the connection has one use: to say so. */
  async function outboxReadable(publisher: Publisher): Promise<void> {
    const stop = AbortSignal.any([signal, publisher.lost]);
    for (; !stop.aborted && pendingNow() === undefined; await sleep(1000, stop)) {
      for (const each of parts.reports ?? [])
        try {
          each.tick(publisher);
        } catch (error) {
          logger.debug({ reason: messageOf(error) }, 'a report that needs the outbox');
        }
      progress();
    }
    if (publisher.lost.aborted && !signal.aborted) throw publisher.lost.reason;
  }

  function report(publisher: Publisher, outboxId: string, { first, last, reason }: Gap): Promise<void> {
    const lost: Lost = { outbox: outboxId, first, last, reason };
    return publisher.publish(topics.gap, JSON.stringify(lost), { retain: false });
  }
}
