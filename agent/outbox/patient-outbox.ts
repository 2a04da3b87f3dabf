import type { RecordedEvent } from '../events/event.ts';
import type { HearingRecord, UsualLevel } from '../events/health.ts';
import type { HourSummary } from '../events/summary.ts';
import type { ThresholdRecord } from '../events/threshold-counts.ts';
import { OutboxError, UnstorableError } from '../lib/errors.ts';
import type { OutboxFault } from '../lib/faults.ts';
import type { Logger } from '../lib/logger.ts';
import { Arrived, together } from './arrived.ts';
import { Ballast } from './ballast.ts';
import { isFullAt, isReadOnly, isUnusable, Room } from './disk.ts';
import type { Gap, Now, Outbox, PendingEvent, PendingSummary } from './outbox.ts';
import { Trouble } from './trouble.ts';

const [reopenMs, mostTurnMs] = [5000, 1000]; // on a slow card to store a thousand held events takes longer than the watchdog waits

type Taken = ReturnType<Outbox['append']>;

export interface PatientOptions {
  readonly path: string;
  readonly open: () => Outbox;
  readonly isDamage: (error: unknown) => boolean;
  readonly logger: Logger;
  /**
   * How many events are held in memory while the disk takes none; beyond that the oldest are dropped and counted. About
   * 300 bytes each.
   */
  readonly maxHeld?: number;
  readonly retryMs?: number;
}

/**
 * An outbox that outlives its disk, for the two halves. It reopens what was damaged or replaced, and holds in memory
 * what cannot be written.
 *
 *   append ─▶ stored │ held ─▶ (every second) ─▶ stored │ dropped, as a gap: beyond `maxHeld`, or refused by the schema
 *   acknowledge ─▶ deleted │ remembered ─▶ deleted later, not pending meanwhile; likewise reported gaps and summaries
 */
export function openPatientOutbox(options: PatientOptions): Outbox {
  return new PatientOutbox(options);
}

class PatientOutbox implements Outbox {
  readonly #options: PatientOptions;
  readonly #timer: NodeJS.Timeout;
  #inner: Outbox | undefined;
  #held: RecordedEvent[] = [];
  #dropped = 0;
  #openedMs = Number.NEGATIVE_INFINITY;
  #reopenMs = reopenMs;
  #id: string | undefined; // of the outbox that was opened last
  readonly #arrived = new Arrived();
  readonly #room = new Room();
  readonly #ballast: Ballast;
  readonly #trouble: Trouble;

  constructor(options: PatientOptions) {
    this.#options = options;
    this.#ballast = new Ballast(options.path);
    this.#trouble = new Trouble(options.path, options.logger);
    this.#timer = setInterval(() => this.#retry(), options.retryMs ?? 1000).unref();
    this.#retry();
  }

  get id(): string {
    return this.#id ?? this.#read((outbox) => outbox.id);
  }

  append(event: RecordedEvent): Taken {
    this.#held.push(event);
    const taken = this.#storeHeld();
    const excess = this.#held.length - (this.#options.maxHeld ?? 1000);
    if (excess > 0) {
      this.#held.splice(0, excess);
      if (this.#dropped === 0) this.#options.logger.error({}, 'too many events held in memory: the oldest are dropped and counted');
      this.#dropped += excess;
    }
    return this.#held.length > 0 ? 'held' : (taken.at(-1) ?? 'held');
  }

  pending(after: number, limit: number): PendingEvent[] {
    const found: PendingEvent[] = [];
    const page = this.#arrived.events.size > 0 ? Math.max(limit, together) : limit;
    for (let from = after; found.length < limit; ) {
      const rows = this.#read((outbox) => outbox.pending(from, page));
      found.push(...rows.filter((event) => !this.#arrived.isEvent(event)));
      if (rows.length < page) break;
      from = rows.at(-1)?.sequence ?? from;
    }
    return found.slice(0, limit);
  }

  pendingCount(): number {
    return Math.max(0, this.#read((outbox) => outbox.pendingCount()) - this.#arrived.events.size);
  }

  newest(): number {
    return this.#read((outbox) => outbox.newest());
  }

  acknowledge(sequences: readonly number[]): void {
    for (const sequence of sequences) this.#arrived.events.add(sequence);
    this.#deleteArrived();
  }

  expire(now: Now, maxAgeMs: number): number {
    this.#deleteArrived();
    if (this.#arrived.events.size > 0) return 0; // what the platform has did not expire
    return this.#read((outbox) => outbox.expire(now, maxAgeMs));
  }

  noteBoot(bootId: string, beganWallMs: number): void {
    this.#write((outbox) => outbox.noteBoot(bootId, beganWallMs));
  }

  bootBegan(bootId: string): number | undefined {
    return this.#read((outbox) => outbox.bootBegan(bootId));
  }

  drop(count: number): void {
    this.#dropped += count;
    this.#storeHeld();
  }

  gaps(limit: number): Gap[] {
    const gaps = this.#read((outbox) => outbox.gaps(limit + this.#arrived.gaps.size));
    return gaps.filter((gap) => !this.#arrived.isGap(gap)).slice(0, limit);
  }

  gapReported(gap: Gap): void {
    this.#arrived.gaps.set(gap.first, gap);
    this.#deleteArrived();
  }

  fates() {
    const fates = this.#read((outbox) => outbox.fates());
    return { ...fates, sent: fates.sent + this.#arrived.events.size, dropped: fates.dropped + this.#dropped };
  }

  faults(): OutboxFault[] {
    const seen = this.#quietly(() => this.#inner?.faults()) ?? [];
    const readOnly = isReadOnly(this.#options.path) ? (['outbox_unwritable'] as const) : [];
    return [...new Set([...(this.#trouble.fault ? [this.#trouble.fault] : []), ...readOnly, ...seen])];
  }

  writeHearing(record: HearingRecord, learnt?: readonly UsualLevel[]): void {
    this.#write((outbox) => outbox.writeHearing(record, learnt));
  }

  readHearing(): HearingRecord | undefined {
    return this.#read((outbox) => outbox.readHearing());
  }

  readUsualLevels(): UsualLevel[] {
    return this.#read((outbox) => outbox.readUsualLevels());
  }

  addThresholdCounts(record: ThresholdRecord): void {
    this.#write((outbox) => outbox.addThresholdCounts(record));
  }

  writeSummary(summary: HourSummary, lost?: number): void {
    this.#write((outbox) => outbox.writeSummary(summary, lost));
  }

  summaries(limit: number, after?: number): PendingSummary[] {
    const hours = this.#read((outbox) => outbox.summaries(limit + this.#arrived.summaries.size, after));
    return hours.filter((hour) => !this.#arrived.isSummary(hour)).slice(0, limit);
  }

  summaryReported(sequence: number): void {
    this.#arrived.summaries.add(sequence);
    this.#deleteArrived();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#openedMs = Number.NEGATIVE_INFINITY; // an outbox that takes no writes is opened anew once more
    this.#storeHeld(Number.POSITIVE_INFINITY);
    this.#retry(Number.POSITIVE_INFINITY);
    const events = this.#held.length + this.#dropped;
    if (events > 0) this.#options.logger.error({ events }, 'events held in memory are lost: the outbox cannot be written');
    this.#inner?.close();
  }

  #retry(turnMs = mostTurnMs): void {
    this.#storeHeld(turnMs);
    this.#deleteArrived();
    // a write that changes nothing
    if (this.#trouble.isPossible) this.#quietly(() => this.#write((outbox) => outbox.gapReported({ first: 0, last: 0, reason: 'dropped' })));
    this.#quietly(() => this.#ballast.lay());
  }

  /**
   * Stores what is held, oldest first, until one cannot be stored or the turn is over. Returns how each was taken.
   */
  #storeHeld(turnMs = mostTurnMs): Taken[] {
    const taken: Taken[] = [];
    this.#quietly(() => {
      this.#storeDropped();
      for (const beganMs = performance.now(); this.#held[0] && performance.now() - beganMs < turnMs; this.#storeDropped()) {
        taken.push(this.#store(this.#held[0]));
        this.#held.shift();
      }
    });
    return taken;
  }

  /** What the schema refuses it will refuse for ever; it must not hold up what comes after. */
  #store(event: RecordedEvent): Taken {
    try {
      return this.#write((outbox) => outbox.append(event));
    } catch (error) {
      if (!(error instanceof UnstorableError)) throw error;
      this.#options.logger.error({ reason: error.message, hint: error.tryHint }, 'an event that cannot be stored is dropped and counted');
      this.#dropped++;
      return 'dropped';
    }
  }

  #storeDropped(): void {
    if (this.#dropped === 0) return;
    this.#write((outbox) => outbox.drop(this.#dropped));
    this.#dropped = 0;
  }

  #deleteArrived(): void {
    this.#quietly(() => this.#arrived.delete((work) => this.#write(work)));
  }

  #open(): Outbox {
    this.#openedMs = performance.now();
    const outbox = this.#room.open(this.#options.path, this.#options.open);
    // on a slow board it takes seconds to check months of events, in which nothing is heard
    this.#reopenMs = Math.min(60_000, Math.max(reopenMs, 20 * (performance.now() - this.#openedMs)));
    if (this.#id !== undefined && outbox.id !== this.#id) {
      this.#options.logger.error({}, 'the outbox is a new one, with an id of its own: what the old one held is lost');
      this.#arrived.forget();
    }
    this.#id = outbox.id;
    return outbox;
  }

  /** Reads, and may write. */
  #read<T>(work: (outbox: Outbox) => T): T {
    return this.#do(work, false);
  }

  #write<T>(work: (outbox: Outbox) => T): T {
    return this.#do(work, true);
  }

  /**
   * Works on the open outbox. Reopens it once if it was damaged or replaced, and frees the ballast once if the disk is
   * full.
   */
  #do<T>(work: (outbox: Outbox) => T, writes: boolean): T {
    for (let attempt = 0; ; attempt++) {
      try {
        this.#inner ??= this.#open();
        const result = work(this.#inner);
        this.#trouble.worked(writes, this.#held.length > 0 || this.#dropped > 0 || this.#arrived.any);
        return result;
      } catch (error) {
        if (error instanceof UnstorableError) throw error; // the disk is not to blame
        if (this.#options.isDamage(error)) {
          this.#abandon();
          if (attempt < 2) continue;
        } else if (isFullAt(this.#options.path, error) && this.#releaseBallast() && attempt < 2) continue;
        // the file system may have been remounted: what was opened before never works again
        else if (isUnusable(error) && performance.now() - this.#openedMs > this.#reopenMs) this.#abandon();
        this.#trouble.failed(error);
        throw error;
      }
    }
  }

  /** Closes what was opened; the next use opens the outbox anew. */
  #abandon(): void {
    const opened = this.#inner;
    this.#inner = undefined;
    this.#quietly(() => opened?.close());
  }

  #releaseBallast(): boolean {
    if (!this.#quietly(() => this.#ballast.release())) return false;
    this.#room.made();
    return true;
  }

  /** A failure here is retried by the timer, and has been logged where it matters. */
  #quietly<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      if (error instanceof OutboxError || (error as NodeJS.ErrnoException).code) return undefined;
      throw error;
    }
  }
}
