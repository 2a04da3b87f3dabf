import { dirname } from 'node:path';
import type { Config } from '../../config/schema.ts';
import { hasCode, messageOf, OutboxError } from '../../lib/errors.ts';
import { ifPossible } from '../../lib/if-possible.ts';
import type { Logger } from '../../lib/logger.ts';
import { cannotLock, type Half, type HeldLock, holdHalfLock } from '../../outbox/half-lock.ts';
import type { Outbox } from '../../outbox/outbox.ts';
import { openPatientOutbox } from '../../outbox/patient-outbox.ts';
import { isDamage } from '../../outbox/sqlite.ts';
import { type OutboxUse, openSqliteOutbox } from '../../outbox/sqlite-outbox.ts';

const lockRetryMs = 1000; // less than the courier waits before it holds a listener for dead

/**
 * Takes the lock of a half. Throws an OutboxError if another process holds it, or the disk cannot lock. If it cannot be
 * taken for another reason, or its file is replaced later, the half runs without it and tries again, since a courier
 * takes a listener without a lock for dead.
 */
export function holdLock(path: string, half: Half, logger: Logger): Pick<HeldLock, 'rest' | 'release'> {
  let held: HeldLock | undefined;
  try {
    held = holdHalfLock(path, half);
  } catch (error) {
    if (hasCode(error, /^SQLITE_BUSY$/)) {
      if (cannotLock(path, half)) throw withoutLocks(path);
      throw half === 'listener' ? secondListener(path) : secondCourier(path);
    }
    logger.warn(
      { reason: messageOf(error) },
      `the lock cannot be taken: a second ${half} could use this outbox, and if this one dies that is noticed late; trying again`,
    );
  }
  let isResting = false;
  const settle = () => ifPossible(() => held?.rest(isResting)); // where somebody asks for it just now, in a second
  const timer = setInterval(() => {
    if (held?.isInPlace()) return settle();
    try {
      const next = holdHalfLock(path, half, 0); // to wait is to hear nothing
      held?.release();
      held = next;
      logger.info({}, 'the lock is taken');
    } catch {
      // said above, or by what else misses its files
    }
  }, lockRetryMs).unref();
  return {
    rest(resting) {
      isResting = resting;
      settle();
    },
    release() {
      clearInterval(timer);
      held?.release();
    },
  };
}

/** The outbox as the two halves use it: repaired when damaged, and no reason to die when it cannot be written. */
export function openOutbox({ outbox }: Config, logger: Logger, use: OutboxUse): Outbox {
  return openPatientOutbox({ path: outbox.path, open: () => openSqliteOutbox(outbox.path, outbox, { repair: true, ...use }), isDamage, logger });
}

/** The outbox could not be used either: SQLite would wait for locks again and again, and sound would be lost. */
function withoutLocks(path: string): OutboxError {
  return new OutboxError(
    `Expected a disk that can lock files in ${dirname(path)}, got one that cannot`,
    'put outbox.path on a disk of the board itself, with ext4: network disks often cannot lock',
  );
}

function secondListener(path: string): OutboxError {
  return new OutboxError(
    `Expected to be the only listener of ${path}, got another that runs`,
    'sudo systemctl stop tocsin-listener, or end the other one; sudo tocsin status shows it',
  );
}

function secondCourier(path: string): OutboxError {
  return new OutboxError(
    `Expected to be the only courier of ${path}, got another that runs`,
    'sudo systemctl stop tocsin-courier, or end the other one; sudo tocsin status shows it',
  );
}
