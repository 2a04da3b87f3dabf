import { statSync } from 'node:fs';
import { damage } from './sqlite.ts';

/**
 * The file at a path, as it was before it is opened: a repair by the other half may replace it at any time. And its
 * write-ahead log and shared memory: where a person deletes them, SQLite goes on with those that it holds, which nobody
 * who opens it later finds.
 */
export class OpenedFile {
  readonly #path: string;
  #inode: string;
  #log = '';

  constructor(path: string) {
    this.#path = path;
    this.#inode = inodeOf(path);
  }

  /** Call it once SQLite holds the log and its shared memory. */
  logIsOpen(): void {
    this.#log = this.#logNow();
  }

  isInPlace(): boolean {
    this.#inode ||= inodeOf(this.#path); // it was made by being opened
    return inodeOf(this.#path) === this.#inode && (this.#log === '' || this.#logNow() === this.#log);
  }

  /** The log alone is gone, and none has taken its place: all that stands in it can still be brought into the file. */
  isWithoutLog(): boolean {
    return inodeOf(this.#path) === this.#inode && this.#log !== '' && inodeOf(`${this.#path}-wal`) === '';
  }

  #logNow(): string {
    return ['-wal', '-shm'].map((end) => inodeOf(this.#path + end)).join(' ');
  }

  /** Throws an error for which `isDamage` is true if another file has taken its place. */
  check(): void {
    if (!this.isInPlace()) throw damage('the file was replaced');
  }
}

/**
 * Distinguishes a file from one put in its place, also on another file system; empty if there is none, or none that can
 * be looked at. A look that the system refuses is taken again: after a write, a file taken for replaced is written
 * anew, and an hour would be stored twice, under two numbers.
 */
function inodeOf(path: string, isAgain = false): string {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    return found ? `${found.dev}:${found.ino}` : '';
  } catch {
    return isAgain ? '' : inodeOf(path, true);
  }
}
