// A broker and the platform behind it, and what they may expect of a courier. It is a fake without a network: messages arrive in the order in
// which they were sent until the link is cut; answers come late, out of order or never. A broker's session is not shown.
import type { Publisher } from '../../agent/delivery/publisher.ts';
import { BrokerError, LinkError, NoSubscriberError } from '../../agent/lib/errors.ts';
import type { Gap } from '../../agent/outbox/outbox.ts';
import { isIn } from './outbox-model.ts';
import { expectSame, expectThat } from './random-steps.ts';

export const maxInFlight = 16;
const ackTimeoutMs = 30_000;
const strictMs = 1000; // for so long nothing overtakes
const freshMs = 8000; // a second in strict order, and a burst of three full windows of answers that take up to 2 s

type Answer = 'taken' | 'refused' | 'no_subscriber';

interface Connection {
  readonly lost: AbortController;
  readonly beganMs: number;
  /** The last event that was late when the broker answered the birth. Those behind it are fresh. */
  horizon: number | undefined;
  readonly lastLate: () => number;
  readonly sent: number[];
  readonly flying: Set<number>;
  readonly fails: Set<(error: Error) => void>;
  isCut: boolean;
}

export class BrokerModel {
  isDown = false;
  answerMs = 0; // at most
  lossOfAnswers = 0;
  answerTo: (sequence: number) => Answer = () => 'taken';
  /** Whether the clock jumped or an answer may be missing, so that nothing can be said of how soon an event is sent. */
  isLate = false;
  /** Whether it ever refused: then what was refused is sent again, out of order. */
  hasRefused = false;
  sends = 0;
  duplicates = 0;
  /** The first that was wrong. It cannot be thrown at the courier, which would take it for a fault of the link. */
  wrong: unknown;
  readonly arrived = new Map<string, unknown>();
  readonly gaps: (Gap & { outbox: string })[] = [];
  readonly hours: number[] = [];
  /** What the courier that runs now knows to have arrived. */
  readonly answered = new Set<string>();
  readonly #random: () => number;
  readonly #heardMs: ReadonlyMap<number, number>;
  #connection: Connection | undefined;

  constructor(random: () => number, heardMs: ReadonlyMap<number, number>) {
    [this.#random, this.#heardMs] = [random, heardMs];
  }

  connect(lastLate: () => number): Publisher {
    if (this.isDown || this.#random() < 0.1) throw new BrokerError('connect ECONNREFUSED', 'wait', false);
    const parts = { sent: [], flying: new Set<number>(), fails: new Set<(error: Error) => void>() };
    const connection: Connection = { lost: new AbortController(), beganMs: Date.now(), horizon: undefined, lastLate, isCut: false, ...parts };
    this.#connection = connection;
    return {
      lost: connection.lost.signal,
      publish: (topic, payload) => this.#publish(connection, topic, JSON.parse(payload)),
      close: async () => this.#end(connection),
    };
  }

  break(): void {
    if (this.#connection) this.#end(this.#connection);
  }

  /** From now on nothing arrives over the connection there is, and it does not end. */
  cut(isCut: boolean): void {
    if (this.#connection) this.#connection.isCut = isCut;
  }

  #end(connection: Connection): void {
    const error = new BrokerError('the connection ended', 'wait', false, { cause: new LinkError('connection_lost', 'ended') });
    connection.lost.abort(error);
    for (const fail of [...connection.fails]) fail(error);
  }

  #publish(connection: Connection, topic: string, message: { id: string; data: { sequence: number } }): Promise<void> {
    if (connection.lost.signal.aborted) return Promise.reject(new BrokerError('no connection', 'wait', false));
    const sequence = topic.endsWith('/event') ? message.data.sequence : undefined;
    const answer = sequence === undefined ? 'taken' : this.answerTo(sequence);
    try {
      if (sequence !== undefined) this.#judge(connection, message.id, sequence);
      if (!connection.isCut && answer === 'taken') this.#arrives(topic, message);
    } catch (error) {
      this.wrong ??= error;
    }
    if (sequence !== undefined) connection.flying.add(sequence);
    const isAnswered = !connection.isCut && this.#random() >= this.lossOfAnswers;
    return new Promise((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer);
        connection.fails.delete(fail);
        if (sequence !== undefined) connection.flying.delete(sequence);
      };
      const fail = (error: Error) => {
        settle();
        reject(error);
      };
      const late = () => fail(new BrokerError('no PUBACK', 'wait', false, { cause: new LinkError('no_answer', 'late') }));
      const answered = () => {
        if (answer === 'refused') return fail(new BrokerError('reason code 135', 'wait', true));
        if (answer === 'no_subscriber') return fail(new NoSubscriberError('nobody subscribes', 'wait'));
        if (sequence !== undefined) this.answered.add(message.id);
        connection.horizon ??= connection.lastLate();
        settle();
        resolve();
      };
      connection.fails.add(fail);
      const timer = isAnswered ? setTimeout(answered, this.#random() * this.answerMs) : setTimeout(late, ackTimeoutMs);
    });
  }

  /** What holds of each event when it is sent. */
  #judge(connection: Connection, id: string, sequence: number): void {
    this.sends++;
    const { flying, sent, horizon = 0, beganMs } = connection;
    expectThat(!flying.has(sequence), 'sent while it is under way', sequence);
    expectThat(flying.size < maxInFlight, `more than ${maxInFlight} under way`, flying.size);
    expectThat(!this.answered.has(id), 'sent again after its PUBACK', id);
    expectThat(!isIn(this.gaps, sequence), 'sent after the gap that names it', sequence, this.gaps);
    const isFresh = sequence > horizon;
    if (!this.hasRefused) {
      const before = sent.findLast((other) => other > horizon === isFresh) ?? 0;
      expectThat(sequence > before, 'out of order', sequence, before, horizon);
      const isSoon = Date.now() - beganMs <= strictMs;
      expectThat(!isSoon || sequence > (sent.at(-1) ?? 0), 'out of order in the first second', sequence, sent.at(-1));
      const waitedMs = Date.now() - Math.max(this.#heardMs.get(sequence) ?? 0, beganMs);
      if (isFresh && !this.isLate && !connection.isCut) expectThat(waitedMs <= freshMs, 'a fresh event waits for the backlog', sequence, waitedMs, horizon);
    }
    sent.push(sequence);
  }

  #arrives(topic: string, message: object): void {
    if (topic.endsWith('/gap')) this.gaps.push(message as Gap & { outbox: string });
    if (topic === 'hour') {
      const { sequence } = message as { sequence: number };
      if (this.hours.includes(sequence)) return;
      expectThat(sequence > (this.hours.at(-1) ?? 0), 'an hour out of order', sequence, this.hours);
      this.hours.push(sequence);
    }
    if (!topic.endsWith('/event')) return;
    const { id, data } = message as { id: string; data: { label: string; sequence: number; bootId: string } };
    const event = { label: data.label, sequence: data.sequence, bootId: data.bootId };
    if (this.arrived.has(id)) {
      this.duplicates++;
      expectSame(event, this.arrived.get(id), `one id for two events, ${id}`);
    }
    this.arrived.set(id, event);
  }
}
