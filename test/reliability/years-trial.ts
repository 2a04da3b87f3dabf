// Years of one sensor on Vitest's clock: both halves on one outbox file in memory, a board whose clock starts wrong and is set where there is a
// network, and a broker. Time goes by in steps; between them nothing runs, as after a suspend.
import { readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { vi } from 'vitest';
import { type Clock, openClock } from '../../agent/lib/clock.ts';
import { recordedEvent } from '../support/samples.ts';
import { damagePage, loseLog } from './outbox-loss.ts';
import { expectThat } from './random-steps.ts';
import { newFolder, TwoHalves } from './two-halves.ts';
import { YearsBroker } from './years-broker.ts';
import { type Courier, type Listener, labels, startCourier, startListener } from './years-halves.ts';

export const hourMs = 3_600_000;

/** A boot: its clock shows `offsetMs` more than the true time, and a daemon set it last at `setMs`. */
interface Boot {
  readonly bootId: string;
  readonly beganMs: number;
  offsetMs: number;
  setMs: number | undefined;
}

interface YearsOptions {
  readonly fromMs: number;
  /** For how long the first boot has lasted by then. */
  readonly uptimeMs?: number;
  /** The last number that was given out by then. */
  readonly newest?: number;
}

export class YearsTrial {
  readonly broker: YearsBroker;
  readonly halves: TwoHalves;
  readonly #random: () => number;
  #boot: Boot;
  #boots = 0;
  #model = { name: 'street', version: '1.0.0' };
  #listener!: Listener;
  #courier!: Courier;
  #shutDownMs: number;

  constructor({ fromMs, uptimeMs = 0, newest = 0 }: YearsOptions, random: () => number) {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'], now: fromMs });
    this.#random = random;
    this.#shutDownMs = fromMs;
    this.broker = new YearsBroker(random);
    this.halves = new TwoHalves(newFolder('years'), { maxMegabytes: 64, maxEventsPerMinute: 30 }, 1000, (_kind, real, args) => real(...args));
    this.halves.nowMs = fromMs;
    this.halves.open('listener');
    this.halves.get('listener').outbox.drop(1);
    this.halves.close('listener');
    const db = new Database(this.halves.path);
    db.prepare("UPDATE sqlite_sequence SET seq = ? WHERE name = 'event'").run(newest + 1);
    db.exec('DELETE FROM gap; UPDATE fate SET events = 0');
    db.close();
    this.broker.firstNumber = newest + 2;
    this.#boot = { ...this.#newBoot(), beganMs: fromMs - uptimeMs };
    this.#start();
  }

  #start() {
    this.halves.open('listener', 'courier');
    this.#startListener();
    this.#startCourier();
  }

  #startListener(): void {
    this.#listener = startListener(this.halves.get('listener').outbox, this.#clock(), this.#model);
  }

  #startCourier(): void {
    this.#courier = startCourier(this.halves.get('courier').outbox, this.#clock(), this.broker, this.#random);
  }

  get boots(): number {
    return this.#boots;
  }

  /** The clock starts in 1970 or at the last shutdown; with a network the time comes at the next step. */
  #newBoot(): Boot {
    const number = String(++this.#boots).padStart(12, '0');
    const showsMs = this.#random() < 0.3 ? 1000 : this.#shutDownMs;
    return { bootId: `0b6f1c2e-7d3a-4f5b-9c8d-${number}`, beganMs: Date.now(), offsetMs: showsMs - Date.now(), setMs: undefined };
  }

  #clock(): Clock {
    const boot = this.#boot;
    const monotonicMs = () => Date.now() - boot.beganMs;
    return openClock({ bootId: boot.bootId, monotonicMs, wallMs: () => Date.now() + boot.offsetMs, evidence: () => ({ setMs: boot.setMs }) });
  }

  /** So much time goes by at once, with sounds in its last part; then both halves have their turn. */
  async step(ms: number, events: number, levels: number): Promise<void> {
    vi.setSystemTime(Date.now() + ms);
    this.halves.nowMs = Date.now();
    const { broker } = this;
    this.#listener.hear(levels);
    for (let i = events; i > 0; i--) this.#hear((i / events) * Math.min(ms, hourMs));
    // timesyncd sets it where there is a network, and touches its file again and again
    if (!broker.isDown && (this.#boot.offsetMs === 0 || this.#random() < 0.5)) this.setClock(0);
    this.#listener.report();
    for (const half of ['listener', 'courier'] as const) this.halves.get(half).tick();
    await this.pass(broker.isDown ? 100 : 500);
    if (broker.wrong) throw broker.wrong;
  }

  /** So much time goes by for the courier. It waits for the event loop too, which goes by real time. */
  async pass(ms: number, sliceMs = 100): Promise<void> {
    for (let leftMs = ms; leftMs > 0; leftMs -= sliceMs) {
      for (let turn = 0; turn < 4; turn++) await nextTurn();
      await vi.advanceTimersByTimeAsync(sliceMs);
    }
  }

  setClock(offsetMs: number): void {
    this.#boot.offsetMs = offsetMs;
    if (offsetMs === 0) this.#boot.setMs = Date.now();
  }

  #hear(agoMs: number): void {
    const { outbox, clock } = this.#listener;
    const ago = Math.min(agoMs, clock.monotonicMs());
    const { bootId } = clock;
    const label = labels[Math.floor(this.#random() * 3)] ?? 'bang';
    const onset = { onsetMonotonicMs: clock.monotonicMs() - ago, onsetWallMs: clock.wallMs() - ago };
    const before = outbox.newest();
    const fate = outbox.append(recordedEvent(0, { ...onset, bootId, label, clockSynchronised: clock.synchronised(), model: this.#model }));
    if (fate === 'refused' || outbox.newest() === before) return;
    expectThat(fate === 'stored' && !this.broker.heard.has(outbox.newest()), 'a number is given out twice', fate, outbox.newest());
    expectThat(outbox.newest() > before, 'numbers go back', before, outbox.newest());
    this.broker.heard.set(outbox.newest(), { label, bootId, trueMs: Date.now() - ago });
  }

  /** All goes down and up again: in order, by a kill or by a power cut that may cost the log or a page of the file. */
  async reboot(how: 'order' | 'kill' | 'cut' | 'loseLog' | 'damage', downMs: number): Promise<void> {
    this.#shutDownMs = Date.now() + this.#boot.offsetMs;
    await this.#endCourier(how === 'order');
    if (how === 'order') {
      this.#listener.end();
      this.halves.close('courier', 'listener');
    } else this.halves.crash(how === 'kill');
    if (how === 'loseLog') loseLog(this.halves.path, 0.4 + this.#random() * 0.6);
    if (how === 'damage') damagePage(this.halves.path, this.#random(), this.#random());
    vi.setSystemTime(Date.now() + downMs);
    this.#boot = this.#newBoot();
    this.#start();
    if (how === 'loseLog') for (const { sequence } of this.#listener.outbox.pending(0, 100_000)) this.broker.cameBack.add(sequence);
  }

  /** One process dies and is started again, perhaps with another model. */
  async restart(half: 'listener' | 'courier', version?: string): Promise<void> {
    if (half === 'courier') await this.#endCourier(false);
    if (version) this.#model = { ...this.#model, version };
    this.halves.kill(half);
    this.halves.open(half);
    if (half === 'courier') this.#startCourier();
    else this.#startListener();
  }

  async #endCourier(inOrder: boolean): Promise<void> {
    const life = this.#courier;
    life.isDead = !inOrder;
    life.stop.abort();
    if (!inOrder) this.broker.breakLink();
    for (let seconds = 0; !life.isOver; seconds++) {
      if (seconds > 300) throw new Error('the courier does not end');
      await vi.advanceTimersByTimeAsync(1000);
    }
  }

  async outage(isDown: boolean): Promise<void> {
    this.broker.isDown = isDown;
    if (isDown) this.broker.breakLink();
    else await this.pass(61_000, 1000);
  }

  /** Everything that waits is delivered. */
  async drain(): Promise<void> {
    await this.outage(false);
    const { outbox } = this.#listener;
    for (let turn = 0; turn < 400 && (outbox.pendingCount() > 0 || outbox.gaps(1).length > 0 || outbox.summaries(1).length > 0); turn++) {
      this.#listener.report();
      await this.pass(11_000, 500);
    }
    if (this.broker.wrong) throw this.broker.wrong;
    expectThat(outbox.pendingCount() === 0, 'events wait for ever', outbox.pendingCount(), outbox.pending(0, 1));
    expectThat(outbox.gaps(1).length === 0, 'a gap waits for ever', outbox.gaps(1));
    expectThat(outbox.summaries(1).length === 0, 'an hour waits for ever', outbox.summaries(1));
    this.broker.judge(outbox.newest());
  }

  /** Rows of each table, and bytes of each file. */
  sizes(): Record<string, number> {
    const tables = this.halves.look<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'").map(({ name }) => name);
    const rows = tables.map((name) => [name, this.halves.look<{ n: number }>(`SELECT count(*) AS n FROM ${name}`)[0]?.n ?? 0] as const);
    const folder = dirname(this.halves.path);
    const files = readdirSync(folder).map(
      (name) => [name.replace(/^outbox\.db/, 'file').replace(/damaged-\d+/, 'damaged'), statSync(join(folder, name)).size] as const,
    );
    const sums = new Map<string, number>();
    for (const [name, size] of [...rows, ...files]) sums.set(name, (sums.get(name) ?? 0) + size);
    return Object.fromEntries(sums);
  }

  async end(): Promise<void> {
    try {
      await this.#endCourier(false);
    } finally {
      vi.useRealTimers();
      this.halves.end();
    }
  }
}
