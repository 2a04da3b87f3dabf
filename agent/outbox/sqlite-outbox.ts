import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import type { RecordedEvent } from '../events/event.ts';
import type { HearingRecord, UsualLevel } from '../events/health.ts';
import type { HourSummary } from '../events/summary.ts';
import type { ThresholdRecord } from '../events/threshold-counts.ts';
import { hasCode, messageOf, OutboxError, UnstorableError } from '../lib/errors.ts';
import type { OutboxFault } from '../lib/faults.ts';
import { ifPossible } from '../lib/if-possible.ts';
import { isLow } from './disk.ts';
import { findTooOld } from './expiry.ts';
import { gapsOf, noteGap } from './gaps.ts';
import * as hearingRows from './hearing-rows.ts';
import { know } from './known.ts';
import { LogErasure } from './log-erasure.ts';
import { Minute } from './minute.ts';
import { OpenedFile } from './opened-file.ts';
import type { Fate, Gap, Now, Outbox, PendingEvent, PendingSummary } from './outbox.ts';
import { Quarantine } from './quarantine.ts';
import { repairOutbox } from './repair.ts';
import { giveOutAfter, ReservedNumbers, releaseNumbers, skipHours } from './reserved-numbers.ts';
import { fromRow, insertSql, pendingSql, type Row, toRow } from './rows.ts';
import { bringIntoFile, damage, isDamage, type SqliteDatabase, type Statement, usedBytes } from './sqlite.ts';
import { busyMs, halfBusyMs, isSound, openChecked, openDatabase, openNoted } from './sqlite-database.ts';
import { isStored, noteGiven } from './stored-before.ts';
import * as summaryRows from './summary-rows.ts';
import { addThresholdCounts } from './threshold-rows.ts';

const maxSummaries = 800; // hours: a month

export interface OutboxLimits {
  maxMegabytes: number;
  maxEventsPerMinute: number;
}

export interface OutboxUse {
  /** For the two halves only: a damaged file is set aside, and what can be read of it goes on in a new one. */
  readonly repair?: boolean;
  /** Called again and again while a repair moves on: on a slow board, a repair of months of events takes minutes. */
  readonly progress?: () => void;
  /** For the listener only: keeps numbers reserved ahead of those that are given out. */
  readonly reserve?: boolean;
  /** For the courier: asked when it ends in order. If no listener runs, it gives back what a dead one had reserved. */
  readonly listenerRuns?: () => boolean | undefined;
}

/** Opens, creates or migrates the outbox. WAL, synchronous=FULL: NORMAL loses events in a power cut. Throws. */
export function openSqliteOutbox(path: string, limits: OutboxLimits, use: OutboxUse = {}): Outbox {
  try {
    mkdirSync(dirname(path), { recursive: true });
    const open = () => {
      const file = new OpenedFile(path);
      return new SqliteOutbox(path, file, use.repair ? openNoted(path) : openChecked(path), limits, use);
    };
    try {
      return open();
    } catch (error) {
      if (!use.repair || !isDamage(error)) throw error;
      repairOutbox(path, openDatabase, () => isSound(path), use.progress);
      return open();
    }
  } catch (cause) {
    if (cause instanceof OutboxError) throw cause;
    throw new OutboxError(
      `Expected an outbox at ${path}, got: ${messageOf(cause)}`,
      'check the path, its owner and free space; if the file is damaged, `tocsin deliver` and `tocsin listen` repair it when they start',
      { cause },
    );
  }
}

/**
 * INVARIANTS: every change and its count are one transaction; `stored = pending + sent + expired + unreadable`; a
 * sequence number is never used twice, since AUTOINCREMENT remembers deleted rows.
 */
class SqliteOutbox implements Outbox {
  readonly id: string;
  readonly #path: string;
  readonly #file: OpenedFile;
  readonly #db: SqliteDatabase;
  readonly #limits: OutboxLimits;
  readonly #statements = new Map<string, Statement>();
  readonly #use: OutboxUse;
  readonly #numbers: ReservedNumbers | undefined;
  readonly #erasure: LogErasure | undefined;
  readonly #quarantine: Quarantine;
  readonly #minute: Minute;
  /** Compiled once: a statement holds memory outside the heap until it is collected, and polling would compile many. */
  readonly #prepare = <Bound extends unknown[] = unknown[], Result = unknown>(sql: string): Statement<Bound, Result> => {
    const known = this.#statements.get(sql) ?? this.#db.prepare(sql);
    this.#statements.set(sql, known);
    return known as unknown as Statement<Bound, Result>;
  };
  #expiry = { after: 0, before: 0 };
  #wasBusy = false;

  constructor(path: string, file: OpenedFile, db: SqliteDatabase, limits: OutboxLimits, use: OutboxUse) {
    this.#path = path;
    this.#file = file;
    this.#db = db;
    this.#limits = limits;
    this.#use = use;
    this.#minute = new Minute(this.#prepare, limits.maxEventsPerMinute);
    try {
      this.#file.check();
      this.#quarantine = new Quarantine(path, db);
      this.id = db.prepare('SELECT id FROM outbox').pluck().get() as string;
      if (!this.id) throw damage('the outbox has no id');
      file.logIsOpen();
      this.#numbers = use.reserve ? new ReservedNumbers(db) : undefined;
      this.#erasure = use.reserve ? new LogErasure(path, file, db) : undefined;
    } catch (error) {
      db.close();
      throw error;
    }
  }

  append(event: RecordedEvent): 'stored' | 'refused' {
    const fate = this.#transaction(() => this.#append(event));
    this.#numbers?.keepAhead();
    return fate;
  }

  #append(event: RecordedEvent): 'stored' | 'refused' {
    if (isStored(this.#prepare, event)) return 'stored';
    if (this.#minute.isFullFor(event)) {
      this.#count('refused', 1);
      return 'refused';
    }
    this.#makeRoom();
    know(this.#prepare, event);
    noteGiven(event, Number(this.#prepare(insertSql).run(toRow(event)).lastInsertRowid));
    this.#minute.stored(event);
    this.#count('stored', 1);
    return 'stored';
  }

  pending(after: number, limit: number): PendingEvent[] {
    this.#file.check();
    return this.#prepare<[number, number], Row>(pendingSql).all(after, limit).map(fromRow);
  }

  pendingCount(): number {
    // counting rows would take a tenth of a second for half a million
    const { stored, sent, expired, unreadable } = this.fates();
    return Math.max(0, stored - sent - expired - unreadable);
  }

  acknowledge(sequences: readonly number[]): void {
    this.#transaction(() => this.#count('sent', this.#delete(sequences).length));
  }

  newest(): number {
    return (this.#prepare("SELECT seq FROM sqlite_sequence WHERE name = 'event'").pluck().get() as number | undefined) ?? 0;
  }

  expire(now: Now, maxAgeMs: number): number {
    const aged = findTooOld(this.#prepare, this.#expiry, now, maxAgeMs);
    this.#expiry = aged.next;
    return aged.tooOld.length === 0 ? 0 : this.#transaction(() => this.#remove(aged.tooOld, 'too_old'));
  }

  noteBoot(bootId: string, beganWallMs: number): void {
    this.#transaction(() => {
      this.#prepare('INSERT OR IGNORE INTO boot (boot_id) VALUES (?)').run(bootId);
      this.#prepare('UPDATE boot SET began_wall_ms = ? WHERE boot_id = ?').run(Math.round(beganWallMs), bootId);
    });
  }

  bootBegan(bootId: string): number | undefined {
    return (this.#prepare('SELECT began_wall_ms FROM boot WHERE boot_id = ?').pluck().get(bootId) as number | null | undefined) ?? undefined;
  }

  drop(count: number): void {
    this.#transaction(() => {
      const newest = this.newest();
      giveOutAfter(this.#db, 'event', newest + count);
      noteGap(this.#prepare, { first: newest + 1, last: newest + count, reason: 'dropped' });
      this.#count('dropped', count);
    });
    this.#numbers?.keepAhead();
  }

  gaps(limit: number): Gap[] {
    return this.#prepare<[number], Gap>('SELECT first, last, reason FROM gap ORDER BY first LIMIT ?').all(limit);
  }

  gapReported({ first, last }: Gap): void {
    // a gap that has grown meanwhile is reported again as a whole
    this.#transaction(() => this.#prepare('DELETE FROM gap WHERE first = ? AND last = ?').run(first, last));
  }

  fates(): Record<Fate, number> {
    return Object.fromEntries(this.#prepare('SELECT name, events FROM fate').raw().all() as [Fate, number][]) as Record<Fate, number>;
  }

  faults(): OutboxFault[] {
    return [...(isLow(this.#path) ? (['disk_full'] as const) : []), ...(this.#quarantine.keeps() ? (['outbox_damaged'] as const) : [])];
  }

  writeHearing(record: HearingRecord, learnt: readonly UsualLevel[] = []): void {
    const write = () =>
      this.#transaction(() => {
        know(this.#prepare, record);
        for (const level of learnt) this.#prepare(hearingRows.writeUsualSql).run(hearingRows.toUsualRow(level));
        this.#prepare(hearingRows.writeHearingSql).run(hearingRows.toHearingRow(record));
      });
    if (this.#erasure) this.#erasure.with(write);
    else write();
  }

  readHearing(): HearingRecord | undefined {
    this.#file.check();
    const row = this.#prepare<[], hearingRows.HearingRow>(hearingRows.readHearingSql).get();
    return row && hearingRows.fromHearingRow(row);
  }

  readUsualLevels(): UsualLevel[] {
    return this.#prepare<[], UsualLevel>(hearingRows.readUsualSql).all();
  }

  addThresholdCounts(record: ThresholdRecord): void {
    this.#transaction(() => {
      know(this.#prepare, record);
      addThresholdCounts(this.#db, record);
    });
  }

  writeSummary(summary: HourSummary, lost = 0): void {
    this.#transaction(() => {
      if (lost > 0) skipHours(this.#db, lost);
      know(this.#prepare, summary);
      this.#prepare(summaryRows.writeSummarySql).run(summaryRows.toSummaryRow(summary));
      this.#prepare(summaryRows.dropOldSummariesSql).run(maxSummaries);
    });
  }

  summaries(limit: number, after = 0): PendingSummary[] {
    return this.#prepare<[number, number], summaryRows.SummaryRow>(summaryRows.readSummariesSql).all(after, limit).map(summaryRows.fromSummaryRow);
  }

  summaryReported(sequence: number): void {
    this.#transaction(() => this.#prepare('DELETE FROM hour_summary WHERE sequence = ?').run(sequence));
  }

  close(): void {
    if (this.#file.isInPlace()) releaseNumbers(this.#db, () => this.#use.reserve === true || this.#use.listenerRuns?.() === false);
    // what is missing afterwards is found missing when the file is opened; a file that was set aside stays as it is
    else if (this.#file.isWithoutLog()) ifPossible(() => bringIntoFile(this.#db));
    this.#db.close();
    this.#erasure?.close();
  }

  #makeRoom(): void {
    if (usedBytes(this.#db) < this.#limits.maxMegabytes * 1e6) return;
    this.#remove(this.#prepare('SELECT sequence FROM event ORDER BY sequence LIMIT 100').pluck().all() as number[], 'too_many');
  }

  #remove(sequences: readonly number[], reason: Gap['reason']): number {
    const removed = this.#delete(sequences);
    for (const gap of gapsOf(removed, reason)) noteGap(this.#prepare, gap);
    this.#count('expired', removed.length);
    return removed.length;
  }

  /** Returns those that were there: the other half may have removed or acknowledged some in the meantime. */
  #delete(sequences: readonly number[]): number[] {
    const remove = this.#prepare('DELETE FROM event WHERE sequence = ?');
    return sequences.filter((sequence) => remove.run(sequence).changes === 1);
  }

  #count(fate: Fate, events: number): void {
    if (events > 0) this.#prepare('UPDATE fate SET events = events + ? WHERE name = ?').run(events, fate);
  }

  #transaction<T>(work: () => T): T {
    try {
      this.#file.check();
      const lasts = this.#wasBusy || existsSync(`${this.#path}.new`); // to wait for a long lock or a repair is to hear nothing
      this.#db.pragma(`busy_timeout = ${lasts ? 0 : this.#use.repair ? halfBusyMs : busyMs}`);
      const result = this.#db.transaction(work).immediate();
      this.#wasBusy = false;
      // replaced meanwhile: what was written is in the file set aside, and must be written again
      this.#file.check();
      return result;
    } catch (cause) {
      this.#wasBusy = hasCode(cause, /^SQLITE_BUSY/);
      if (hasCode(cause, /^SQLITE_CONSTRAINT/))
        throw new UnstorableError(
          `Expected values that the schema of the outbox allows, got: ${messageOf(cause)}`,
          'report this as a defect of Tocsin; what follows is stored all the same, and what was refused is counted',
          { cause },
        );
      throw new OutboxError(`Expected to write the outbox, got: ${messageOf(cause)}`, 'check free space and that the file belongs to the service', { cause });
    }
  }
}
