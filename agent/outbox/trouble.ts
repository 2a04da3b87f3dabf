import { hasCode, messageOf } from '../lib/errors.ts';
import type { OutboxFault } from '../lib/faults.ts';
import type { Logger } from '../lib/logger.ts';
import { isFullAt, isLow, isReadOnly } from './disk.ts';

// On a slow disk each half finds the outbox locked by a write of the other for a moment, which is no fault.
const busyMs = 5000;

/**
 * The fault that keeps an outbox from being used. Its beginning and its end are logged, once each. A lock is a fault
 * only after no write got past it for 5 s.
 */
export class Trouble {
  readonly #path: string;
  readonly #logger: Logger;
  #fault: OutboxFault | undefined;
  #busySinceMs: number | undefined; // since when each write has found the outbox locked

  constructor(path: string, logger: Logger) {
    this.#path = path;
    this.#logger = logger;
  }

  get fault(): OutboxFault | undefined {
    return this.#fault;
  }

  /** Whether there is a fault, or a lock that may become one. */
  get isPossible(): boolean {
    return this.#fault !== undefined || this.#busySinceMs !== undefined;
  }

  failed(error: unknown): void {
    const nowMs = performance.now();
    this.#busySinceMs = hasCode(error, /^SQLITE_BUSY/) ? (this.#busySinceMs ?? nowMs) : undefined;
    const isBrief = this.#busySinceMs !== undefined && nowMs - this.#busySinceMs < busyMs;
    if (this.#fault === undefined && isBrief) return;
    if (this.#fault === undefined) this.#logger.error({ reason: messageOf(error) }, 'the outbox cannot be used; trying again every second');
    this.#fault = isFullAt(this.#path, error) ? 'disk_full' : 'outbox_unwritable';
  }

  /**
   * A read or a write has succeeded. Any write ends a lock. Another fault lasts while data `waits` to be written, or
   * while the disk is still low or read-only, or does not tell: a successful read, or an empty write, proves nothing.
   */
  worked(isWrite: boolean, waits: boolean): void {
    const wasLocked = this.#busySinceMs !== undefined;
    if (isWrite) this.#busySinceMs = undefined;
    if (this.#fault === undefined || (wasLocked ? !isWrite : waits)) return;
    if (this.#fault === 'disk_full' ? isLow(this.#path) !== false : isReadOnly(this.#path)) return;
    this.#logger.warn({ was: this.#fault }, 'the outbox works again');
    this.#fault = undefined;
  }
}
