import { backoffMs } from '../lib/backoff.ts';
import type { LinkFault } from '../lib/faults.ts';

/**
 * What may pass by itself. All else ends only once somebody mends it, and each attempt costs a handshake of TLS, some
 * 4 kB: with waits of a minute, a thousand sensors whose authority has ended would make thirty of them each second.
 */
const passing: ReadonlySet<LinkFault> = new Set(['unreachable', 'connection_lost', 'no_answer', 'other']);
const longestMs = 600_000; // what was mended is noticed within so long
const toAMinute = 6; // attempts until waits without such a fault are near their longest

/** How long to wait between attempts at a connection, which grows until one has held. */
export class Attempts {
  #made = 0;
  #lasting = 0; // in a row

  /** A connection has held: the next wait is short. */
  restart(): void {
    this.#made = 0;
  }

  get made(): number {
    return this.#made;
  }

  /** The wait after an attempt or a connection that ended with this fault. */
  waitMs(fault: LinkFault, random: () => number): number {
    this.#lasting = passing.has(fault) ? 0 : this.#lasting + 1;
    const made = this.#made++;
    return this.#lasting > 0 ? backoffMs(Math.min(made, toAMinute + this.#lasting), random, undefined, longestMs) : backoffMs(made, random);
  }
}
