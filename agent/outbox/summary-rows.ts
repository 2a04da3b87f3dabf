import type { HourSummary } from '../events/summary.ts';
import type { PendingSummary } from './outbox.ts';
import { bound } from './rows.ts';

/** The `hour_summary` row of migration 000004 with the names behind its keys. */
export interface SummaryRow {
  sequence: number;
  boot_id: string;
  began_at_wall_ms: number | null; // of the boot
  model_name: string;
  model_version: string;
  began_wall_ms: number;
  began_monotonic_ms: number;
  clock_synchronised: number;
  elapsed_ms: number;
  listened_ms: number;
  glass_breaks: number;
  shouts: number;
  bangs: number;
  laeq_millibels: number | null;
  la10_millibels: number | null;
  la90_millibels: number | null;
  full_scale_spl_millibels: number | null;
}

export const readSummariesSql = `SELECT hour_summary.*, boot.boot_id, boot.began_wall_ms AS began_at_wall_ms, model.name AS model_name, model.version AS model_version
  FROM hour_summary JOIN boot ON boot.id = hour_summary.boot JOIN model ON model.id = hour_summary.model
  WHERE sequence > ? ORDER BY sequence LIMIT ?`;
export const writeSummarySql = `INSERT INTO hour_summary (sequence, boot, model, began_wall_ms, began_monotonic_ms, clock_synchronised, elapsed_ms,
  listened_ms, glass_breaks, shouts, bangs, laeq_millibels, la10_millibels, la90_millibels, full_scale_spl_millibels)
  VALUES (@sequence, (SELECT id FROM boot WHERE boot_id = @boot_id), (SELECT id FROM model WHERE name = @model_name AND version = @model_version),
  @began_wall_ms, @began_monotonic_ms, @clock_synchronised, @elapsed_ms,
  @listened_ms, @glass_breaks, @shouts, @bangs, @laeq_millibels, @la10_millibels, @la90_millibels, @full_scale_spl_millibels)`;
// by count: numbers jump by a thousand where some may be lost
export const dropOldSummariesSql = 'DELETE FROM hour_summary WHERE sequence <= (SELECT sequence FROM hour_summary ORDER BY sequence DESC LIMIT 1 OFFSET ?)';

/** The parameters of `writeSummarySql` for an hour that gets the next number. */
export function toSummaryRow(summary: HourSummary): Omit<SummaryRow, 'sequence' | 'began_at_wall_ms'> & { sequence: null } {
  const { levels, recognised } = summary;
  const millibels = (value: number | undefined, high: number) => (value === undefined ? null : bound(value * 100, -13_000, high));
  return {
    sequence: null,
    boot_id: summary.bootId,
    model_name: summary.model.name,
    model_version: summary.model.version,
    began_wall_ms: bound(summary.beganWallMs, -86_400_000, 32_503_680_000_000),
    began_monotonic_ms: Math.round(summary.beganMonotonicMs),
    clock_synchronised: summary.clockSynchronised ? 1 : 0,
    elapsed_ms: bound(summary.elapsedSeconds * 1000, 0, 7_200_000),
    listened_ms: bound(summary.listenedSeconds * 1000, 0, 7_200_000),
    glass_breaks: recognised.glass_break,
    shouts: recognised.shout,
    bangs: recognised.bang,
    laeq_millibels: millibels(levels?.laeq, 2000),
    la10_millibels: millibels(levels?.la10, 2000),
    la90_millibels: millibels(levels?.la90, 2000),
    full_scale_spl_millibels: millibels(summary.splAtFullScaleDb, 16_000),
  };
}

export function fromSummaryRow(row: SummaryRow): PendingSummary {
  const { laeq_millibels: laeq, la10_millibels: la10, la90_millibels: la90, full_scale_spl_millibels: spl } = row;
  return {
    sequence: row.sequence,
    bootId: row.boot_id,
    ...(row.began_at_wall_ms === null ? {} : { bootBeganMs: row.began_at_wall_ms }),
    model: { name: row.model_name, version: row.model_version },
    beganWallMs: row.began_wall_ms,
    beganMonotonicMs: row.began_monotonic_ms,
    clockSynchronised: row.clock_synchronised === 1,
    elapsedSeconds: row.elapsed_ms / 1000,
    listenedSeconds: row.listened_ms / 1000,
    recognised: { glass_break: row.glass_breaks, shout: row.shouts, bang: row.bangs },
    ...(laeq === null || la10 === null || la90 === null ? {} : { levels: { laeq: laeq / 100, la10: la10 / 100, la90: la90 / 100 } }),
    ...(spl === null ? {} : { splAtFullScaleDb: spl / 100 }),
  };
}
