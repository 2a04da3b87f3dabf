import { readFileSync, type Stats, statSync } from 'node:fs';

/**
 * Pipes and devices must not be read whole: the read may block or go on for ever, and cannot be cancelled. Directories
 * pass; the read rejects them.
 */
export function isPipeOrDevice(found: Stats): boolean {
  return !found.isFile() && !found.isDirectory();
}

/** Reads a whole file. Throws an Error for a pipe or a device. */
export function readRegularFile(path: string): Buffer {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found && isPipeOrDevice(found)) throw new Error('a pipe or a device');
  return readFileSync(path);
}
