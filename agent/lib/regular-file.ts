import { readFileSync, type Stats, statSync } from 'node:fs';

/**
 * Pipes and devices must not be read whole: the read may block or go on for ever, and cannot be cancelled. Directories
 * pass; the read rejects them.
 */
export function isPipeOrDevice(found: Stats): boolean {
  return !found.isFile() && !found.isDirectory();
}

/**
 * Reads what a person named, which may be a pipe that a shell has opened (`<(...)`, /dev/stdin). Throws an Error for
 * one with a name of its own: the read would wait for somebody who writes, and not even Ctrl-C could end it.
 * Throws one too for more than `most` bytes.
 */
export function readNamedFile(path: string, most = Number.POSITIVE_INFINITY): Buffer {
  const found = /^\/(?:dev|proc)\//.test(path) ? undefined : statSync(path, { throwIfNoEntry: false });
  if (found?.isFIFO()) throw new Error('a pipe or a device');
  const bytes = found && found.size > most ? undefined : readFileSync(path);
  if (bytes === undefined || bytes.length > most) throw new Error(`a file of more than ${most} bytes`);
  return bytes;
}

/** Reads a whole file. Throws an Error for a pipe or a device. */
export function readRegularFile(path: string): Buffer {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found && isPipeOrDevice(found)) throw new Error('a pipe or a device');
  return readFileSync(path);
}
