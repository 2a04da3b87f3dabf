import type { HearingRecord, UsualLevel } from '../events/health.ts';
import { bound } from './rows.ts';

/** The `hearing` row of migrations 000003 and 000011 with the names behind its keys. */
export interface HearingRow {
  boot_id: string;
  model_name: string;
  model_version: string;
  written_monotonic_ms: number;
  since_monotonic_ms: number;
  state: HearingRecord['state'];
  fault: HearingRecord['fault'];
  suspicion: HearingRecord['suspicion'];
  listened_ms: number;
  dropped_samples: number;
  opens: number;
  starts: number;
  noise_floor_decibels: number | null;
  interval_seconds?: number | null;
}

export const readHearingSql = `SELECT hearing.*, boot.boot_id, model.name AS model_name, model.version AS model_version
  FROM hearing JOIN boot ON boot.id = hearing.boot JOIN model ON model.id = hearing.model`;
export const writeHearingSql = `INSERT OR REPLACE INTO hearing (one, boot, model, written_monotonic_ms, since_monotonic_ms, state, fault, suspicion,
  listened_ms, dropped_samples, opens, starts, noise_floor_decibels, interval_seconds)
  VALUES (1, (SELECT id FROM boot WHERE boot_id = @boot_id), (SELECT id FROM model WHERE name = @model_name AND version = @model_version),
  @written_monotonic_ms, @since_monotonic_ms, @state, @fault, @suspicion, @listened_ms, @dropped_samples, @opens, @starts, @noise_floor_decibels, @interval_seconds)`;
export const readUsualSql = 'SELECT hour, quarters, floor_millibels / 100.0 AS floorDb, loud_millibels / 100.0 AS loudDb FROM usual_level';
export const writeUsualSql = 'INSERT OR REPLACE INTO usual_level (hour, quarters, floor_millibels, loud_millibels) VALUES (@hour, @quarters, @floor, @loud)';

export function toHearingRow(record: HearingRecord): HearingRow {
  return {
    boot_id: record.bootId,
    model_name: record.model.name,
    model_version: record.model.version,
    written_monotonic_ms: Math.round(record.writtenMonotonicMs),
    since_monotonic_ms: Math.round(record.sinceMonotonicMs),
    state: record.state,
    fault: record.fault,
    suspicion: record.suspicion,
    listened_ms: Math.round(record.listenedSeconds * 1000),
    dropped_samples: bound(record.droppedSamples, 0, 1_000_000_000_000),
    opens: bound(record.opens, 0, 1_000_000_000),
    starts: bound(record.starts, 1, 1_000_000),
    noise_floor_decibels: record.noiseFloorDb === undefined ? null : Math.round(record.noiseFloorDb),
    interval_seconds: record.intervalSeconds === undefined ? null : bound(record.intervalSeconds, 5, 3600),
  };
}

export function fromHearingRow(row: HearingRow): HearingRecord {
  return {
    bootId: row.boot_id,
    model: { name: row.model_name, version: row.model_version },
    writtenMonotonicMs: row.written_monotonic_ms,
    sinceMonotonicMs: row.since_monotonic_ms,
    state: row.state,
    fault: row.fault,
    suspicion: row.suspicion,
    listenedSeconds: row.listened_ms / 1000,
    droppedSamples: row.dropped_samples,
    opens: row.opens,
    starts: row.starts,
    ...(row.noise_floor_decibels === null ? {} : { noiseFloorDb: row.noise_floor_decibels }),
    ...(typeof row.interval_seconds === 'number' ? { intervalSeconds: row.interval_seconds } : {}),
  };
}

export function toUsualRow(level: UsualLevel): { hour: number; quarters: number; floor: number; loud: number } {
  return { hour: level.hour, quarters: level.quarters, floor: Math.round(level.floorDb * 100), loud: Math.round(level.loudDb * 100) };
}
