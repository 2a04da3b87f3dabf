import type { Lost, Status } from '../events/event.ts';
import { backoffMs } from '../lib/backoff.ts';
import type { Clock } from '../lib/clock.ts';
import { BrokerError, messageOf } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import { sleep } from '../lib/sleep.ts';
import type { Gap, Now, Outbox, PendingEvent } from '../outbox/outbox.ts';
import type { Link } from './link.ts';
import { linkFaultOf } from './link-fault.ts';
import type { OpenPublisher, Publisher, Report } from './publisher.ts';
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
const strictMs = 1000; // a backlog that takes longer than this to drain is overtaken by what is heard meanwhile
const acknowledgeTogether = 256;
const readAhead = 256;
const mostFresh = 3600; // an hour of events at the most there may be
const refusedRetryMs = 60_000; // how often what the broker refuses is tried again on a connection that works
const maxRefused = 1000; // refused events set aside before the connection is given up, so that memory stays bounded
const steadyClockMs = 3_600_000;
const stuckMs = 90_000; // longer than any publish may take: its time-out has not worked

/**
 * Drains the outbox until the signal aborts: connect, birth, publish in order, acknowledge; on any failure wait with
 * jitter and begin again from the oldest event not acknowledged.
 *
 * INVARIANTS: an event leaves the outbox only after a good PUBACK; at most `maxInFlight` are sent and unacknowledged;
 * events are first sent in order of sequence, but what is fresh when the connection begins, or heard after, overtakes a
 * backlog that takes long; a refused event is never thrown away and holds up no other.
 */
export async function deliver(options: DeliveryOptions, parts: DeliveryParts, signal: AbortSignal): Promise<void> {
  const { outbox, openPublisher, clock, logger, random, link, progress = () => undefined } = parts;
  const topics = topicsOf(options.site, options.sensor);
  const status = (state: Status['state'], pending?: number) =>
    JSON.stringify({ state, bootId: clock.bootId, version: options.version, ...(pending === undefined ? {} : { pending }) } satisfies Status);
  for (let attempt = 0; !signal.aborted; ) {
    let publisher: Publisher | undefined;
    let connectedMs = Number.POSITIVE_INFINITY;
    try {
      publisher = await openPublisher({ topic: topics.status, payload: status('offline') }, signal);
      connectedMs = clock.monotonicMs();
      link?.connected();
      progress(); // the connection and the birth may each take as long as a time-out
      await publisher.publish(topics.status, status('online', pendingNow()), { retain: true }).catch((error: unknown) => {
        if (!(error instanceof BrokerError && error.refused)) throw error;
        logger.error({ reason: error.message }, 'the broker refuses the status; events are sent all the same');
      });
      await outboxReadable(publisher);
      logger.info({ pending: pendingNow() }, 'connected');
      while (!signal.aborted) await drain(publisher);
      await publisher.publish(topics.status, status('offline'), { retain: true }).catch(() => undefined);
    } catch (error) {
      const fault = linkFaultOf(error);
      // only a connection that held begins the waits anew: a broker that accepts and breaks is not hammered either, nor do two of one name take turns fast
      if (clock.monotonicMs() - connectedMs > steadyMs && fault !== 'session_taken') attempt = 0;
      const waitMs = backoffMs(attempt, random);
      if (!signal.aborted) link?.failed(fault);
      if (attempt === 0) logger.warn({ fault, reason: messageOf(error), attempt }, 'not connected; events are kept');
      else logger.debug({ reason: messageOf(error), attempt, waitMs }, 'still not connected');
      attempt++;
      // the time may be what was missing: certificates are not yet valid in 1970
      const hadTime = clock.synchronised();
      for (let leftMs = waitMs; leftMs > 0 && !signal.aborted && clock.synchronised() === hadTime; leftMs -= 1000) {
        progress();
        await sleep(Math.min(leftMs, 1000), signal);
      }
    } finally {
      await publisher?.close();
    }
  }

  /** Ends when the signal aborts, or when a repair has put another outbox in place, whose numbers begin anew. */
  async function drain(publisher: Publisher): Promise<void> {
    const outboxId = outbox.id;
    const isSame = () => outbox.id === outboxId;
    const inFlight = new Set<number>();
    const failure = new AbortController();
    const acknowledged: number[] = [];
    const refused = new Set<number>();
    const beganMs = clock.monotonicMs();
    // two places in the queue: what had waited long when the connection began, up to `horizon`, and what came since
    let horizon = lastHistorical();
    let backlog = 0;
    let fresh = horizon;
    let ahead: PendingEvent[] = []; // of the backlog, read and not yet sent
    let freshMs = 0; // when to look for fresh ones again, while there is a backlog
    let nextExpiry = 0;
    let retryRefusedMs = Number.POSITIVE_INFINITY;
    let movedMs = clock.monotonicMs(); // when a publish last settled, or none was under way
    let wake = () => {};
    let acknowledgeMs = Number.POSITIVE_INFINITY;
    const acknowledge = () => {
      acknowledgeMs = Number.POSITIVE_INFINITY;
      const sequences = acknowledged.splice(0);
      if (sequences.length > 0 && isSame()) outbox.acknowledge(sequences);
    };
    const settled = () => {
      if (acknowledged.length > 0) acknowledgeMs = Math.min(acknowledgeMs, clock.monotonicMs() + options.acknowledgeWithinMs);
      if (acknowledged.length >= acknowledgeTogether || options.acknowledgeWithinMs === 0) acknowledge();
      wake();
    };
    const stop = AbortSignal.any([signal, publisher.lost, failure.signal]);
    const onStop = () => wake();
    stop.addEventListener('abort', onStop);
    const next = (room: number): PendingEvent[] => {
      const taken = read(room);
      return isSame() ? taken : []; // reading is how a file that was replaced is noticed
    };
    const read = (room: number): PendingEvent[] => {
      const now = clock.monotonicMs();
      const overtaking = now - beganMs > strictMs && now >= freshMs;
      const taken: PendingEvent[] = [];
      if (overtaking && room > 0) {
        taken.push(...outbox.pending(fresh, room));
        if (taken.length < room) freshMs = now + pollMs;
      }
      if (taken.length < room && ahead.length === 0 && backlog < horizon) {
        ahead = outbox.pending(backlog, readAhead).filter((e) => e.sequence <= horizon);
        backlog = ahead.at(-1)?.sequence ?? horizon;
      }
      taken.push(...ahead.splice(0, room - taken.length));
      const drained = ahead.length === 0 && backlog >= horizon;
      if (!overtaking && taken.length < room && drained) taken.push(...outbox.pending(fresh, room - taken.length));
      for (const { sequence } of taken) fresh = Math.max(fresh, sequence);
      return taken.filter((e) => !inFlight.has(e.sequence) && !refused.has(e.sequence));
    };
    const send = (event: PendingEvent) => {
      inFlight.add(event.sequence);
      const payload = JSON.stringify(toCloudEvent(event, { ...options, outboxId }, clock));
      return publisher
        .publish(topics.event, payload, { retain: false })
        .then(
          () => {
            acknowledged.push(event.sequence);
            if (refused.size === 0) link?.refusing(false);
          },
          (error) => {
            if (!(error instanceof BrokerError && error.refused) || refused.size >= maxRefused) return failure.abort(error);
            if (refused.size === 0) logger.error({ reason: error.message }, 'the broker refuses events; they are kept and tried again');
            refused.add(event.sequence);
            link?.refusing(true);
            if (retryRefusedMs === Number.POSITIVE_INFINITY) retryRefusedMs = clock.monotonicMs() + refusedRetryMs * (0.5 + random());
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
    let reporting = false;
    let gapMs = 0;
    try {
      while (!stop.aborted && isSame()) {
        for (const each of parts.reports ?? []) each.tick(publisher);
        if (clock.monotonicMs() >= nextExpiry) {
          nextExpiry = clock.monotonicMs() + 60_000;
          const expired = outbox.expire(nowOf(clock), options.maxAgeMs);
          if (expired > 0) logger.error({ expired }, 'events were too old to deliver and have expired');
        }
        if (clock.monotonicMs() >= retryRefusedMs) {
          retryRefusedMs = Number.POSITIVE_INFINITY;
          acknowledge(); // what has arrived is not to be found again
          backlog = Math.min(backlog, (ahead[0]?.sequence ?? Number.POSITIVE_INFINITY) - 1, Math.min(...refused) - 1);
          ahead = [];
          horizon = fresh;
          refused.clear();
        }
        const gap = reporting || clock.monotonicMs() < gapMs ? undefined : outbox.gaps(1)[0];
        if (!isSame()) break;
        if (!gap) gapMs = Math.max(gapMs, clock.monotonicMs() + (reporting ? 0 : pollMs));
        else {
          reporting = true;
          track(
            report(publisher, outboxId, gap)
              .then(
                () => void (isSame() && outbox.gapReported(gap)),
                (error) => {
                  if (!(error instanceof BrokerError && error.refused)) throw error;
                  gapMs = clock.monotonicMs() + refusedRetryMs; // it holds up no event
                },
              )
              .then(() => {
                reporting = false;
              })
              .catch((error) => failure.abort(error)),
          );
        }
        if (clock.monotonicMs() >= acknowledgeMs) acknowledge();
        if (flying.size === 0) movedMs = clock.monotonicMs();
        for (const event of next(options.maxInFlight - inFlight.size)) track(send(event));
        if (clock.monotonicMs() - movedMs < stuckMs) progress();
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
      await Promise.allSettled(flying);
      acknowledge();
    }
    if (failure.signal.aborted) throw failure.signal.reason;
    if (publisher.lost.aborted && !signal.aborted) throw publisher.lost.reason;
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

  /** The newest event that is late already: those behind it are fresh, and must not wait for it. */
  function lastHistorical(): number {
    const newest = outbox.newest();
    const recent = outbox.pending(Math.max(0, newest - mostFresh), mostFresh);
    const isFresh = (event: PendingEvent) =>
      event.bootId === clock.bootId && clock.monotonicMs() - event.onsetMonotonicMs <= options.historicalAfterSeconds * 1000;
    const last = recent.findLast((event) => !isFresh(event));
    return last?.sequence ?? Math.max(0, newest - mostFresh);
  }

  function report(publisher: Publisher, outboxId: string, { first, last, reason }: Gap): Promise<void> {
    const lost: Lost = { outbox: outboxId, first, last, reason };
    return publisher.publish(topics.gap, JSON.stringify(lost), { retain: false });
  }
}

/** The wall clock is relied upon only when it was not set for an hour: a jump, or its mending, must not age what is kept. */
function nowOf(clock: Clock): Now {
  const { bootId } = clock;
  const reliable = clock.synchronised() && clock.steadyMs() >= steadyClockMs;
  return { bootId, monotonicMs: clock.monotonicMs(), ...(reliable ? { wallMs: clock.wallMs() } : {}) };
}
