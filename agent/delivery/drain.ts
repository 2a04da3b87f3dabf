import type { Clock } from '../lib/clock.ts';
import { BrokerError } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import { Wait } from '../lib/wait.ts';
import type { Outbox, PendingEvent } from '../outbox/outbox.ts';
import { Acknowledgements } from './acknowledgements.ts';
import type { Birth } from './birth.ts';
import type { ExpireOld } from './expiry.ts';
import { GapReports } from './gap-reports.ts';
import type { Link } from './link.ts';
import type { Publisher, Report } from './publisher.ts';
import { Queue } from './queue.ts';
import { kindOf, type Refusals } from './refusals.ts';
import { toCloudEvent } from './to-cloud-event.ts';
import type { topicsOf } from './topics.ts';
import { UnderWay } from './under-way.ts';

const pollMs = 100; // how often an empty outbox is looked at again

const refusalWords = {
  refused: 'the broker refuses events; they are kept and tried again',
  no_subscriber: 'nobody subscribes to events at the broker; they are kept and tried again',
} as const;

export interface DrainOptions {
  readonly site: string;
  readonly sensor: string;
  readonly maxInFlight: number;
  readonly historicalAfterSeconds: number;
  /** Acknowledged events leave the outbox together, after this time at most: each deletion costs the disk a write. */
  readonly acknowledgeWithinMs: number;
}

export interface CourierParts {
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly reports?: readonly Report[];
  /** Called whenever the outbox was looked at or the broker found to be away. If it is not called, this loop hangs. */
  readonly progress?: () => void;
  readonly link?: Link;
}

/** What outlasts a connection. */
export interface DrainParts extends CourierParts {
  readonly topics: ReturnType<typeof topicsOf>;
  readonly birth: Birth;
  readonly refusals: Refusals;
  readonly expireOld: ExpireOld;
}

/**
 * Publishes what the outbox holds, over one connection, until the signal aborts or a repair has put another outbox in
 * its place, with numbers of its own. Rejects with a BrokerError when the connection fails, once all publishes have
 * settled.
 */
export async function drain(publisher: Publisher, options: DrainOptions, parts: DrainParts, signal: AbortSignal): Promise<void> {
  const { outbox, clock, logger, topics, birth, refusals, expireOld, reports = [], link, progress = () => undefined } = parts;
  const outboxId = outbox.id;
  const isSame = () => outbox.id === outboxId; // ask after a read: reading is how a replaced file is noticed
  const inFlight = new Set<number>();
  const acknowledgements = new Acknowledgements(outbox, clock, options.acknowledgeWithinMs);
  const queue = new Queue(outbox, clock, ({ sequence }) => inFlight.has(sequence) || acknowledgements.has(sequence), options.historicalAfterSeconds);
  const gaps = new GapReports(topics.gap, parts);
  const underWay = new UnderWay(clock);
  const failure = new AbortController();
  const stop = AbortSignal.any([signal, publisher.lost, failure.signal]);
  const wait = new Wait();
  stop.addEventListener('abort', wait.end);
  let reorder: (() => void) | undefined; // once an event that was tried has left the outbox

  const start = (work: Promise<void>) => underWay.add(work.catch((error) => failure.abort(error)));

  const send = async (event: PendingEvent) => {
    const { sequence } = event;
    inFlight.add(sequence);
    try {
      await publisher.publish(topics.event, JSON.stringify(toCloudEvent(event, { ...options, outboxId }, clock)), { retain: false });
      taken(sequence);
    } catch (error) {
      if (!(error instanceof BrokerError && error.refused)) throw error;
      refused(sequence, error);
    } finally {
      inFlight.delete(sequence);
      // acknowledgements that arrive together become one transaction
      setImmediate(() => {
        acknowledgements.flushDue();
        wait.end();
      });
    }
  };

  const taken = (sequence: number) => {
    acknowledgements.add(sequence);
    const again = queue.passed(sequence);
    const wereRefused = refusals.any;
    if (refusals.taken(sequence, clock.monotonicMs(), again)) reorder = () => (again ? queue.rewind() : queue.reread());
    if (refusals.any) return;
    link?.refusing('none');
    if (wereRefused) logger.info({}, 'the broker takes events again');
  };

  const refused = (sequence: number, error: BrokerError) => {
    const kind = kindOf(error);
    if (refusals.kind !== kind) logger.error({ reason: error.message, hint: error.tryHint }, refusalWords[kind]);
    refusals.refused(sequence, clock.monotonicMs(), error);
    link?.refusing(refusals.kind);
  };

  const alive = () => {
    if (!underWay.isStuck) progress();
  };

  /** One look at the outbox; false where it has been replaced. */
  const turn = async (): Promise<boolean> => {
    for (const each of reports) each.tick(publisher);
    if ((await expireOld(stop, alive, () => acknowledgements.flush())) > 0) queue.reread();
    if (reorder) {
      acknowledgements.flush(); // what was tried before its turn is not to be found again
      reorder();
      reorder = undefined;
    }
    if (birth.isDue) start(birth.tell(publisher));
    const gap = gaps.next();
    if (!isSame()) return false;
    if (gap) {
      queue.reread(); // what the listener has removed is not sent after the gap that names it
      start(gaps.report(publisher, gap));
    }
    acknowledgements.flushDue();
    if (inFlight.size < options.maxInFlight && refusals.isDue(clock.monotonicMs(), inFlight.size)) {
      acknowledgements.flush();
      const event = refusals.next(queue);
      if (!isSame()) return false;
      if (event) start(send(event));
      else link?.refusing('none');
    }
    if (refusals.stopped) return true;
    const events = queue.take(options.maxInFlight - inFlight.size);
    if (!isSame()) return false;
    for (const event of events) start(send(event));
    return true;
  };

  refusals.begin(clock.monotonicMs());
  link?.refusing(refusals.kind);
  try {
    while (!stop.aborted && isSame() && (await turn())) {
      alive();
      if (!stop.aborted) await wait.upTo(pollMs);
    }
  } finally {
    stop.removeEventListener('abort', wait.end);
    // publishes in flight are waited for, but not over a connection that counts as lost: each may take a whole time-out
    const giveUp = () => {
      if (failure.signal.reason instanceof BrokerError) void publisher.close(false);
    };
    if (failure.signal.aborted) giveUp();
    else failure.signal.addEventListener('abort', giveUp);
    await underWay.settled();
    acknowledgements.flush();
  }
  if (failure.signal.aborted) throw failure.signal.reason;
  if (publisher.lost.aborted && !signal.aborted) throw publisher.lost.reason;
}
