import type { RecordedEvent } from '../events/event.ts';
import type { Prepare } from './sqlite.ts';

export const mostModels = 64; // of the schema
const used = 'SELECT model FROM event UNION SELECT model FROM hearing UNION SELECT model FROM hour_summary UNION SELECT model FROM listening_day';
const free = 'SELECT min(id) + 1 FROM (SELECT 0 AS id UNION SELECT id FROM model) WHERE id + 1 NOT IN (SELECT id FROM model)';

/** Gives a boot and a model the numbers that rows refer to. Call it within a transaction. */
export function know(prepare: Prepare, { bootId, model }: Pick<RecordedEvent, 'bootId' | 'model'>): void {
  prepare('INSERT OR IGNORE INTO boot (boot_id) VALUES (?)').run(bootId);
  knowModel(prepare, model);
}

export function knowModel(prepare: Prepare, model: RecordedEvent['model']): void {
  if (prepare('SELECT 1 FROM model WHERE name = ? AND version = ?').get(model.name, model.version)) return;
  // those that nothing refers to any more make way
  if (prepare(`SELECT count(*) >= ${mostModels} FROM model`).pluck().get()) prepare(`DELETE FROM model WHERE id NOT IN (${used})`).run();
  prepare(`INSERT INTO model (id, name, version) VALUES ((${free}), ?, ?)`).run(model.name, model.version);
}
