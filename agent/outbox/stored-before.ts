import type { RecordedEvent } from '../events/event.ts';
import type { Prepare } from './sqlite.ts';

// The numbers that events were given last. After their transaction the file could not be looked at, so that nobody knew
// whether they are stored: they are held and stored again, perhaps after the courier has sent and deleted them.
const given = new WeakMap<RecordedEvent, number>();

export function noteGiven(event: RecordedEvent, sequence: number): void {
  given.set(event, sequence);
}

/** Whether an event that is stored once more is in the outbox already, or was, and has been sent. */
export function isStored(prepare: Prepare, event: RecordedEvent): boolean {
  const onset = Math.round(event.onsetMonotonicMs);
  const waits = prepare(
    'SELECT 1 FROM event JOIN boot ON boot.id = event.boot JOIN label ON label.id = event.label WHERE boot_id = ? AND onset_monotonic_ms = ? AND label.name = ? AND sequence > (SELECT coalesce(max(sequence), 0) - 60 FROM event)',
  ).get(event.bootId, onset, event.label);
  if (waits) return true;
  // of what has been sent, only its number and onset are left, which another label may share: hence the number
  const was = prepare('SELECT 1 FROM recent JOIN boot ON boot.id = recent.boot WHERE sequence = ? AND boot_id = ? AND onset_monotonic_ms = ?');
  return was.get(given.get(event) ?? -1, event.bootId, onset) !== undefined;
}
