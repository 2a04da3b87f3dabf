// What a platform has received of one sensor over years, and what must hold of each message. It is a fake without a network: a message arrives
// at once or not at all; the link breaks between a message and its answer.
import { closedPublisher } from '../../agent/delivery/closed-publisher.ts';
import type { OpenPublisher } from '../../agent/delivery/publisher.ts';
import { topicsOf } from '../../agent/delivery/topics.ts';
import { waryPublisher } from '../../agent/delivery/wary-publisher.ts';
import type { GapMessage, SoundEvent } from '../../agent/events/event.ts';
import { closedForm } from '../../agent/events/published.ts';
import type { Summary } from '../../agent/events/summary.ts';
import type { Clock } from '../../agent/lib/clock.ts';
import { BrokerError, LinkError, UnsentError } from '../../agent/lib/errors.ts';
import { silentLogger } from '../support/samples.ts';
import { covered, isIn } from './outbox-model.ts';
import { expectSame, expectThat } from './random-steps.ts';

export const [site, sensor] = ['old-port', 'lamp-post-12'];
const rightWithinMs = 3000;

/** What was heard, as only the test knows it. */
interface Truth {
  readonly label: string;
  readonly bootId: string;
  readonly trueMs: number;
}

export class YearsBroker {
  isDown = false;
  /** Share of the messages whose answer is lost with the connection. */
  lossOfAnswers = 0.005;
  firstNumber = 1;
  readonly heard = new Map<number, Truth>();
  readonly arrived = new Set<number>();
  readonly hours = new Set<number>();
  /** What waits in a file whose log was lost may have been deleted in that log. */
  readonly cameBack = new Set<number>();
  gaps: Pick<GapMessage, 'first' | 'last'>[] = [];
  readonly counts = { events: 0, again: 0, gaps: 0, hours: 0, health: 0, connections: 0, corrected: 0, unsynchronised: 0 };
  /** The first that was wrong. It cannot be thrown at the courier, which would take it for a fault of the link. */
  wrong: unknown;
  #outboxId = '';
  #end: (() => void) | undefined;
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** As the courier opens it, with the gates that stand before the network. */
  opener(clock: Clock): OpenPublisher {
    const gated = closedPublisher(this.#open, closedForm(topicsOf(site, sensor)));
    const noting: OpenPublisher = async (will, signal) => {
      const publisher = await gated(will, signal);
      const publish: typeof publisher.publish = (...message) =>
        publisher.publish(...message).catch((error: unknown) => {
          if (error instanceof UnsentError) this.wrong ??= new Error(`refused by its own schema: ${message[1]}`);
          throw error;
        });
      return { ...publisher, publish };
    };
    return waryPublisher(noting, { clock, logger: silentLogger });
  }

  breakLink(): void {
    this.#end?.();
  }

  readonly #open: OpenPublisher = async () => {
    if (this.isDown) throw new BrokerError('no broker', 'wait', false, { cause: new LinkError('unreachable', 'no broker') });
    const lost = new AbortController();
    const broken = () => new BrokerError('the connection ended', 'wait', false, { cause: new LinkError('connection_lost', 'ended') });
    const end = () => lost.abort(broken());
    this.#end = end;
    this.counts.connections++;
    return {
      lost: lost.signal,
      publish: async (topic, payload) => {
        if (lost.signal.aborted) throw broken();
        try {
          this.#arrives(topic, JSON.parse(payload));
        } catch (error) {
          this.wrong ??= error;
        }
        if (this.#random() >= this.lossOfAnswers) return;
        end();
        throw broken();
      },
      close: async () => end(),
    };
  };

  #arrives(topic: string, message: object): void {
    if (topic.endsWith('/event')) this.#event(message as SoundEvent);
    if (topic.endsWith('/gap')) this.#gap(message as GapMessage);
    if (topic.endsWith('/summary')) this.#hour(message as Summary);
    if (topic.endsWith('/health')) this.counts.health++;
  }

  #event({ id, time, data }: SoundEvent): void {
    const { label, bootId, sequence, clock } = data;
    this.#isOfOutbox(id.split('-')[0] as string);
    const truth = this.heard.get(sequence);
    expectSame({ label, bootId }, { label: truth?.label, bootId: truth?.bootId }, `event ${sequence} is another`);
    const offMs = Date.parse(time) - (truth?.trueMs ?? 0);
    if (clock !== 'unsynchronised') expectThat(Math.abs(offMs) <= rightWithinMs, 'a wrong time without a mark', id, time, clock, offMs);
    expectThat(!isIn(this.gaps, sequence) || this.cameBack.has(sequence), 'an event after the gap that names it', sequence);
    if (this.arrived.has(sequence)) this.counts.again++;
    else this.counts.events++;
    if (clock !== 'synchronised') this.counts[clock]++;
    this.arrived.add(sequence);
  }

  #gap({ outbox, first, last }: GapMessage): void {
    this.#isOfOutbox(outbox);
    this.counts.gaps++;
    this.gaps = covered([...this.gaps, { first, last }]).map((span) => ({ first: span[0], last: span[1] }));
  }

  #hour({ outbox, sequence }: Summary): void {
    this.#isOfOutbox(outbox);
    if (!this.hours.has(sequence)) this.counts.hours++;
    this.hours.add(sequence);
  }

  #isOfOutbox(id: string): void {
    this.#outboxId ||= id;
    expectSame(id, this.#outboxId, 'the outbox has another id');
  }

  /** Every number that was given out has arrived, or a gap names it. */
  judge(newest: number): void {
    if (this.wrong) throw this.wrong;
    for (let number = this.firstNumber, gap = 0; number <= newest; number++) {
      while ((this.gaps[gap]?.last ?? Number.POSITIVE_INFINITY) < number) gap++;
      const isTold = number >= (this.gaps[gap]?.first ?? Number.POSITIVE_INFINITY);
      expectThat(isTold || this.arrived.has(number), 'neither arrived nor in a gap', number, this.heard.get(number));
    }
  }
}
