import { readFileSync, type Stats, statSync } from 'node:fs';

/** Not what is read whole: it may never begin, or never end, and neither can be stopped. A folder is left to the read, which refuses it. */
export function isPipeOrDevice(found: Stats): boolean {
  return !found.isFile() && !found.isDirectory();
}

/** A file, whole; an Error where there is a pipe or a device. */
export function readRegularFile(path: string): Buffer {
  if (isPipeOrDevice(statSync(path))) throw new Error('a pipe or a device');
  return readFileSync(path);
}
