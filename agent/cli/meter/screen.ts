// A terminal drawn by its differences: over a slow link a frame costs what has changed, not a screen.

export type Style = 'plain' | 'bold' | 'dim' | 'green' | 'yellow' | 'red';
export type Segment = string | readonly [text: string, style: Style];
export type Row = readonly Segment[];

/** Select Graphic Rendition, ECMA-48 8.3.117. */
const codes: Record<Style, string> = { plain: '0', bold: '0;1', dim: '0;2', green: '0;32', yellow: '0;33', red: '0;1;31' };
const quitKeys = [...Buffer.from('qQ'), 3, 4]; // and Ctrl-C, Ctrl-D
const suspendKey = 26; // Ctrl-Z
const endings = ['SIGHUP', 'SIGQUIT'] as const; // beside those of main.ts
const bridged = 6; // unchanged cells that are cheaper to write again than to jump over
const [usualColumns, usualLines] = [80, 24]; // of a serial line, which tells none: 0
const fewestColumns = 40; // rows are made for so many at least, and cut where there are fewer

export interface Drawn {
  readonly columns: number;
  readonly rows: readonly Cells[];
}
interface Cells {
  readonly chars: readonly string[];
  readonly styles: readonly Style[];
}

/** Lays rows out on a screen; what does not fit is cut. */
export function layOut(rows: readonly Row[], columns: number, lines: number): Drawn {
  return { columns, rows: Array.from({ length: lines }, (_, i) => cellsOf(rows[i] ?? [], columns)) };
}

function cellsOf(row: Row, columns: number): Cells {
  const chars: string[] = [];
  const styles: Style[] = [];
  for (const segment of row) {
    const [text, style] = typeof segment === 'string' ? ([segment, 'plain'] as const) : segment;
    for (const char of text) {
      if (chars.length === columns) break;
      chars.push(char);
      styles.push(style);
    }
  }
  while (chars.length < columns) {
    chars.push(' ');
    styles.push('plain');
  }
  return { chars, styles };
}

/**
 * What to write so that a terminal which shows `before` shows `after`; all of it when the size differs or nothing was
 * drawn.
 */
export function difference(before: Drawn | undefined, after: Drawn, coloured: boolean): string {
  const same = before?.columns === after.columns && before.rows.length === after.rows.length ? before : undefined;
  let out = same ? '' : '\x1b[0m\x1b[2J';
  after.rows.forEach((row, line) => {
    for (const [from, to] of changes(same?.rows[line], row)) out += `\x1b[${line + 1};${from + 1}H${textOf(row, from, to, coloured)}`;
  });
  return out;
}

function* changes(before: Cells | undefined, after: Cells): Generator<[number, number]> {
  let from = -1;
  let to = -1;
  for (let at = 0; at < after.chars.length; at++) {
    const changed = before ? before.chars[at] !== after.chars[at] || before.styles[at] !== after.styles[at] : after.chars[at] !== ' ';
    if (!changed) continue;
    if (from >= 0 && at - to > bridged) {
      yield [from, to];
      from = -1;
    }
    if (from < 0) from = at;
    to = at + 1;
  }
  if (from >= 0) yield [from, to];
}

function textOf({ chars, styles }: Cells, from: number, to: number, coloured: boolean): string {
  let out = '';
  let style: Style = 'plain';
  for (let at = from; at < to; at++) {
    const next = styles[at] as Style;
    if (coloured && next !== style) out += `\x1b[${codes[next]}m`;
    style = next;
    out += chars[at];
  }
  return coloured && style !== 'plain' ? `${out}\x1b[0m` : out;
}

/**
 * Takes the terminal: another screen, no cursor, and keys one by one, `q` and Ctrl-C of which call `quit`. Whatever
 * ends or suspends the process, it is given back as it was, and taken again where the process is continued.
 */
export function openScreen(output: NodeJS.WriteStream, input: NodeJS.ReadStream, quit: () => void, resized: () => void) {
  let drawn: Drawn | undefined;
  let open = true;
  const take = () => {
    output.write('\x1b[?1049h\x1b[?25l');
    if (input.isTTY) input.setRawMode(true);
  };
  const give = () => {
    if (input.isTTY) input.setRawMode(false);
    output.write('\x1b[0m\x1b[?25h\x1b[?1049l');
  };
  const onResize = () => {
    drawn = undefined;
    resized();
  };
  const onContinue = () => {
    if (input.isTTY) input.setRawMode(false); // the shell has changed the mode, which Node does not know: it would set nothing
    take();
    onResize();
  };
  /** @param who a process, or 0 for its group, as a terminal does it: sudo or npx before it are to stop as well */
  const suspend = (who: number) => {
    give();
    process.off('SIGTSTP', onStop);
    process.kill(who, 'SIGTSTP'); // returns once it is continued, or at once where no shell could do that
    process.on('SIGTSTP', onStop);
    onContinue();
  };
  const onStop = () => suspend(process.pid);
  const onEnding = (signal: NodeJS.Signals) => {
    close();
    process.kill(process.pid, signal);
  };
  const onKey = (keys: Buffer) => {
    if (keys.some((key) => quitKeys.includes(key))) quit();
    else if (keys.includes(suspendKey)) suspend(0);
  };
  const close = () => {
    if (!open) return;
    open = false;
    output.off('resize', onResize);
    process.off('exit', close);
    for (const signal of endings) process.off(signal, onEnding);
    process.off('SIGTSTP', onStop);
    process.off('SIGCONT', onContinue);
    if (input.isTTY) {
      input.off('data', onKey);
      input.pause();
    }
    give();
  };
  process.once('exit', close);
  for (const signal of endings) process.on(signal, onEnding);
  process.on('SIGTSTP', onStop);
  process.on('SIGCONT', onContinue);
  take();
  output.on('resize', onResize);
  if (input.isTTY) {
    input.on('data', onKey);
    input.resume();
  }
  return {
    /** For how many columns rows are to be made. */
    columns: () => Math.max(fewestColumns, output.columns || usualColumns),
    /** Writes what has changed and returns how many bytes that took. */
    draw(rows: readonly Row[], coloured: boolean): number {
      const next = layOut(rows, output.columns || usualColumns, output.rows || usualLines);
      const bytes = difference(drawn, next, coloured);
      drawn = next;
      if (bytes) output.write(bytes);
      return Buffer.byteLength(bytes);
    },
    close,
  };
}
