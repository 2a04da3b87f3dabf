// Looking into an outbox from outside: what the technician's commands show.
import { accessSync, constants, statSync } from 'node:fs';
import type { HearingRecord } from '../events/health.ts';
import type { Clock } from '../lib/clock.ts';
import { fromHearingRow, type HearingRow, readHearingSql } from './hearing-rows.ts';
import { hasEarlierSchema, hasKnownSchema, isFalseVersion, migrate, refuseLater, schemaSql } from './migrate.ts';
import type { Fate, PendingEvent } from './outbox.ts';
import { fromRow, pendingSql, type Row } from './rows.ts';
import { damage, flawIn, openInMemory, type SqliteDatabase, usedBytes } from './sqlite.ts';
import { openForCheck, openReadOnly } from './sqlite-database.ts';
import { type ListeningDay, readListeningDays } from './threshold-rows.ts';

/** The state of an outbox in which nothing has happened; a file of an older release counts fewer fates. */
export const noFates: Record<Fate, number> = { stored: 0, sent: 0, expired: 0, refused: 0, dropped: 0, unreadable: 0 };

export interface OutboxState {
  readonly id: string;
  /** In use, as `outbox.maxMegabytes` bounds it: a file keeps the room of events that have left it. */
  readonly bytes: number;
  readonly pending: number;
  readonly oldest?: PendingEvent;
  readonly fates: Record<Fate, number>;
  readonly hearing?: HearingRecord;
  /** The boot that came last, if it was noted when it began. */
  readonly boot?: { readonly bootId: string; readonly beganMs: number };
}

/** An outbox that has not been made yet is empty. */
export const unmade: OutboxState = { id: '', bytes: 0, pending: 0, fates: noFates };

/** An outbox opened for reading: nothing is created, migrated, repaired or removed. */
export interface OutboxView {
  /** Everything that `look` reads is of one moment, whatever the halves write meanwhile. */
  atOnce<T>(look: () => T): T;
  state(): OutboxState;
  pending(after: number, limit: number): PendingEvent[];
  listeningDays(): ListeningDay[];
  /** The number of the last event that was ever stored. */
  lastSequence(): number;
  close(): void;
}

/** An event that waits longer is not normal; `status`, `outbox`, `events` and `doctor` use the same limit. */
export const lateMs = 60_000;

/** Whether there is an outbox. Throws if this user may not look, which is not the same as absent. */
export function isMade(path: string): boolean {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return false;
  accessSync(path, constants.R_OK);
  return true;
}

/**
 * Throws SQLite's error, EISDIR for a folder, an Error if the file is damaged, or a LaterSchemaError for a file that no
 * half of this release uses.
 */
export function viewOutbox(path: string): OutboxView {
  const db = openReadOnly(path);
  const get = <T>(sql: string) => db.prepare(sql).pluck().get() as T;
  let schema: number;
  try {
    schema = get<number>('PRAGMA schema_version');
    if (!isFalseVersion(db)) refuseLater(db);
    if (!hasKnownSchema(db)) throw new Error('its schema is not one of a release');
    const flaw = flawIn(db);
    if (flaw) throw new Error(flaw.split('\n').slice(0, 2).join('; ').slice(0, 80));
  } catch (error) {
    db.close();
    throw error;
  }
  const pending = db.prepare<[number, number], Row>(pendingSql);
  const atOnce = <T>(look: () => T): T =>
    db.transaction(() => {
      if (get('PRAGMA schema_version') !== schema) throw damage('its schema was changed'); // and may run or show anything since
      return look();
    })();
  return {
    atOnce,
    state: () =>
      atOnce(() => {
        const fates = db.prepare('SELECT name, events FROM fate').raw().all() as [Fate, number][];
        const oldest = pending.get(0, 1);
        const told = get<number>("SELECT count(*) FROM sqlite_master WHERE name = 'hearing'") > 0; // not in files of older releases
        const hearing = told ? db.prepare<[], HearingRow>(readHearingSql).get() : undefined;
        // `*`, since files of older releases lack this column
        const boot = db.prepare<[], { boot_id: string; began_wall_ms?: number | null }>('SELECT * FROM boot ORDER BY id DESC LIMIT 1').get();
        return {
          id: get<string>('SELECT id FROM outbox'),
          bytes: usedBytes(db),
          pending: get<number>('SELECT count(*) FROM event'),
          ...(oldest === undefined ? {} : { oldest: fromRow(oldest) }),
          ...(hearing === undefined ? {} : { hearing: fromHearingRow(hearing) }),
          ...(typeof boot?.began_wall_ms === 'number' ? { boot: { bootId: boot.boot_id, beganMs: boot.began_wall_ms } } : {}),
          fates: { ...noFates, ...Object.fromEntries(fates) },
        };
      }),
    pending: (after, limit) => atOnce(() => pending.all(after, limit).map(fromRow)),
    listeningDays: () => atOnce(() => readListeningDays(db)),
    lastSequence: () => atOnce(() => get<number | undefined>("SELECT seq FROM sqlite_sequence WHERE name = 'event'") ?? 0),
    close: () => void db.close(),
  };
}

export function inspectOutbox(path: string): OutboxState {
  const view = viewOutbox(path);
  try {
    return view.state();
  } finally {
    view.close();
  }
}

/** Tells the clock of a process that has just started what the two halves noted of this boot. */
export function recallBoot({ boot }: OutboxState, clock: Clock): void {
  if (boot?.bootId === clock.bootId) clock.recall(boot.beganMs);
}

/**
 * The schema as text, exactly as the sqlite3 shell prints `schemaSql`; whether the file and every row keep to it; and
 * whether it is that of an earlier release.
 */
export function schemaOf(path: string): { text: string; sound: boolean; earlier: boolean } {
  const db = openForCheck(path);
  try {
    return db.transaction(() => ({
      text: schemaText(db),
      sound: hasKnownSchema(db) && db.pragma('quick_check', { simple: true }) === 'ok',
      earlier: hasEarlierSchema(db),
    }))();
  } finally {
    db.close();
  }
}

/** The schema of this release, in the same form. */
export function schemaOfRelease(): string {
  const db = openInMemory();
  try {
    migrate(db);
    return schemaText(db);
  } finally {
    db.close();
  }
}

function schemaText(db: SqliteDatabase): string {
  const rows = db.prepare(schemaSql).raw().all() as (string | null)[][];
  return rows.map((row) => `${row.map((value) => value ?? '').join('|')}\n`).join('');
}
