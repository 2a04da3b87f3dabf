import type { Now } from './outbox.ts';
import type { Statement } from './sqlite.ts';

const windowRows = 10_000;

/**
 * Where the search continues, and the number below which events of unknown time are too old, because one after them
 * was.
 */
interface ExpiryCursor {
  readonly after: number;
  readonly before: number;
}

type Prepare = <Bound extends unknown[], Result>(sql: string) => Statement<Bound, Result>;

interface Aged {
  sequence: number;
  boot_id: string;
  began_wall_ms: number | null;
  clock_synchronised: number;
  onset_wall_ms: number;
  onset_monotonic_ms: number;
}

/**
 * Which of the next 10,000 events are too old. Successive calls go through the whole outbox, each in a few milliseconds
 * however many events there are. An untrusted wall clock ages nothing. An event of an earlier boot is at least as
 * old as this boot: that one was over when this began.
 */
export function findTooOld(prepare: Prepare, { after, before }: ExpiryCursor, now: Now, maxAgeMs: number): { tooOld: number[]; next: ExpiryCursor } {
  const rows = prepare<[number, number], Aged>(
    `SELECT sequence, boot_id, began_wall_ms, clock_synchronised, onset_wall_ms, onset_monotonic_ms
     FROM event JOIN boot ON boot.id = event.boot WHERE sequence > ? ORDER BY sequence LIMIT ?`,
  ).all(after, windowRows);
  const ages = rows.map((row) => ageOf(row, now));
  const last = rows.findLast((_, i) => (ages[i] ?? 0) > maxAgeMs)?.sequence ?? 0;
  const floor = Math.max(before, last);
  const tooOld = rows
    .filter((row, i) => (ages[i] ?? (row.sequence < floor ? Number.POSITIVE_INFINITY : now.monotonicMs)) > maxAgeMs)
    .map(({ sequence }) => sequence);
  const more = rows.length === windowRows && tooOld.length === 0;
  return { tooOld, next: { after: more ? (rows.at(-1)?.sequence ?? 0) : 0, before: floor } };
}

/** In milliseconds; undefined if it cannot be known. */
function ageOf(row: Aged, now: Now): number | undefined {
  if (row.boot_id === now.bootId) return now.monotonicMs - row.onset_monotonic_ms;
  if (now.wallMs === undefined) return undefined;
  const ofSynchronised = row.clock_synchronised === 1 ? row.onset_wall_ms : undefined;
  const onsetMs = row.began_wall_ms === null ? ofSynchronised : row.began_wall_ms + row.onset_monotonic_ms;
  return onsetMs === undefined ? undefined : Math.max(now.monotonicMs, now.wallMs - onsetMs); // that clock may have been ahead
}
