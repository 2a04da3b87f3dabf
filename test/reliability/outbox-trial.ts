// Steps at random on one outbox file that a listener and a courier hold open, each compared with the model. On a disk that takes nothing a write fails
// in a fake, before SQLite is asked: it cannot show what a disk leaves half done.
import type { RecordedEvent } from '../../agent/events/event.ts';
import type { Gap, Outbox } from '../../agent/outbox/outbox.ts';
import { openOlderOutbox, versions } from '../support/older-outbox.ts';
import { hearingRecord, hourSummary } from '../support/samples.ts';
import { damagePage, judgeLoss, loseLog } from './outbox-loss.ts';
import { bootBeganMs, bootOf, covered, dayMs, eventOf, isIn, most, OutboxModel } from './outbox-model.ts';
import { expectSame, expectThat, failsUnless, mayFailUnless, type Step } from './random-steps.ts';
import { type Half, newFolder, type OnWrite, TwoHalves } from './two-halves.ts';

export const weights = {
  append: 30, // by the listener
  appendAgain: 4,
  appendUnstorable: 1,
  drop: 2,
  writeHour: 4,
  writeHearing: 2,
  acknowledge: 12, // by the courier
  expire: 5,
  reportGap: 4,
  reportHour: 3,
  noteBoot: 2, // by either
  tick: 4,
  time: 3, // to both
  disk: 3,
  replaced: 1,
  reopen: 2,
  kill: 1,
  crash: 2,
  loseLog: 1,
  damagePage: 1,
};
type Kind = keyof typeof weights;
const halves = ['listener', 'courier'] as const;
/** How often what was done or seen, over all trials: a trial in which nothing happens shows nothing. */
export const counts = new Map<string, number>();
const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);

export class OutboxTrial {
  readonly #halves: TwoHalves;
  readonly #maxMegabytes: number;
  #model = new OutboxModel();
  #id = '';
  #disk: 'well' | 'read-only' | 'full' = 'well';
  #isReplaced = false; // the file is, after the next event is stored
  #boot = 0;
  #monotonicMs = 1000;
  // what the halves hold in memory
  readonly #held: RecordedEvent[] = [];
  #dropped = 0;
  readonly #arrived = { events: new Set<number>(), gaps: new Map<number, Gap>(), hours: new Set<number>() };

  constructor(choice: number) {
    this.#maxMegabytes = choice < 0.5 ? 64 : 0.0275 + (choice - 0.5) * 0.004; // an empty one has 0.0276
    const limits = { maxMegabytes: this.#maxMegabytes, maxEventsPerMinute: most.eventsPerMinute };
    this.#halves = new TwoHalves(newFolder('model'), limits, most.held, this.#write, (half) => this.#model.opened(half));
    const version = choice > 0.45 && choice < 0.55 ? 1 + Math.floor((choice - 0.45) * 10 * versions) : undefined;
    const older = version === undefined ? undefined : openOlderOutbox(this.#halves.path, version);
    if (older && (choice * 1000) % 1 < 0.5) older.close();
    this.#halves.open(...halves);
    older?.close();
    this.#id = this.#outbox('courier').id;
    if (older) this.#takeOver();
  }

  /** A file that an older release left. */
  #takeOver(): void {
    const outbox = this.#outbox('courier');
    for (const { sequence, bootBeganMs: _, ...event } of outbox.pending(0, 1000)) this.#model.give(sequence, event);
    for (const { sequence, bootBeganMs: _, ...hour } of outbox.summaries(1000)) this.#model.giveHour(sequence, hour);
    expectSame([[...this.#model.pending.keys()].length, outbox.newest()], [190, 302], 'an older file');
    this.#model = judgeLoss(this.#model, this.#halves, false);
    count('older');
  }

  #outbox(half: Half) {
    return this.#halves.get(half).outbox;
  }

  /** A write that reaches SQLite, by either half: the model does the same. */
  readonly #write: OnWrite = (kind, real, args) => {
    const code = { well: undefined, full: 'SQLITE_FULL', 'read-only': 'SQLITE_READONLY' }[this.#disk];
    if (code) throw Object.assign(new Error(this.#disk), { code });
    if (kind === 'gapReported' && (args[0] as Gap).first === 0) return real(...args); // a write that changes nothing
    const isFull = kind === 'append' && this.#maxMegabytes < 1 && this.#usedBytes() >= this.#maxMegabytes * 1e6;
    if (kind === 'gapReported') this.#checkGaps(this.#halves.look('SELECT first, last, reason FROM gap ORDER BY first'));
    const result = real(...args);
    const { expired } = this.#model.fates;
    const expected = (this.#model[kind] as (...args: unknown[]) => unknown).apply(this.#model, kind === 'append' ? [...args, isFull] : args);
    if (kind === 'append' || kind === 'expire') expectSame(result, expected, kind);
    if (this.#model.fates.expired > expired) count(kind === 'append' ? 'made room' : 'expired');
    if (result === 'refused') count('refused');
    if (kind === 'append' && this.#isReplaced) {
      this.#isReplaced = false;
      throw Object.assign(new Error('the file was replaced'), { code: 'SQLITE_DAMAGED' });
    }
    if (kind === 'append') expectThat(args[0] === this.#held.shift(), 'the oldest that is held is stored first');
    if (kind === 'drop') this.#dropped = 0;
    if (kind === 'acknowledge') for (const sequence of args[0] as number[]) this.#arrived.events.delete(sequence);
    if (kind === 'gapReported') this.#arrived.gaps.delete((args[0] as Gap).first);
    if (kind === 'summaryReported') this.#arrived.hours.delete(args[0] as number);
    return result;
  };

  #usedBytes(): number {
    const [used] = this.#halves.look<{ pages: number }>('SELECT page_count - freelist_count AS pages FROM pragma_page_count, pragma_freelist_count');
    return (used?.pages ?? 0) * 1024;
  }

  step({ kind, a, b, c }: Step<Kind>): void {
    this.#model.untold = [];
    count(kind);
    this.#do(kind, a, b, c);
    this.#check(a);
  }

  #do(kind: Kind, a: number, b: number, c: number): void {
    const [listener, courier] = halves.map((half) => this.#outbox(half)) as [Outbox, Outbox];
    const either = a < 0.5 ? 'listener' : 'courier';
    const isWell = this.#disk === 'well';
    if (kind === 'append') this.#append(this.#event(a, b, c));
    if (kind === 'appendAgain' && isWell && this.#held.length === 0) {
      const last = [...this.#model.pending.values()].slice(-3);
      const event = last[Math.floor(a * last.length)];
      if (event) this.#append(event);
    }
    if (kind === 'appendUnstorable' && isWell) {
      const wrong = [{ confidence: Number.NaN }, { model: { name: 'Not a name', version: '1' } }, { bootId: 'x' }][Math.floor(a * 3)];
      const event = { ...this.#event(1, b, c), ...wrong } as RecordedEvent;
      this.#held.push(event);
      expectThat(/dropped|refused/.test(listener.append(event)), 'an event that cannot be stored');
      this.#held.length = 0;
    }
    if (kind === 'drop') {
      this.#dropped += 1 + Math.floor(a * 5);
      listener.drop(1 + Math.floor(a * 5));
    }
    if (kind === 'writeHour')
      failsUnless(isWell, () => listener.writeSummary(hourSummary({ bootId: bootOf(this.#boot), beganMonotonicMs: this.#model.newestHour }), c > 0.9 ? 3 : 0));
    if (kind === 'writeHearing') failsUnless(isWell, () => listener.writeHearing(hearingRecord({ bootId: bootOf(this.#boot), opens: Math.floor(a * 1000) })));
    if (kind === 'noteBoot') failsUnless(isWell, () => this.#outbox(either).noteBoot(bootOf(this.#boot), bootBeganMs(this.#boot) + Math.floor(b * 1000)));
    if (kind === 'acknowledge') this.#acknowledge(a, b, c);
    if (kind === 'expire') {
      const jumpMs = [undefined, 0, 0, 400 * dayMs, -dayMs][Math.floor(b * 5)];
      const now = { bootId: bootOf(this.#boot), monotonicMs: this.#monotonicMs };
      const at = jumpMs === undefined ? now : { ...now, wallMs: bootBeganMs(this.#boot) + this.#monotonicMs + jumpMs };
      mayFailUnless(isWell, () => courier.expire(at, 10_000 + a * a * 3_600_000));
    }
    if (kind === 'reportGap') {
      const gaps = courier.gaps(3);
      const gap = gaps[Math.floor(a * gaps.length)];
      if (!gap) return;
      const told = b < 0.2 ? { ...gap, last: gap.last + 1 } : gap; // as of one that has grown meanwhile
      this.#arrived.gaps.set(told.first, told);
      courier.gapReported(told);
    }
    if (kind === 'reportHour') {
      const [hour] = courier.summaries(1, a > 0.7 ? 2 : 0);
      if (!hour) return;
      this.#arrived.hours.add(hour.sequence);
      courier.summaryReported(hour.sequence);
    }
    if (kind === 'tick') this.#halves.get(either).tick();
    if (kind === 'time') {
      this.#monotonicMs += Math.round(a ** 3 * 3_600_000);
      this.#halves.nowMs += a ** 2 * 7_200_000;
    }
    if (kind === 'disk') this.#disk = !isWell || a < 0.2 ? 'well' : a < 0.6 ? 'read-only' : 'full';
    if (kind === 'replaced') this.#isReplaced = isWell;
    if (kind === 'reopen') this.#reopen(b < 0.5 ? [either] : a < 0.5 ? ['listener', 'courier'] : ['courier', 'listener']);
    if (kind === 'kill') {
      this.#halves.kill(either);
      this.#forget(either);
      this.#halves.open(either);
    }
    if (kind === 'crash') this.#crash(a, b, () => undefined);
    if (kind === 'loseLog') this.#crash(a, b, () => loseLog(this.#halves.path, a), true);
    if (kind === 'damagePage') this.#crash(a, b, () => damagePage(this.#halves.path, b, c), false);
  }

  #event(a: number, b: number, c: number): RecordedEvent {
    this.#monotonicMs += Math.round(a * 30_000);
    return eventOf(this.#boot, this.#monotonicMs, b, c);
  }

  #append(event: RecordedEvent): void {
    const { refused } = this.#model.fates;
    this.#held.push(event);
    const fate = this.#outbox('listener').append(event);
    const isRefused = this.#model.fates.refused > refused;
    if (this.#disk !== 'well') expectSame(fate, 'held', 'on a disk that takes nothing');
    else expectThat(this.#held.length === 0 && (fate === 'stored' || (fate === 'refused' && isRefused)), 'all that was held is stored', fate, this.#held);
    for (; this.#held.length > most.held; this.#held.shift()) this.#dropped++;
  }

  #acknowledge(a: number, b: number, c: number): void {
    const isWell = this.#disk === 'well';
    const page = this.#outbox('courier').pending(b < 0.5 ? 0 : Math.floor(b * this.#model.newest), 1 + Math.floor(a * 12));
    const chosen = page.filter((_, i) => ((i + 1) * (c + 0.1) * 7.3) % 1 < 0.7).map(({ sequence }) => sequence);
    if (isWell && c > 0.8) chosen.push(...chosen.slice(0, 2), this.#model.newest + 7, 1);
    for (const sequence of chosen) this.#arrived.events.add(sequence);
    this.#outbox('courier').acknowledge(chosen);
    if (isWell) expectThat(!chosen.some((sequence) => this.#model.pending.has(sequence)), 'what was acknowledged is gone', chosen);
  }

  #forget(...which: Half[]): void {
    if (which.includes('listener')) [this.#held.length, this.#dropped] = [0, 0];
    if (which.includes('courier')) for (const kind of Object.values(this.#arrived)) kind.clear();
  }

  #reopen(which: Half[]): void {
    for (const half of which) {
      this.#halves.close(half);
      this.#forget(half);
    }
    this.#halves.open(...which);
  }

  /** Both end at once; `harm` is done to the files before they start again. Of a loss the model takes over what is left. */
  #crash(a: number, b: number, harm: () => void, isLogLost?: boolean): void {
    this.#halves.crash(a < 0.5);
    this.#forget(...halves);
    harm();
    this.#boot++;
    this.#monotonicMs = 1000;
    this.#halves.open(...(b < 0.5 ? halves : ([...halves].reverse() as Half[])));
    if (isLogLost === undefined) return;
    this.#model = judgeLoss(this.#model, this.#halves, isLogLost);
    const { id } = this.#outbox('courier');
    if (id !== this.#id) count('new id');
    this.#id = id;
  }

  #check(a: number): void {
    const model = this.#model;
    const [events, hours] = [model.pendingEvents(), model.pendingHours()];
    for (const half of halves) {
      const outbox = this.#outbox(half);
      const is = (real: unknown, expected: unknown, what: string) => expectSame(real, expected, `${what} of the ${half}`);
      const { arrived, dropped } = half === 'courier' ? { arrived: this.#arrived, dropped: 0 } : { arrived: undefined, dropped: this.#dropped };
      const waiting = events.filter(({ sequence }) => !arrived?.events.has(sequence));
      const after = Math.floor(a * model.newest);
      is(outbox.id, this.#id, 'id');
      is(outbox.pending(0, 100_000), waiting, 'pending');
      is(outbox.pending(after, 5), waiting.filter(({ sequence }) => sequence > after).slice(0, 5), 'page');
      // what has arrived and was removed to make room before the disk let it go counts for both until then
      is(outbox.pendingCount(), Math.max(0, events.length - (arrived?.events.size ?? 0)), 'pendingCount');
      is(outbox.newest(), model.newest, 'newest');
      is(outbox.fates(), { ...model.fates, sent: model.fates.sent + (arrived?.events.size ?? 0), dropped: model.fates.dropped + dropped }, 'fates');
      is(
        outbox.summaries(2000),
        hours.filter(({ sequence }) => !arrived?.hours.has(sequence)),
        'hours',
      );
      is(outbox.readHearing(), model.hearing, 'hearing');
      is(outbox.bootBegan(bootOf(this.#boot)), model.boots.get(bootOf(this.#boot)), 'boot');
    }
    this.#checkGaps(this.#outbox('listener').gaps(10_000));
    const told = [...this.#arrived.gaps.values()];
    const untold = model.gaps.filter(({ first, last }) => !told.some((gap) => gap.first === first && gap.last === last));
    expectSame(this.#outbox('courier').gaps(10_000), untold, 'gaps that the platform has not');
    const { stored, sent, expired, unreadable } = model.fates;
    expectSame(stored, events.length + sent + expired + unreadable, 'stored = pending + sent + expired + unreadable');
  }

  /** The gaps are those there were and what has become one since; from now on the model has them as they are. */
  #checkGaps(gaps: Gap[]): void {
    const model = this.#model;
    expectSame(covered(gaps), covered([...model.gaps, ...model.untold]), 'gaps');
    for (const { first, last, reason } of model.untold)
      expectThat(
        gaps.some((gap) => gap.first <= first && gap.last >= last && gap.reason === reason),
        'a gap and its reason',
        gaps,
        model.untold,
      );
    expectThat(![...model.pending.keys()].some((sequence) => isIn(gaps, sequence)), 'no gap over an event that waits', gaps);
    [model.gaps, model.untold] = [gaps, []];
  }

  /** The disk takes everything again: what the halves held is stored or deleted, and the file is sound. */
  finish(): void {
    this.#model.untold = [];
    this.#disk = 'well';
    for (const half of halves) this.#halves.get(half).tick();
    const { events, gaps, hours } = this.#arrived;
    expectSame([this.#held.length, this.#dropped, events.size, gaps.size, hours.size], [0, 0, 0, 0, 0], 'what was held');
    this.#check(0);
    this.#model.untold = [];
    this.#reopen([...halves]);
    this.#check(0);
    expectSame(this.#halves.look('PRAGMA integrity_check'), [{ integrity_check: 'ok' }], 'a sound file');
  }

  end(): void {
    this.#halves.end();
  }
}
