import { existsSync, lstatSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { freeBeside } from './disk.ts';

export const ballastBytes = 1_000_000;
const refillBytes = 16 * ballastBytes; // free space at which it is laid again

/** Reserve space beside an outbox, in PATH.ballast: on a full disk even deleting needs some. */
export class Ballast {
  readonly #path: string;

  constructor(outboxPath: string) {
    this.#path = `${outboxPath}.ballast`;
  }

  /** Frees it; returns whether there was any. */
  release(): boolean {
    if (!existsSync(this.#path)) return false;
    rmSync(this.#path);
    return true;
  }

  /** Lays it again when there is space. */
  lay(): void {
    const found = lstatSync(this.#path, { throwIfNoEntry: false });
    const size = found?.size ?? 0;
    if (found && !found.isFile()) return; // a pipe would wait for somebody who reads, and a link lead elsewhere
    if (size >= ballastBytes || (freeBeside(this.#path) ?? 0) <= refillBytes) return;
    if (size > 0 && readFileSync(this.#path).some((byte) => byte !== 0)) return; // no ballast of ours: `privacy verify` is to find it
    // synced: after a power cut an unsynced file is short, or takes no space
    writeFileSync(this.#path, Buffer.alloc(ballastBytes), { flush: true });
  }
}
