import { CommanderError } from 'commander';
import colours from 'picocolors';
import { exitCodes, TocsinError } from '../lib/errors.ts';

/** Prints `Error:` and `Try:` on stderr and returns the exit code. */
export function reportError(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.usage;
  const err = colours.isColorSupported && process.stderr.isTTY ? colours : colours.createColors(false);
  if (error instanceof TocsinError) {
    process.stderr.write(`${err.red('Error:')} ${error.message}\n${err.cyan('Try:')} ${error.tryHint}\n`);
    return error.exitCode;
  }
  process.stderr.write(
    `${err.red('Error:')} ${error instanceof Error ? error.stack : String(error)}\n${err.cyan('Try:')} report this with the lines above: it is a defect of Tocsin\n`,
  );
  return exitCodes.failure;
}

/** One line of JSON on stdout. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
