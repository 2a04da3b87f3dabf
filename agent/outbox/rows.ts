// An event as columns, and back.
import type { RecordedEvent } from '../events/event.ts';
import type { PendingEvent } from './outbox.ts';

export interface Row {
  sequence: number;
  label: RecordedEvent['label'];
  boot_id: string;
  began_wall_ms?: number | null;
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

export const insertSql = `INSERT INTO event (sequence, label, boot, model, onset_wall_ms, onset_monotonic_ms, clock_synchronised, duration_ms,
  confidence_permille, above_background_decibels, spl_decibels, glass_break_permille, shout_permille, bang_permille)
  VALUES (@sequence, (SELECT id FROM label WHERE name = @label), (SELECT id FROM boot WHERE boot_id = @boot_id),
  (SELECT id FROM model WHERE name = @model_name AND version = @model_version), @onset_wall_ms, @onset_monotonic_ms, @clock_synchronised, @duration_ms,
  @confidence_permille, @above_background_decibels, @spl_decibels, @glass_break_permille, @shout_permille, @bang_permille)`;
// `boot.*` rather than columns by name: an outbox of an older release can be read before it is migrated
export const pendingSql = `SELECT boot.*, event.*, label.name AS label, model.name AS model_name, model.version AS model_version
  FROM event JOIN label ON label.id = event.label JOIN boot ON boot.id = event.boot JOIN model ON model.id = event.model
  WHERE sequence > ? ORDER BY sequence LIMIT ?`;

/** The parameters of `insertSql` for an event that gets the next number. */
export function toRow(event: RecordedEvent): Omit<Row, 'sequence' | 'began_wall_ms'> & { sequence: null } {
  return {
    sequence: null,
    label: event.label,
    boot_id: event.bootId,
    model_name: event.model.name,
    model_version: event.model.version,
    // a wall clock may show anything, also before 1970: no reason to lose an event
    onset_wall_ms: bound(event.onsetWallMs, -86_400_000, 32_503_680_000_000),
    onset_monotonic_ms: bound(event.onsetMonotonicMs, -600_000, 3_153_600_000_000),
    clock_synchronised: event.clockSynchronised ? 1 : 0,
    duration_ms: bound(event.durationSeconds * 1000, 0, 600_000),
    confidence_permille: bound(event.confidence * 1000, 0, 1000),
    above_background_decibels: bound(event.levelAboveBackgroundDb, -20, 140),
    spl_decibels: event.soundPressureLevelDb === undefined ? null : bound(event.soundPressureLevelDb, 0, 200),
    glass_break_permille: bound(event.scores.glass_break * 1000, 0, 1000),
    shout_permille: bound(event.scores.shout * 1000, 0, 1000),
    bang_permille: bound(event.scores.bang * 1000, 0, 1000),
  };
}

export function fromRow(row: Row): PendingEvent {
  return {
    sequence: row.sequence,
    label: row.label,
    bootId: row.boot_id,
    ...(typeof row.began_wall_ms === 'number' ? { bootBeganMs: row.began_wall_ms } : {}),
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

/** Rounds, and clamps to the bounds of the column. */
export function bound(value: number, low: number, high: number): number {
  return Math.round(Math.min(high, Math.max(low, value)));
}
