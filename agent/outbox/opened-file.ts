import { statSync } from 'node:fs';
import { damage } from './sqlite.ts';

/** The file at a path, from before it is opened: a repair by the other half may put another in its place at any time. */
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

  /** Throws what `isDamage` where another has taken its place. */
  check(): void {
    if (!this.isInPlace()) throw damage('the file was replaced');
  }
}

/** Tells a file from one that was put in its place, on another file system too; empty where there is none. */
function inodeOf(path: string): string {
  try {
    const { dev, ino } = statSync(path);
    return `${dev}:${ino}`;
  } catch {
    return '';
  }
}
