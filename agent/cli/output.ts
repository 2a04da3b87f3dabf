import { once } from 'node:events';
import { accessSync, closeSync, constants, lstatSync, openSync, realpathSync, type Stats, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { CommanderError } from 'commander';
import colours from 'picocolors';
import { printable } from '../config/problems.ts';
import { exitCodes, isFull, messageOf, TocsinError } from '../lib/errors.ts';
import { placeFile } from '../lib/place-file.ts';
import type { Language } from './message.ts';
import { openTranslate, translateError, withConfig } from './translate.ts';

/** What can be drawn on: colours only on a terminal, and between 40 and 100 columns of it. */
export interface Screen {
  readonly columns: number;
  readonly colours: ReturnType<typeof colours.createColors>;
}

export function screenOf(stream: NodeJS.WriteStream): Screen {
  return {
    columns: Math.min(100, Math.max(40, stream.columns ?? 80)),
    colours: stream.isTTY && colours.isColorSupported ? colours : colours.createColors(false),
  };
}

/** Whether the cursor can be moved there: a dumb terminal shows the sequences that move it. */
export function canDraw(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY && process.env.TERM !== 'dumb';
}

/**
 * Wraps text at spaces. Later lines are indented, by two more if the first is. A word that is too long has its own
 * line.
 */
export function wrap(text: string, columns: number, indent = 0): string {
  const lines: string[] = [];
  for (const paragraph of text.split('\n')) {
    const lead = /^ */.exec(paragraph)?.[0] ?? '';
    const hang = lead && `${lead}  `;
    let line = lead;
    for (const word of paragraph.trimStart().split(' ')) {
      if (line.trim() && line.length + 1 + word.length > columns - indent) {
        lines.push(line);
        line = hang + word;
      } else line = line.trim() ? `${line} ${word}` : line + word;
    }
    lines.push(line);
  }
  return lines.join(`\n${' '.repeat(indent)}`);
}

export interface Field {
  readonly name: string;
  readonly value: string;
  /** What is normal; `warn` where the value is not. */
  readonly note?: string;
  readonly state?: 'ok' | 'warn';
}

/**
 * Names in one column, values beside them, the normal value behind in dim. `!` marks what is not normal, also without
 * colours. Values may come from outside: a terminal does not obey them.
 */
export function showFields(fields: readonly Field[], { columns, colours }: Screen): string {
  const width = Math.max(...fields.map(({ name }) => name.length)) + 4;
  return fields
    .map(({ name, value: given, note, state }) => {
      const value = printable(given);
      const paint = state === 'warn' ? colours.yellow : state === 'ok' ? colours.green : String;
      const lines = wrap(note && value ? `${value}\n${note}` : note || value, columns, width).split('\n');
      const values = value ? wrap(value, columns, width).split('\n').length : 0;
      const mark = state === 'warn' ? paint('!') : ' ';
      return `${mark} ${name.padEnd(width - 2)}${lines.map((line, i) => (i < values ? paint(line) : colours.dim(line))).join('\n')}`;
    })
    .join('\n');
}

/** Prints `Error:` and `Try:` on stderr, or where `to` says, and returns the exit code. */
export function reportError(error: unknown, language: Language, config?: string, to: { write(text: string): unknown } = process.stderr): number {
  const t = openTranslate(language);
  const { colours: err, columns } = screenOf(process.stderr);
  // broken for eyes only: whoever reads a pipe gets one line each
  const fit = (label: string, line: string) => (process.stderr.isTTY && !isCommand(line) ? wrap(line, columns, label.length + 1) : line);
  const say = (message: string, hint: string) => to.write(`${err.red(t('error'))} ${fit(t('error'), message)}\n${err.cyan(t('try'))} ${fit(t('try'), hint)}\n`);
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.usage; // the help was the answer
  if (error instanceof TocsinError) {
    // what came may be anything, the name of a file too, and a terminal would obey it
    say(printable(translateError(error.message, language)), printable(withConfig(translateError(error.tryHint, language), config)));
    return error.exitCode;
  }
  say(error instanceof Error ? (error.stack ?? error.message) : String(error), t('defect'));
  return exitCodes.failure;
}

/** A hint that is nothing but a command is there to be copied, and not broken. */
export function isCommand(hint: string): boolean {
  return /^(?:sudo )?(?:tocsin|systemctl)(?: (?:[\w./@:=+-]+|'[^']*'))*$/.test(hint);
}

/** Writes a page that was asked for, whole or not at all. Throws a TocsinError. */
export function writePage(path: string, page: string): void {
  orSay(path, () => {
    const there = statSync(path, { throwIfNoEntry: false });
    if (keepsItsPlace(path, there)) return writeFileSync(path, page);
    const place = there ? realpathSync(path) : path;
    const owner = process.getuid?.() === 0 ? there : undefined; // with sudo, over the page of the one who asked
    placeFile(place, page, there ? there.mode & 0o777 : 0o666 & ~process.umask(), owner);
  });
}

/** Throws what `writePage` would, before the work whose outcome it is to write. */
export function checkPage(path: string): void {
  orSay(path, () => {
    const there = statSync(path, { throwIfNoEntry: false });
    if (keepsItsPlace(path, there)) return there && closeSync(openSync(path, 'r+'));
    accessSync(dirname(there ? realpathSync(path) : path), constants.W_OK);
  });
}

/** Devices, pipes, files that a shell has open (/dev/stdout) and dangling links are written in place. */
function keepsItsPlace(path: string, there: Stats | undefined): boolean {
  if (there) return !there.isFile() || /^\/(?:dev|proc)\//.test(path);
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

function orSay(path: string, write: () => void): void {
  try {
    write();
  } catch (cause) {
    throw new TocsinError(
      `Expected to write ${path}, got: ${messageOf(cause)}`,
      isFull(cause) ? 'make room there (df -h), or name a file elsewhere' : 'name a file in a folder that exists and that you may write to',
      isFull(cause) ? exitCodes.failure : exitCodes.usage,
      { cause },
    );
  }
}

/** One line of JSON on stdout. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/**
 * Resolves once the reader has taken what was printed, or the signal aborts. What a slow reader has not taken stays in
 * memory.
 */
export async function untilTaken(signal: AbortSignal): Promise<void> {
  if (process.stdout.writableNeedDrain) await once(process.stdout, 'drain', { signal }).catch(() => undefined);
}

/** Prints sentences, in lines that fit the stream's terminal. */
export function printWrapped(text: string, stream: NodeJS.WriteStream = process.stdout): void {
  stream.write(`${wrap(text, screenOf(stream).columns)}\n`);
}
