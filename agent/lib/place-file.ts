import { randomUUID } from 'node:crypto';
import { chmodSync, closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** Writes a file whole or not at all: beside its place, onto the disk, then in one step into it. `mode` whatever the umask. */
export function placeFile(path: string, content: string, mode: number): void {
  const beside = `${path}.${randomUUID()}.tmp`; // in a container every process may have the number of the one before
  const file = openSync(beside, 'wx', mode); // no file of another's: from here on it is ours to take away
  try {
    try {
      writeFileSync(file, content); // writeSync says nothing of what does not fit
      chmodSync(beside, mode);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    moveFile(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  }
}

/** A rename that a power cut does not undo. */
export function moveFile(from: string, to: string): void {
  renameSync(from, to);
  const folder = openSync(dirname(to), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
