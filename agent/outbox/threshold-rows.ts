// Rows of migration 000006. The listener adds to the last day of listening; `tocsin calibrate thresholds` reads.
import type { Model } from '../events/event.ts';
import type { ThresholdCount, ThresholdRecord } from '../events/threshold-counts.ts';
import { bound } from './rows.ts';
import type { SqliteDatabase } from './sqlite.ts';

export const keptDays = 60;
// by name, as everywhere: a later release may add columns while a half of this one still runs
const dayColumns = '(day, model, strict, first_utc_day, last_utc_day, listened_ms, recognition)';
const countColumns = '(day, label, step, events)';
const fullMs = 86_400_000;

/** A day of listening as it was stored. */
export interface ListeningDay {
  readonly day: number;
  readonly model: Model;
  readonly operatingPoint: ThresholdRecord['operatingPoint'];
  /** Missing where an earlier release counted. */
  readonly recognition?: number;
  readonly firstUtcDay?: number;
  readonly lastUtcDay?: number;
  readonly seconds: number;
  readonly counts: readonly ThresholdCount[];
}

/**
 * Adds to the last day. Begins another if that is full or has another model, recognition or operating point. Call it
 * within a transaction.
 */
export function addThresholdCounts(db: SqliteDatabase, record: ThresholdRecord): void {
  const { model, operatingPoint, recognition, seconds, counts, utcDay = null } = record;
  const strict = operatingPoint === 'strict' ? 1 : 0;
  const ms = bound(seconds * 1000, 0, 604_800_000 - fullMs);
  const modelId = db.prepare('SELECT id FROM model WHERE name = ? AND version = ?').pluck().get(model.name, model.version) as number;
  const last = db.prepare('SELECT day, model, strict, recognition, listened_ms FROM listening_day ORDER BY day DESC LIMIT 1').get() as
    | { day: number; model: number; strict: number; recognition: number | null; listened_ms: number }
    | undefined;
  const goesOn = last?.model === modelId && last.strict === strict && last.recognition === recognition && last.listened_ms < fullMs;
  const day = goesOn ? last.day : (last?.day ?? 0) + 1;
  if (goesOn)
    db.prepare(
      'UPDATE listening_day SET listened_ms = listened_ms + ?, first_utc_day = coalesce(first_utc_day, ?), last_utc_day = coalesce(?, last_utc_day) WHERE day = ?',
    ).run(ms, utcDay, utcDay, day);
  else {
    for (const table of ['would_be_event', 'listening_day']) db.prepare(`DELETE FROM ${table} WHERE day <= ?`).run(day - keptDays);
    db.prepare(`INSERT INTO listening_day ${dayColumns} VALUES (?, ?, ?, ?, ?, ?, ?)`).run(day, modelId, strict, utcDay, utcDay, ms, recognition);
  }
  const add = db.prepare(
    `INSERT INTO would_be_event ${countColumns} VALUES (?, (SELECT id FROM label WHERE name = ?), ?, ?) ON CONFLICT DO UPDATE SET events = min(1000000, events + excluded.events)`,
  );
  for (const { label, step, events } of counts) add.run(day, label, step, bound(events, 1, 1_000_000));
}

/** A day as read from another outbox; its model has a row here. */
export function writeListeningDay(db: SqliteDatabase, listeningDay: ListeningDay): void {
  const { day, model, operatingPoint, firstUtcDay = null, lastUtcDay = null, seconds, recognition = null, counts } = listeningDay;
  const insertDay = db.prepare(`INSERT INTO listening_day ${dayColumns} VALUES (?, (SELECT id FROM model WHERE name = ? AND version = ?), ?, ?, ?, ?, ?)`);
  insertDay.run(day, model.name, model.version, operatingPoint === 'strict' ? 1 : 0, firstUtcDay, lastUtcDay, Math.round(seconds * 1000), recognition);
  const insertCount = db.prepare(`INSERT INTO would_be_event ${countColumns} VALUES (?, (SELECT id FROM label WHERE name = ?), ?, ?)`);
  for (const { label, step, events } of counts) insertCount.run(day, label, step, events);
}

/** The newest day first; none in a file of an older release. A day whose counts `attempt` gives up on is left out. */
export function readListeningDays(db: SqliteDatabase, attempt: <T>(read: () => T) => T | undefined = (read) => read()): ListeningDay[] {
  if (!db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'listening_day'").get()) return [];
  const rows = db
    .prepare('SELECT listening_day.*, model.name, model.version FROM listening_day JOIN model ON model.id = listening_day.model ORDER BY day DESC')
    .all() as {
    day: number;
    name: string;
    version: string;
    strict: number;
    first_utc_day: number | null;
    last_utc_day: number | null;
    listened_ms: number;
    recognition?: number | null;
  }[];
  const counts = db.prepare<[number], ThresholdCount>(
    'SELECT label.name AS label, step, events FROM would_be_event JOIN label ON label.id = would_be_event.label WHERE day = ? ORDER BY label.id, step',
  );
  const withCounts = (row: (typeof rows)[number]): ListeningDay => ({
    day: row.day,
    model: { name: row.name, version: row.version },
    operatingPoint: row.strict === 1 ? 'strict' : 'balanced',
    ...(row.first_utc_day === null ? {} : { firstUtcDay: row.first_utc_day }),
    ...(row.last_utc_day === null ? {} : { lastUtcDay: row.last_utc_day }),
    seconds: row.listened_ms / 1000,
    ...(row.recognition == null ? {} : { recognition: row.recognition }), // nor has a file of an earlier release the column
    counts: counts.all(row.day),
  });
  return rows.flatMap((row) => attempt(() => withCounts(row)) ?? []);
}
