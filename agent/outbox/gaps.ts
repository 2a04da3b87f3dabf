import type { Gap } from './outbox.ts';
import type { Prepare } from './sqlite.ts';

// the preceding gap is found by its key: there may be as many gaps as events
const lengthenSql = 'UPDATE gap SET last = @last WHERE first = (SELECT max(first) FROM gap WHERE first < @first) AND last = @first - 1 AND reason = @reason';
const insertSql = 'INSERT INTO gap (first, last, reason) VALUES (@first, @last, @reason) ON CONFLICT (first) DO UPDATE SET last = max(last, excluded.last)';

/**
 * Notes a gap, or extends the one that ends just before it, or the one already in its place: damage may have put one
 * anywhere.
 */
export function noteGap(prepare: Prepare, gap: Gap): void {
  if (prepare(lengthenSql).run(gap).changes === 0) prepare(insertSql).run(gap);
}

/** Groups ascending numbers: consecutive ones become one gap. */
export function gapsOf(sequences: readonly number[], reason: Gap['reason']): Gap[] {
  const ranges: { first: number; last: number }[] = [];
  for (const sequence of sequences) {
    const range = ranges.at(-1);
    if (range?.last === sequence - 1) range.last = sequence;
    else ranges.push({ first: sequence, last: sequence });
  }
  return ranges.map((range) => ({ ...range, reason }));
}
