// The courier against a model of a broker, on Vitest's clock, beside a listener on the same outbox file. While the disk takes nothing a
// write fails in a fake, before SQLite is asked. A courier that is killed reads and writes nothing more; what it held in memory is gone.
import { vi } from 'vitest';
import { deliver } from '../../agent/delivery/deliver.ts';
import { openSummaries } from '../../agent/delivery/summaries.ts';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { mortal } from '../support/mortal.ts';
import { bootId, fixedClock, hourSummary, recordedEvent, silentLogger } from '../support/samples.ts';
import { BrokerModel, maxInFlight } from './broker-model.ts';
import { isIn } from './outbox-model.ts';
import { expectSame, expectThat, type Step } from './random-steps.ts';
import { newFolder, type OnWrite, TwoHalves } from './two-halves.ts';

export const weights = {
  hear: 12,
  drop: 1,
  hour: 2,
  wait: 20,
  jump: 3, // as after a suspend
  breakLink: 3,
  cutLink: 2,
  down: 2,
  answers: 5,
  refuse: 5,
  takeAll: 3,
  restart: 2,
  kill: 2,
  disk: 2,
};
type Kind = keyof typeof weights;
const [historicalAfterSeconds, maxAgeMs] = [60, 3_600_000];
const hurryMs = 1_500_000; // within so long all is sent, once the broker takes everything
const beganWallMs = 1_790_000_000_000;
const earlierBoot = '1b6f1c2e-7d3a-4f5b-9c8d-1e2f3a4b5c6d';
/** What happened in all trials: a trial in which nothing is sent twice shows nothing of that. */
export const counts = { sent: 0, arrived: 0, duplicates: 0, expired: 0, gaps: 0 };

interface Life {
  readonly outbox: Outbox;
  readonly stop: AbortController;
  ended: Promise<unknown>;
  isDead: boolean;
}

export class CourierTrial {
  readonly #heardMs = new Map<number, number>();
  readonly #random: () => number;
  readonly #refuses: boolean;
  readonly #broker: BrokerModel;
  readonly #halves: TwoHalves;
  #life: Life;
  #isDiskWell = true;
  #hours = 0;

  /** In every other trial the broker refuses nothing, and the order is judged. */
  constructor(choice: number, random: () => number) {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'], now: 7_200_000 });
    [this.#random, this.#refuses] = [random, random() < 0.5];
    this.#broker = new BrokerModel(random, this.#heardMs);
    this.#halves = new TwoHalves(
      newFolder('courier'),
      { maxMegabytes: choice > 0.75 ? 0.0277 + choice ** 2 * 0.03 : 64, maxEventsPerMinute: 60 },
      1000,
      this.#write,
    );
    this.#halves.nowMs = Date.now();
    this.#broker.answerMs = random() ** 2 * 2000;
    this.#halves.open('listener');
    for (let i = 0; i < choice ** 2 * 900; i++) this.#hear(i * 100 - 1_000_000, i % 3 ? {} : { bootId: earlierBoot });
    this.#life = this.#start();
  }

  readonly #write: OnWrite = (kind, real, args) => {
    if (!this.#isDiskWell) throw Object.assign(new Error('read-only'), { code: 'SQLITE_READONLY' });
    const waiting = () => this.#life.outbox.pending(0, 100_000).map(({ sequence }) => sequence);
    const before = kind === 'expire' ? waiting() : [];
    const result = real(...args);
    if (kind === 'expire') {
      const left = new Set(waiting());
      for (const sequence of before)
        if (!left.has(sequence) && this.#broker.answered.has(`${this.#life.outbox.id}-${sequence}`))
          this.#broker.wrong ??= new Error(`what has arrived expires: ${sequence}`);
    }
    if (kind === 'append' && result === 'stored') this.#heardMs.set(this.#halves.get('listener').outbox.newest(), Date.now());
    return result;
  };

  #hear(agoMs: number, change = {}): void {
    const onsetMonotonicMs = Date.now() + agoMs;
    const label = (['shout', 'bang'] as const)[Math.floor(this.#random() * 2)] ?? 'bang';
    this.#halves.get('listener').outbox.append(recordedEvent(0, { onsetMonotonicMs, onsetWallMs: beganWallMs + onsetMonotonicMs, label, ...change }));
  }

  #start(): Life {
    this.#halves.open('courier');
    const { outbox } = this.#halves.get('courier');
    const stop = new AbortController();
    const life: Life = { outbox, stop, ended: Promise.resolve(), isDead: false };
    const parts = {
      outbox: mortal(outbox, life),
      clock: fixedClock({ monotonicMs: () => Date.now(), wallMs: () => beganWallMs + Date.now() }),
      logger: silentLogger,
    };
    const openPublisher = async () => {
      if (life.isDead) throw new Error('killed');
      const isFresh = (event: { bootId: string; onsetMonotonicMs: number }) =>
        event.bootId === bootId && Date.now() - event.onsetMonotonicMs <= historicalAfterSeconds * 1000;
      return this.#broker.connect(() => outbox.pending(0, 100_000).findLast((event) => !isFresh(event))?.sequence ?? 0);
    };
    this.#broker.answered.clear();
    const options = { site: 'a', sensor: 'b', version: '0', maxInFlight, historicalAfterSeconds, maxAgeMs, acknowledgeWithinMs: 10_000 };
    const delivering = deliver(options, { ...parts, openPublisher, random: this.#random, reports: [openSummaries('hour', parts)] }, stop.signal);
    life.ended = delivering.catch((error: unknown) => {
      if (!life.isDead) this.#broker.wrong ??= error;
    });
    return life;
  }

  async step({ kind, a, b }: Step<Kind>): Promise<void> {
    const broker = this.#broker;
    if (kind === 'hear') for (let i = 0; i < 1 + a ** 3 * 25; i++) this.#hear(i - b * 2000);
    if (kind === 'drop') this.#halves.get('listener').outbox.drop(1 + Math.floor(a * 3));
    if (kind === 'hour' && this.#isDiskWell) this.#halves.get('listener').outbox.writeSummary(hourSummary({ beganMonotonicMs: ++this.#hours }));
    if (kind === 'wait') await this.#pass(a ** 2 * 12_000);
    if (kind === 'jump') {
      broker.isLate = true;
      vi.setSystemTime(Date.now() + a ** 2 * 5_000_000);
      await this.#pass(200);
    }
    if (kind === 'breakLink') broker.break();
    if (kind === 'cutLink') {
      broker.isLate = true;
      broker.cut(true);
    }
    if (kind === 'down') broker.isDown = !broker.isDown;
    if (kind === 'answers') {
      [broker.answerMs, broker.lossOfAnswers] = [a ** 2 * 2000, b < 0.8 ? 0 : b - 0.8];
      broker.isLate ||= broker.lossOfAnswers > 0;
    }
    if (kind === 'refuse' && this.#refuses) {
      broker.hasRefused = true;
      const every = 1 + Math.floor(a * 5);
      broker.answerTo = (sequence) => (sequence % every > 0 ? 'taken' : b < 0.6 ? 'refused' : 'no_subscriber');
    }
    if (kind === 'takeAll') broker.answerTo = () => 'taken';
    if (kind === 'restart' || kind === 'kill') await this.#restart(kind === 'kill');
    if (kind === 'disk') {
      broker.isLate = true; // nothing is sent for a minute where what is too old cannot be removed
      this.#isDiskWell = !this.#isDiskWell || a < 0.3;
    }
    await vi.advanceTimersByTimeAsync(0);
    if (broker.wrong) throw broker.wrong;
  }

  /** Each second both halves try again what waits for the disk. */
  async #pass(ms: number): Promise<void> {
    for (let leftMs = ms; leftMs > 0; leftMs -= 1000) {
      await vi.advanceTimersByTimeAsync(Math.min(1000, leftMs));
      this.#halves.nowMs = Date.now();
      for (const half of ['listener', 'courier'] as const) this.#halves.get(half).tick();
    }
  }

  async #restart(isKilled: boolean): Promise<void> {
    await this.#stop(isKilled);
    if (isKilled) this.#halves.kill('courier');
    else this.#halves.close('courier');
    this.#life = this.#start();
  }

  async #stop(isKilled: boolean): Promise<void> {
    const life = this.#life;
    life.isDead = isKilled;
    life.stop.abort();
    if (isKilled) this.#broker.break();
    let isOver = false;
    void life.ended.then(() => {
      isOver = true;
    });
    for (let seconds = 0; !isOver; seconds++) {
      if (seconds > 120) throw new Error('the courier does not end');
      await vi.advanceTimersByTimeAsync(1000);
    }
  }

  /** All faults end: in some hours every event has arrived, or is named in a gap that has. */
  async finish(): Promise<void> {
    const broker = this.#broker;
    const { outbox } = this.#life;
    Object.assign(broker, { isDown: false, answerMs: 100, lossOfAnswers: 0, isLate: true, answerTo: () => 'taken' });
    broker.cut(false);
    this.#isDiskWell = true;
    const waits = () => [outbox.pendingCount(), outbox.gaps(1).length, outbox.summaries(1).length];
    await this.#pass(5000); // what the halves held is stored and deleted
    const young = outbox.pending(0, 100_000).filter((event) => event.bootId === bootId && Date.now() - event.onsetMonotonicMs < maxAgeMs - hurryMs);
    for (const endMs = Date.now() + hurryMs; Date.now() < endMs && waits().some((count) => count > 0); vi.setSystemTime(Date.now() + 30_000))
      await this.#pass(5000);
    await this.#pass(20_000);
    if (broker.wrong) throw broker.wrong;
    expectSame(waits(), [0, 0, 0], 'what waits for ever');
    for (const { sequence } of young) expectThat(broker.arrived.has(`${outbox.id}-${sequence}`), 'expired while the broker would take it', sequence);
    const { stored, sent, expired } = outbox.fates();
    expectSame(stored, sent + expired, 'stored = sent + expired');
    for (let number = 1; number <= outbox.newest(); number++) {
      const isKnown = broker.arrived.has(`${outbox.id}-${number}`) || isIn(broker.gaps, number);
      expectThat(isKnown, 'lost', number, broker.gaps);
    }
    expectSame(broker.hours.length, this.#hours, 'hours');
    for (const [name, count] of Object.entries({
      sent: broker.sends,
      arrived: broker.arrived.size,
      duplicates: broker.duplicates,
      expired,
      gaps: broker.gaps.length,
    }))
      counts[name as keyof typeof counts] += count;
  }

  async end(): Promise<void> {
    try {
      await this.#stop(true);
    } finally {
      vi.useRealTimers();
      this.#halves.end();
    }
  }
}
