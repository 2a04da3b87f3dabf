// What the kernel tells in files, under /sys and /proc: what is not there tells nothing.
import { readdirSync, readFileSync } from 'node:fs';
import { ifPossible } from './if-possible.ts';

/** The names in a folder. */
export function namesIn(folder: string): string[] {
  return ifPossible(() => readdirSync(folder)) ?? [];
}

export function readText(path: string): string {
  return ifPossible(() => readFileSync(path, 'utf8')) ?? '';
}
