import { randomUUID } from 'node:crypto';
import { chmodSync, closeSync, fsyncSync, openSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { hasCode } from './errors.ts';

/**
 * Writes a file whole or not at all: under another name beside it, fsync, then rename. Sets `mode` whatever the umask.
 */
export function placeFile(path: string, content: string, mode: number): void {
  // not the process id: in a container a new process may have that of the one before
  const beside = `${path}.${randomUUID()}.tmp`;
  const file = openSync(beside, 'wx', mode); // fails if the file exists: from here on this call may remove it
  try {
    try {
      writeFileSync(file, content); // writeSync may write only a part, without an error
      chmodSync(beside, mode);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    moveFile(beside, path);
  } catch (error) {
    removeFile(beside);
    throw error;
  }
}

/** Renames a file or a folder and fsyncs the folder that it is in, so that a power cut does not undo the rename. */
export function moveFile(from: string, to: string): void {
  renameSync(from, to);
  const folder = openSync(dirname(to), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/**
 * Removes a file if it is there. Not rmSync: Node garbles what the system says to that, and a path that has an accent.
 */
export function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!hasCode(error, /^ENOENT$/)) throw error;
  }
}
