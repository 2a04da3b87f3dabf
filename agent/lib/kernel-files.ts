// What the kernel tells in files, under /sys and /proc: what is not there tells nothing.
import { readdirSync, readFileSync } from 'node:fs';

/** The names in a folder. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
