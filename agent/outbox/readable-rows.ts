// Reading a damaged file: SQLite fails where it meets what cannot be, or believes it, for its pages bear no checksum.
import type { SqliteDatabase } from './sqlite.ts';

const seconds = 5; // time for reads that fail
const together = 1000; // rows read at once: months of events do not fit in the memory of a service

/** Nothing where the damaged file is to blame; throws what is of the moment: no space for its shared memory, or a lock. */
export function reading<T>(work: () => T): T | undefined {
  return unless(/^SQLITE_(FULL|BUSY|LOCKED|PROTOCOL|CANTOPEN|IOERR(?!_(READ|SHORT_READ|CORRUPTFS|DATA)$))/, work);
}

/** Nothing where the new schema refuses what was read; throws what else keeps the new file from being written. */
export function writing<T>(work: () => T): T | undefined {
  return unless(/^SQLITE_(?!CONSTRAINT|MISMATCH|TOOBIG|RANGE)/, work);
}

/** Nothing where an error has a code of SQLite that is not `thrown`. */
function unless<T>(thrown: RegExp, work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (typeof code === 'string' && thrown.test(code)) throw error;
    return undefined;
  }
}

/**
 * What other rows refer to, read into tables of this connection's memory that hide the damaged ones: without a label, a boot and a model no event is read. The
 * labels are those of the release; boots and models stand in an index as well, all but when a boot began.
 */
export function readReferredTo(from: SqliteDatabase, to: SqliteDatabase): void {
  const rows = (sql: string) => {
    const found: Record<string, unknown>[] = [];
    reading(() => {
      for (const row of from.prepare<[], Record<string, unknown>>(sql).iterate()) found.push(row);
    });
    return found;
  };
  // of two the first is taken: one that the new schema would refuse must not keep the other from it, which may be as it was
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

/** A table of numbered rows, and what reads them with all that they refer to: those behind a number, in order, so many at most. */
export interface NumberedRows {
  readonly table: string;
  readonly sql: string;
}

/**
 * Every row that can be read up to the `newest`, in order and never more than a thousand in memory: a range that fails is halved until what fails is
 * single numbers, for a few seconds of failures at most. What can be read is read, however slow the board is.
 */
export function* readableRows<Row extends { sequence: number }>(from: SqliteDatabase, of: NumberedRows, newest: number, progress: () => void): Generator<Row> {
  let leftMs = seconds * 1000;
  const read = reading(() => prepareReads<Row>(from, of));
  if (!read) return;
  const ranges: [number, number][] = [[0, newest]];
  for (let next = ranges.pop(); next && leftMs > 0; next = ranges.pop()) {
    const [after, to] = next;
    const isSingle = to - after === 1;
    const began = performance.now();
    const rows = isSingle ? read.single(to) : read.range(after, to);
    const last = rows?.at(-1)?.sequence ?? after;
    if (rows?.length === together) ranges.push([last, to]);
    else if (!isSingle && (!rows || read.isMore(last, to))) {
      const middle = last + Math.ceil((to - last) / 2);
      if (middle < to) ranges.push([middle, to]);
      ranges.push([last, middle]);
      leftMs -= performance.now() - began;
    }
    if (rows) yield* rows;
    progress();
  }
}

/**
 * `range`: not more than a thousand; nothing where they are not in order, for a damaged number is believed. `single` goes straight to its row, where a range
 * touches the pages beside it. `isMore`: whether a range that gave no more has a row all the same, looked for from its end: damage may have ended it early.
 */
function prepareReads<Row extends { sequence: number }>(from: SqliteDatabase, { table, sql }: NumberedRows) {
  const prepare = (where: string) => from.prepare<number[], Row>(sql.replace('sequence > ?', where));
  const range = prepare('sequence > ? AND sequence <= ?');
  const single = prepare('sequence = ?');
  const last = from.prepare(`SELECT 1 FROM ${table} WHERE sequence > ? AND sequence <= ? ORDER BY sequence DESC LIMIT 1`);
  const isInOrder = (rows: Row[], after: number) => rows.every(({ sequence }, i) => sequence > (rows[i - 1]?.sequence ?? after));
  return {
    range(after: number, to: number): Row[] | undefined {
      const rows = reading(() => range.all(after, to, together));
      return rows && isInOrder(rows, after) ? rows : undefined;
    },
    single: (sequence: number): Row[] | undefined => reading(() => single.all(sequence, 1)),
    isMore: (after: number, to: number): boolean => reading(() => last.all(after, to).length) !== 0,
  };
}
