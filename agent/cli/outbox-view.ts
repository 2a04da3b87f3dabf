// How the commands of a technician look into the outbox: what keeps them from it is one OutboxError.
import { type Clock, systemClock } from '../lib/clock.ts';
import { hasCode, messageOf, OutboxError } from '../lib/errors.ts';
import { LaterSchemaError } from '../outbox/migrate.ts';
import { isMade, type OutboxState, type OutboxView, recallBoot, unmade, viewOutbox } from '../outbox/view-outbox.ts';

const doctorHint = 'sudo tocsin doctor says more';

/** Throws an OutboxError where this user may not look. */
export function isThere(path: string): boolean {
  return orUnread(path, 'run it again with sudo', () => isMade(path));
}

/** Throws an OutboxError if it cannot be read. */
export function openView(path: string): OutboxView {
  return orUnread(path, doctorHint, () => viewOutbox(path));
}

/** Looks into an open view. Throws an OutboxError for what SQLite refuses: the file may change or break meanwhile. */
export function reading<T>(path: string, look: () => T): T {
  try {
    return look();
  } catch (cause) {
    throw hasCode(cause, /^SQLITE_/) ? unread(path, doctorHint, cause) : cause;
  }
}

/** Everything that `use` reads is of one moment. Throws an OutboxError if it cannot be read. */
export function withView<T>(path: string, use: (view: OutboxView) => T): T {
  const view = openView(path);
  try {
    return reading(path, () => view.atOnce(() => use(view)));
  } finally {
    view.close();
  }
}

/** The state of an outbox, also of one that is not made yet. Throws an OutboxError if it cannot be read. */
export function lookInto(path: string): OutboxState {
  return isThere(path) ? withView(path, (view) => view.state()) : unmade;
}

function orUnread<T>(path: string, hint: string, look: () => T): T {
  try {
    return look();
  } catch (cause) {
    throw cause instanceof LaterSchemaError ? cause : unread(path, hint, cause);
  }
}

function unread(path: string, hint: string, cause: unknown): OutboxError {
  return new OutboxError(`Expected to read the outbox ${path}, got: ${messageOf(cause)}`, hint, { cause });
}

/** The machine's clock, as far as it can be believed beside what this outbox knows. */
export function clockBeside(state: OutboxState): Clock {
  const clock = systemClock();
  recallBoot(state, clock);
  return clock;
}
