import { statSync } from 'node:fs';
import { damage } from './sqlite.ts';

/** The file at a path, as it was before it is opened: a repair by the other half may replace it at any time. */
export class OpenedFile {
  readonly #path: string;
  #inode: string;

  constructor(path: string) {
    this.#path = path;
    this.#inode = inodeOf(path);
  }

  isInPlace(): boolean {
    this.#inode ||= inodeOf(this.#path); // it was made by being opened
    return inodeOf(this.#path) === this.#inode;
  }

  /** Throws an error for which `isDamage` is true if another file has taken its place. */
  check(): void {
    if (!this.isInPlace()) throw damage('the file was replaced');
  }
}

/** Distinguishes a file from one put in its place, also on another file system; empty if there is none. */
function inodeOf(path: string): string {
  try {
    const { dev, ino } = statSync(path);
    return `${dev}:${ino}`;
  } catch {
    return '';
  }
}
