import { writeSync } from 'node:fs';
import { isWritable } from './libc.ts';

const wholeBytes = 4096; // a pipe that has room takes so much at once (pipe(7), PIPE_BUF)

/**
 * A place for lines of the log that never holds its process up, nor ends it: where nobody reads any more, the reader is
 * gone or the disk is full, lines are left out. Once lines are taken again, `missing` is called with how many were not.
 */
export function openJournal(descriptor: number, missing: (lines: number) => void): { write(line: string): void } {
  let lost = 0;
  const isTaken = (line: string): boolean => {
    const bytes = Buffer.from(line);
    try {
      for (let at = 0; at < bytes.length; ) {
        if (!isWritable(descriptor)) return false;
        at += writeSync(descriptor, bytes, at, Math.min(wholeBytes, bytes.length - at));
      }
      return true;
    } catch {
      return false; // there is nowhere to tell it
    }
  };
  return {
    write(line) {
      if (!isTaken(line)) {
        lost++;
        return;
      }
      const lines = lost;
      lost = 0;
      if (lines > 0) missing(lines);
    },
  };
}
