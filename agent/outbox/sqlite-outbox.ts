// The only file that imports better-sqlite3.
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import type { RecordedEvent } from '../events/event.ts';
import type { HearingRecord, UsualLevel } from '../events/health.ts';
import { messageOf, OutboxError } from '../lib/errors.ts';
import * as hearingRows from './hearing-rows.ts';
import type { Fate, Outbox, PendingEvent } from './outbox.ts';

const pageBytes = 1024; // 7 kB are written for an event with 1 kB pages, 17 kB with 4 kB pages
const migrations = new URL('./migrations/', import.meta.url);

export interface OutboxLimits {
  maxMegabytes: number;
  maxEventsPerMinute: number;
}

/**
 * Opens the outbox, creating or migrating it. WAL with synchronous=FULL: an event that was stored survives a power cut
 * (with NORMAL the last ones do not). Throws an OutboxError.
 */
export function openSqliteOutbox(path: string, limits: OutboxLimits): Outbox {
  let db: Database.Database;
  try {
    mkdirSync(dirname(path), { recursive: true });
    db = new Database(path, { timeout: 5000 });
    db.pragma(`page_size = ${pageBytes}`);
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.pragma('foreign_keys = ON');
    db.pragma('secure_delete = ON');
    if (db.pragma('quick_check', { simple: true }) !== 'ok') throw new Error('the file is damaged');
    migrate(db);
  } catch (cause) {
    throw new OutboxError(
      `Expected an outbox at ${path}, got: ${messageOf(cause)}`,
      'check the path, its owner and free space; if the file is damaged, move it away and start again',
      { cause },
    );
  }
  return new SqliteOutbox(db, limits);
}

/** Applies the numbered migrations that the file has not seen, each in a transaction; refuses a file from the future. */
function migrate(db: Database.Database): void {
  const files = readdirSync(migrations)
    .filter((name) => /^\d{6}\.sql$/.test(name))
    .sort();
  const apply = db.transaction(() => {
    const version = db.pragma('user_version', { simple: true }) as number;
    if (version > files.length) throw new Error(`schema version ${version}, but this release knows up to ${files.length}`);
    for (const name of files.slice(version)) {
      db.exec(readFileSync(new URL(name, migrations), 'utf8'));
      db.pragma(`user_version = ${Number.parseInt(name, 10)}`);
    }
  });
  apply.immediate();
}

interface Row {
  sequence: number;
  label: RecordedEvent['label'];
  boot_id: string;
  model_name: string;
  model_version: string;
  onset_wall_ms: number;
  onset_monotonic_ms: number;
  clock_synchronised: number;
  duration_ms: number;
  confidence_permille: number;
  above_background_decibels: number;
  spl_decibels: number | null;
  glass_break_permille: number;
  shout_permille: number;
  bang_permille: number;
}

const insertSql = `INSERT INTO event (label, boot, model, onset_wall_ms, onset_monotonic_ms, clock_synchronised, duration_ms,
  confidence_permille, above_background_decibels, spl_decibels, glass_break_permille, shout_permille, bang_permille)
  VALUES ((SELECT id FROM label WHERE name = @label), (SELECT id FROM boot WHERE boot_id = @bootId),
  (SELECT id FROM model WHERE name = @modelName AND version = @modelVersion), @onsetWallMs, @onsetMonotonicMs, @clock,
  @durationMs, @confidence, @aboveBackground, @spl, @glassBreak, @shout, @bang)`;
const pendingSql = `SELECT event.*, label.name AS label, boot.boot_id, model.name AS model_name, model.version AS model_version
  FROM event JOIN label ON label.id = event.label JOIN boot ON boot.id = event.boot JOIN model ON model.id = event.model
  WHERE sequence > ? ORDER BY sequence LIMIT ?`;

/**
 * INVARIANTS: every change and its count are one transaction; `stored = pending + sent + expired`; a sequence number is
 * never used twice, for AUTOINCREMENT remembers deleted rows.
 */
class SqliteOutbox implements Outbox {
  readonly id: string;
  readonly #db: Database.Database;
  readonly #limits: OutboxLimits;

  constructor(db: Database.Database, limits: OutboxLimits) {
    this.#db = db;
    this.#limits = limits;
    this.id = db.prepare('SELECT id FROM outbox').pluck().get() as string;
  }

  append(event: RecordedEvent): 'stored' | 'refused' {
    return this.#transaction(() => {
      const onset = Math.round(event.onsetMonotonicMs);
      const recent = this.#db
        .prepare(
          'SELECT count(*) FROM event JOIN boot ON boot.id = event.boot WHERE boot_id = ? AND onset_monotonic_ms > ? AND sequence > (SELECT coalesce(max(sequence), 0) - 60 FROM event)',
        )
        .pluck()
        .get(event.bootId, onset - 60_000) as number;
      if (recent >= this.#limits.maxEventsPerMinute) {
        this.#count('refused', 1);
        return 'refused';
      }
      this.#makeRoom();
      this.#know(event);
      this.#db.prepare(insertSql).run({
        label: event.label,
        bootId: event.bootId,
        modelName: event.model.name,
        modelVersion: event.model.version,
        onsetWallMs: Math.round(event.onsetWallMs),
        onsetMonotonicMs: onset,
        clock: event.clockSynchronised ? 1 : 0,
        durationMs: bound(event.durationSeconds * 1000, 0, 600_000),
        confidence: bound(event.confidence * 1000, 0, 1000),
        aboveBackground: bound(event.levelAboveBackgroundDb, -20, 140),
        spl: event.soundPressureLevelDb === undefined ? null : bound(event.soundPressureLevelDb, 0, 200),
        glassBreak: bound(event.scores.glass_break * 1000, 0, 1000),
        shout: bound(event.scores.shout * 1000, 0, 1000),
        bang: bound(event.scores.bang * 1000, 0, 1000),
      });
      this.#count('stored', 1);
      return 'stored';
    });
  }

  pending(after: number, limit: number): PendingEvent[] {
    return this.#db.prepare<[number, number], Row>(pendingSql).all(after, limit).map(fromRow);
  }

  pendingCount(): number {
    return this.#db.prepare('SELECT count(*) FROM event').pluck().get() as number;
  }

  acknowledge(sequences: readonly number[]): void {
    this.#transaction(() => {
      const remove = this.#db.prepare('DELETE FROM event WHERE sequence = ?');
      this.#count(
        'sent',
        sequences.reduce((sum, sequence) => sum + remove.run(sequence).changes, 0),
      );
    });
  }

  expire(nowMs: number, maxAgeMs: number): number {
    return this.#transaction(() => {
      const removed = this.#db.prepare('DELETE FROM event WHERE clock_synchronised = 1 AND onset_wall_ms < ?').run(Math.round(nowMs - maxAgeMs)).changes;
      this.#count('expired', removed);
      return removed;
    });
  }

  fates(): Record<Fate, number> {
    const rows = this.#db.prepare('SELECT name, events FROM fate').all() as { name: Fate; events: number }[];
    return Object.fromEntries(rows.map(({ name, events }) => [name, events])) as Record<Fate, number>;
  }

  writeHearing(record: HearingRecord): void {
    this.#transaction(() => {
      this.#know(record);
      this.#db.prepare(hearingRows.writeHearingSql).run(hearingRows.toHearingRow(record));
    });
  }

  readHearing(): HearingRecord | undefined {
    const row = this.#db.prepare<[], hearingRows.HearingRow>(hearingRows.readHearingSql).get();
    return row && hearingRows.fromHearingRow(row);
  }

  writeUsualLevel(level: UsualLevel): void {
    this.#transaction(() => this.#db.prepare(hearingRows.writeUsualSql).run(hearingRows.toUsualRow(level)));
  }

  readUsualLevels(): UsualLevel[] {
    return this.#db.prepare<[], UsualLevel>(hearingRows.readUsualSql).all();
  }

  close(): void {
    this.#db.close();
  }

  /** Gives a boot and a model the numbers that rows refer to. */
  #know({ bootId, model }: Pick<RecordedEvent, 'bootId' | 'model'>): void {
    this.#db.prepare('INSERT OR IGNORE INTO boot (boot_id) VALUES (?)').run(bootId);
    this.#db.prepare('INSERT OR IGNORE INTO model (name, version) VALUES (?, ?)').run(model.name, model.version);
  }

  #makeRoom(): void {
    const used = ((this.#db.pragma('page_count', { simple: true }) as number) - (this.#db.pragma('freelist_count', { simple: true }) as number)) * pageBytes;
    if (used < this.#limits.maxMegabytes * 1e6) return;
    const removed = this.#db.prepare('DELETE FROM event WHERE sequence IN (SELECT sequence FROM event ORDER BY sequence LIMIT 100)').run().changes;
    this.#count('expired', removed);
  }

  #count(fate: Fate, events: number): void {
    if (events > 0) this.#db.prepare('UPDATE fate SET events = events + ? WHERE name = ?').run(events, fate);
  }

  #transaction<T>(work: () => T): T {
    try {
      return this.#db.transaction(work).immediate();
    } catch (cause) {
      throw new OutboxError(`Expected to write the outbox, got: ${messageOf(cause)}`, 'check free space and that the file belongs to the service', { cause });
    }
  }
}

function fromRow(row: Row): PendingEvent {
  return {
    sequence: row.sequence,
    label: row.label,
    bootId: row.boot_id,
    model: { name: row.model_name, version: row.model_version },
    onsetWallMs: row.onset_wall_ms,
    onsetMonotonicMs: row.onset_monotonic_ms,
    clockSynchronised: row.clock_synchronised === 1,
    durationSeconds: row.duration_ms / 1000,
    confidence: row.confidence_permille / 1000,
    levelAboveBackgroundDb: row.above_background_decibels,
    ...(row.spl_decibels === null ? {} : { soundPressureLevelDb: row.spl_decibels }),
    scores: { glass_break: row.glass_break_permille / 1000, shout: row.shout_permille / 1000, bang: row.bang_permille / 1000 },
  };
}

function bound(value: number, low: number, high: number): number {
  return Math.round(Math.min(high, Math.max(low, value)));
}
