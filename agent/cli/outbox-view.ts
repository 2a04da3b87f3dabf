// How the commands of a technician look into the outbox: what keeps them from it is one OutboxError.
import { type Clock, systemClock } from '../lib/clock.ts';
import { messageOf, OutboxError } from '../lib/errors.ts';
import { LaterSchemaError } from '../outbox/migrate.ts';
import { inspectOutbox, isMade, type OutboxState, type OutboxView, recallBoot, unmade, viewOutbox } from '../outbox/view-outbox.ts';

/** Throws an OutboxError where this user may not look. */
export function isThere(path: string): boolean {
  try {
    return isMade(path);
  } catch (cause) {
    throw unread(path, cause, 'run it again with sudo');
  }
}

/** Throws an OutboxError when it cannot be read. */
export function lookInto(path: string): OutboxState {
  if (!isThere(path)) return unmade;
  try {
    return inspectOutbox(path);
  } catch (cause) {
    if (cause instanceof LaterSchemaError) throw cause;
    throw unread(path, cause, 'sudo tocsin doctor says more');
  }
}

function unread(path: string, cause: unknown, hint: string): OutboxError {
  return new OutboxError(`Expected to read the outbox ${path}, got: ${messageOf(cause)}`, hint, { cause });
}

/** Throws an OutboxError that says what is wrong with it. */
export function openView(path: string): OutboxView {
  lookInto(path);
  return viewOutbox(path);
}

/** Everything that `use` reads is of one moment. */
export function withView<T>(path: string, use: (view: OutboxView) => T): T {
  const view = openView(path);
  try {
    return view.atOnce(() => use(view));
  } finally {
    view.close();
  }
}

/** The machine's clock, as far as it can be believed beside what this outbox knows. */
export function clockBeside(state: OutboxState): Clock {
  const clock = systemClock();
  recallBoot(state, clock);
  return clock;
}
