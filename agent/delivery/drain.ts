import type { Clock } from '../lib/clock.ts';
import { BrokerError } from '../lib/errors.ts';
import type { Logger } from '../lib/logger.ts';
import { Wait } from '../lib/wait.ts';
import type { Outbox, PendingEvent } from '../outbox/outbox.ts';
import { Acknowledgements } from './acknowledgements.ts';
import type { Allowance } from './allowance.ts';
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
  no_subscriber: 'nobody subscribes to this sensor’s events at the broker; they are kept and tried again',
  beyond_rate: 'more events wait than an honest listener stores; they are kept and sent at the rate of outbox.maxEventsPerMinute',
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
  /** Notes when this boot began. Called often, with a connection or without. */
  readonly noteBoot?: () => void;
  /** Called whenever the outbox was looked at or the broker found to be away. If it is not called, this loop hangs. */
  readonly progress?: () => void;
  readonly link?: Link;
  /** How many more messages the courier may send; without it, any number. */
  readonly allowance?: Pick<Allowance, 'left'>;
}

/** What outlasts a connection. */
interface DrainParts extends CourierParts {
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
  await new Drain(publisher, options, parts, signal).run();
}

/** One connection's work. */
class Drain {
  readonly #publisher: Publisher;
  readonly #options: DrainOptions;
  readonly #parts: DrainParts;
  readonly #signal: AbortSignal;
  readonly #outboxId: string;
  readonly #inFlight = new Set<number>();
  readonly #acknowledgements: Acknowledgements;
  readonly #queue: Queue;
  readonly #gaps: GapReports;
  readonly #underWay: UnderWay;
  readonly #failure = new AbortController();
  readonly #stop: AbortSignal;
  readonly #wait = new Wait();
  /** To be called once an event that was tried has left the outbox. */
  #reorder: (() => void) | undefined;
  /** Events waited for the allowance when last looked at. */
  #isBeyondRate = false;

  constructor(publisher: Publisher, options: DrainOptions, parts: DrainParts, signal: AbortSignal) {
    const { outbox, clock, topics } = parts;
    this.#publisher = publisher;
    this.#options = options;
    this.#parts = parts;
    this.#signal = signal;
    this.#outboxId = outbox.id;
    this.#acknowledgements = new Acknowledgements(outbox, clock, options.acknowledgeWithinMs);
    const isUnderWay = ({ sequence }: PendingEvent) => this.#inFlight.has(sequence) || this.#acknowledgements.has(sequence);
    this.#queue = new Queue(outbox, clock, isUnderWay, options.historicalAfterSeconds);
    this.#gaps = new GapReports(topics.gap, parts);
    this.#underWay = new UnderWay(clock);
    this.#stop = AbortSignal.any([signal, publisher.lost, this.#failure.signal]);
  }

  async run(): Promise<void> {
    const { refusals, clock } = this.#parts;
    this.#stop.addEventListener('abort', this.#wait.end);
    refusals.begin(clock.monotonicMs());
    this.#tellLink();
    try {
      while (!this.#stop.aborted && this.#isSame && (await this.#turn())) {
        this.#alive();
        if (!this.#stop.aborted) await this.#wait.upTo(pollMs);
      }
    } finally {
      this.#stop.removeEventListener('abort', this.#wait.end);
      await this.#settle();
    }
    if (this.#failure.signal.aborted) throw this.#failure.signal.reason;
    if (this.#publisher.lost.aborted && !this.#signal.aborted) throw this.#publisher.lost.reason;
  }

  /** Asked after a read: reading is how a replaced file is noticed. */
  get #isSame(): boolean {
    return this.#parts.outbox.id === this.#outboxId;
  }

  /** One look at the outbox; false where it has been replaced. */
  async #turn(): Promise<boolean> {
    const { reports = [], noteBoot, birth, clock, refusals } = this.#parts;
    noteBoot?.(); // first: what the others say of the time may hang on it
    for (const each of reports) each.tick(this.#publisher);
    const maySend = await this.#expireAndReorder();
    if (birth.isDue) this.#start(birth.tell(this.#publisher));
    const gap = this.#left >= 1 ? this.#gaps.next() : undefined;
    if (!this.#isSame) return false;
    if (gap) {
      this.#queue.reread(); // what the listener has removed is not sent after the gap that names it
      this.#start(this.#gaps.report(this.#publisher, gap));
    }
    this.#acknowledgements.flushDue();
    if (!maySend) return true;
    if (this.#room >= 1 && refusals.isDue(clock.monotonicMs(), this.#inFlight.size)) {
      this.#acknowledgements.flush();
      const event = refusals.next(this.#queue);
      if (!this.#isSame) return false;
      if (event) this.#start(this.#send(event));
      else this.#tellLink();
    }
    if (refusals.stopped) return true;
    const events = this.#queue.take(this.#room);
    if (!this.#isSame) return false;
    for (const event of events) this.#start(this.#send(event));
    this.#judgeRate(events.length);
    return true;
  }

  get #left(): number {
    return this.#parts.allowance?.left ?? Number.POSITIVE_INFINITY;
  }

  /** How many messages may be sent now. */
  get #room(): number {
    return Math.min(this.#options.maxInFlight - this.#inFlight.size, this.#left);
  }

  /** Whether events wait for the allowance: until there is room and none waits. */
  #judgeRate(taken: number): void {
    const { logger, outbox } = this.#parts;
    const was = this.#isBeyondRate;
    if (this.#left < 1) this.#isBeyondRate ||= outbox.pendingCount() > this.#inFlight.size;
    else if (taken === 0 && this.#room >= 1) this.#isBeyondRate = false;
    if (this.#isBeyondRate === was) return;
    if (this.#isBeyondRate) logger.error({ hint: 'sudo tocsin privacy verify shows whether the listener was replaced' }, refusalWords.beyond_rate);
    this.#tellLink();
  }

  #tellLink(): void {
    const { link, refusals } = this.#parts;
    link?.refusing(refusals.any ? refusals.kind : this.#isBeyondRate ? 'beyond_rate' : 'none');
  }

  /**
   * Removes what is too old; false while that cannot be done. The queue begins anew where events, or one that was
   * tried, have left the outbox.
   */
  async #expireAndReorder(): Promise<boolean> {
    const acknowledge = () => this.#acknowledgements.flush();
    const expired = await this.#parts.expireOld(this.#stop, () => this.#alive(), acknowledge);
    if (expired === undefined) return false;
    if (expired > 0) this.#queue.reread();
    if (!this.#reorder) return true;
    acknowledge(); // what was tried before its turn is not to be found again
    this.#reorder();
    this.#reorder = undefined;
    return true;
  }

  #start(work: Promise<void>): void {
    this.#underWay.add(work.catch((error) => this.#failure.abort(error)));
  }

  async #send(event: PendingEvent): Promise<void> {
    const { sequence } = event;
    const { topics, clock } = this.#parts;
    this.#inFlight.add(sequence);
    try {
      const message = JSON.stringify(toCloudEvent(event, { ...this.#options, outboxId: this.#outboxId }, clock));
      await this.#publisher.publish(topics.event, message, { retain: false });
      this.#taken(sequence);
    } catch (error) {
      if (!(error instanceof BrokerError && error.refused)) throw error;
      this.#refused(sequence, error);
    } finally {
      this.#inFlight.delete(sequence);
      // acknowledgements that arrive together become one transaction
      setImmediate(() => {
        this.#acknowledgements.flushDue();
        this.#wait.end();
      });
    }
  }

  #taken(sequence: number): void {
    const { refusals, clock, logger } = this.#parts;
    this.#acknowledgements.add(sequence);
    const again = this.#queue.passed(sequence);
    const wereRefused = refusals.any;
    if (refusals.taken(sequence, clock.monotonicMs(), again)) this.#reorder = () => (again ? this.#queue.rewind() : this.#queue.reread());
    if (refusals.any) return;
    this.#tellLink();
    if (wereRefused) logger.info({}, 'the broker takes events again');
  }

  #refused(sequence: number, error: BrokerError): void {
    const { refusals, clock, logger } = this.#parts;
    const kind = kindOf(error);
    if (refusals.kind !== kind) logger.error({ reason: error.message, hint: error.tryHint }, refusalWords[kind]);
    refusals.refused(sequence, clock.monotonicMs(), error);
    this.#tellLink();
  }

  #alive(): void {
    if (!this.#underWay.isStuck) this.#parts.progress?.();
  }

  /** Waits for publishes in flight, but not over a connection that counts as lost: each may take a whole time-out. */
  async #settle(): Promise<void> {
    const { signal } = this.#failure;
    const giveUp = () => {
      if (signal.reason instanceof BrokerError) void this.#publisher.close(false);
    };
    if (signal.aborted) giveUp();
    else signal.addEventListener('abort', giveUp);
    await this.#underWay.settled();
    this.#acknowledgements.flush();
  }
}
