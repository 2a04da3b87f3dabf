// Reading a damaged file: SQLite fails where it meets the impossible, or believes it, since its pages have no checksum.
import { hasCode } from '../lib/errors.ts';
import type { SqliteDatabase } from './sqlite.ts';

const seconds = 5; // time for reads that fail
const together = 1000; // rows read at once: months of events do not fit in the memory of a service

/**
 * Runs `work`; undefined if the damaged file is to blame. Throws momentary errors: no memory, no space for shared
 * memory, or a lock.
 */
export function reading<T>(work: () => T): T | undefined {
  return unless(/^SQLITE_(NOMEM|FULL|BUSY|LOCKED|PROTOCOL|CANTOPEN|IOERR(?!_(READ|SHORT_READ|CORRUPTFS|DATA)$))/, work);
}

/**
 * Runs `work`; undefined if the new schema refuses what was read. Throws whatever else keeps the new file from being
 * written.
 */
export function writing<T>(work: () => T): T | undefined {
  return unless(/^SQLITE_(?!CONSTRAINT|MISMATCH|TOOBIG|RANGE)/, work);
}

/**
 * Whether the schema runs nothing when its tables are read: a view, a virtual table or a generated column that somebody
 * wrote into it may take for ever, or any amount of memory. A schema that cannot be parsed runs nothing either.
 */
export function isOfPlainTables(db: SqliteDatabase): boolean {
  const sql = `SELECT 1 FROM pragma_table_list AS t WHERE t.schema = 'main'
    AND (t.type <> 'table' OR EXISTS (SELECT 1 FROM pragma_table_xinfo(t.name) WHERE hidden <> 0)) LIMIT 1`;
  return reading(() => db.prepare(sql).all().length) !== 1;
}

/** Undefined for an error with an SQLite code that is not `thrown`. One without a code may come of a lack of memory. */
function unless<T>(thrown: RegExp, work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (!hasCode(error, /^SQLITE_/) || hasCode(error, thrown)) throw error;
    return undefined;
  }
}

/**
 * Reads what other rows refer to into temporary tables that hide the damaged ones: without a label, a boot and a model
 * no event can be read. Labels are those of the release. Boots and models also stand in an index, except when a boot
 * began.
 */
export function readReferredTo(from: SqliteDatabase, to: SqliteDatabase): void {
  const rows = (sql: string) => {
    const found: Record<string, unknown>[] = [];
    reading(() => {
      for (const row of from.prepare<[], Record<string, unknown>>(sql).iterate()) found.push(row);
    });
    return found;
  };
  // of two the first is taken: a row that the new schema would refuse must not displace one that may be right
  const twice = (table: string, indexed: string, shapes: Readonly<Record<string, RegExp>>) =>
    [...rows(`SELECT * FROM main.${table} NOT INDEXED`), ...rows(`SELECT ${indexed} FROM main.${table} INDEXED BY sqlite_autoindex_${table}_1`)].filter((row) =>
      Object.entries(shapes).every(([column, shape]) => isOfShape(row[column], shape)),
    );
  const tables = [
    ['label', ['name'], to.prepare('SELECT id, name FROM label').all() as object[]],
    ['boot', ['boot_id', 'began_wall_ms'], twice('boot', 'id, boot_id', { boot_id: /^[0-9a-f-]{36}$/ })],
    ['model', ['name', 'version'], twice('model', 'id, name, version', { name: /^[0-9a-z-]{1,32}$/, version: /^[0-9a-z.-]{1,32}$/ })],
  ] as const;
  for (const [table, columns, found] of tables)
    reading(() => {
      from.exec(`DROP TABLE IF EXISTS temp.${table}; CREATE TEMP TABLE ${table} (id INTEGER PRIMARY KEY, ${columns.join()})`);
      const insert = from.prepare(`INSERT OR IGNORE INTO temp.${table} VALUES (@id, ${columns.map((name) => `@${name}`).join()})`);
      for (const row of found) insert.run({ began_wall_ms: null, ...row }); // a column that older releases do not have
    });
}

export function isOfShape(value: unknown, shape: RegExp): value is string {
  return typeof value === 'string' && shape.test(value);
}

/**
 * A table of numbered rows, and a query that reads them with all they refer to: those after a number, in order, up to a
 * limit.
 */
interface NumberedRows {
  readonly table: string;
  readonly sql: string;
}

/**
 * Yields every readable row up to `newest`, in order, with never more than a thousand in memory. A range that fails is
 * halved until single numbers fail, for a few seconds of failures at most. What can be reached from the end is a range
 * of its own, which is read however long the others took: before the first row there may be a million numbers of rows
 * that were deleted, and where the first page is damaged each of them fails.
 */
export function* readableRows<Row extends { sequence: number }>(from: SqliteDatabase, of: NumberedRows, newest: number, progress: () => void): Generator<Row> {
  let leftMs = seconds * 1000;
  const read = reading(() => prepareReads<Row>(from, of));
  if (!read) return;
  const ranges: (readonly [after: number, to: number])[] = [[0, newest]];
  /** The last that is pushed is read next. To look for what comes after `first - 1` would touch the damaged page. */
  const split = (after: number, to: number) => {
    const first = to === newest ? read.firstFromEnd(after, to) : undefined;
    if (first !== undefined) return ranges.push([first, to], [first - 1, first], [after, first - 1]);
    const middle = after + Math.ceil((to - after) / 2);
    if (middle < to) ranges.push([middle, to]);
    return ranges.push([after, middle]);
  };
  for (let next = ranges.pop(); next; next = ranges.pop()) {
    const [after, to] = next;
    const isSingle = to - after === 1;
    const began = performance.now();
    const rows = isSingle ? read.single(to) : read.range(after, to);
    const last = rows?.at(-1)?.sequence ?? after;
    if (rows?.length === together) ranges.push([last, to]);
    else if (!rows || (!isSingle && read.isMore(last, to))) {
      if (!isSingle && leftMs > 0) split(last, to);
      leftMs -= performance.now() - began;
    }
    if (rows) yield* rows;
    progress();
  }
}

/**
 * `range` reads at most a thousand rows; undefined if they are not in order, since SQLite believes a damaged number.
 * `single` goes straight to its row, where a range touches neighbouring pages. `isMore`: whether a range that ended has
 * another row after all, searched from the end: damage may have cut it short. `firstFromEnd`: the lowest number that
 * can be reached from the end; undefined if that is none, or if all can.
 */
function prepareReads<Row extends { sequence: number }>(from: SqliteDatabase, { table, sql }: NumberedRows) {
  const prepare = (where: string) => from.prepare<number[], Row>(sql.replace('sequence > ?', where));
  const range = prepare('sequence > ? AND sequence <= ?');
  const single = prepare('sequence = ?');
  const last = from.prepare(`SELECT 1 FROM ${table} WHERE sequence > ? AND sequence <= ? ORDER BY sequence DESC LIMIT 1`);
  const fromEnd = from.prepare<number[], number>(`SELECT sequence FROM ${table} WHERE sequence > ? AND sequence <= ? ORDER BY sequence DESC`).pluck();
  const isInOrder = (rows: Row[], after: number) => rows.every(({ sequence }, i) => sequence > (rows[i - 1]?.sequence ?? after));
  return {
    range(after: number, to: number): Row[] | undefined {
      const rows = reading(() => range.all(after, to, together));
      return rows && isInOrder(rows, after) ? rows : undefined;
    },
    single: (sequence: number): Row[] | undefined => reading(() => single.all(sequence, 1)),
    firstFromEnd(after: number, to: number): number | undefined {
      let first = to + 1;
      const isWhole = reading(() => {
        for (const sequence of fromEnd.iterate(after, to)) {
          if (sequence >= first) return false;
          first = sequence;
        }
        return true;
      });
      return isWhole || first > to ? undefined : first;
    },
    isMore: (after: number, to: number): boolean => reading(() => last.all(after, to).length) !== 0,
  };
}
