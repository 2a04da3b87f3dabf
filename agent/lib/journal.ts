import { writeSync } from 'node:fs';
import { isWritable } from './libc.ts';

const wholeBytes = 4096; // a pipe that has room takes so much at once (pipe(7), PIPE_BUF)

/**
 * A place for lines of the log that never holds its process up, nor ends it: where nobody reads any more, the reader is
 * gone or the disk is full, lines are left out. Once lines are taken again, `missing` is called with how many were not,
 * to write a line that says so.
 */
export function openJournal(descriptor: number, missing: (lines: number) => void): { write(line: string): void } {
  let lost = 0;
  let isCut = false; // of the last line only a part was taken
  const isTaken = (line: string): boolean => {
    const bytes = Buffer.from(isCut ? `\n${line}` : line);
    let at = 0;
    try {
      while (at < bytes.length && isWritable(descriptor)) at += writeSync(descriptor, bytes, at, Math.min(wholeBytes, bytes.length - at));
    } catch {
      // there is nowhere to tell it
    }
    if (at > 0) isCut = at < bytes.length;
    return at === bytes.length;
  };
  return {
    write(line) {
      if (!isTaken(line)) {
        lost++;
        return;
      }
      if (lost === 0) return;
      const lines = lost;
      lost = 0;
      missing(lines);
      if (lost > 0) lost = lines; // not taken either: told another time
    },
  };
}
