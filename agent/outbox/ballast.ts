import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { freeBeside } from './disk.ts';

export const ballastBytes = 1_000_000;
const refillBytes = 16 * ballastBytes; // free space at which it is laid again

/** Room beside an outbox, in PATH.ballast: on a full disk even deleting needs some. */
export class Ballast {
  readonly #path: string;

  constructor(outboxPath: string) {
    this.#path = `${outboxPath}.ballast`;
  }

  /** Whether there was any. */
  release(): boolean {
    if (!existsSync(this.#path)) return false;
    rmSync(this.#path);
    return true;
  }

  /** Where there is space again. */
  lay(): void {
    const size = statSync(this.#path, { throwIfNoEntry: false })?.size ?? 0;
    if (size >= ballastBytes || freeBeside(this.#path) <= refillBytes) return;
    if (size > 0 && readFileSync(this.#path).some((byte) => byte !== 0)) return; // no ballast of ours: `privacy verify` is to find it
    // onto the disk: what a power cut leaves of it is short, or takes no room
    writeFileSync(this.#path, Buffer.alloc(ballastBytes), { flush: true });
  }
}
