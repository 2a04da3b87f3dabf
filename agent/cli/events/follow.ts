import { statSync } from 'node:fs';
import { sleep } from '../../lib/sleep.ts';
import type { PendingEvent } from '../../outbox/outbox.ts';
import { isDamage } from '../../outbox/sqlite.ts';
import type { OutboxView } from '../../outbox/view-outbox.ts';
import { isThere, openView } from '../outbox-view.ts';

interface Shown {
  show(event: PendingEvent): void;
  showNumber(sequence: number): void;
}

const pollMs = 20; // an event may be sent and gone some tens of milliseconds after it was stored
const absentPollMs = 250;
const mostTries = 20; // of a file that is being made or repaired

/**
 * Shows what is stored behind the number `last`, also in the file that a repair puts in the outbox's place. An event
 * that was sent between two looks, or lost, is shown by its number alone.
 */
export async function follow(path: string, last: number, { show, showNumber }: Shown, signal: AbortSignal): Promise<void> {
  let seen = last;
  let isRepaired = false; // what became of numbers that are not in its file is not known
  for (let file = await opened(path, signal); file; file = await opened(path, signal)) {
    const { view, isInPlace } = file;
    try {
      if (view.lastSequence() < seen) seen = 0; // nothing of the old file could be read
      while (!signal.aborted && isInPlace()) {
        const latest = view.lastSequence();
        if (latest > seen) {
          const found = new Map(view.pending(seen, latest - seen).map((event) => [event.sequence, event]));
          for (let sequence = seen + 1; sequence <= latest; sequence++) {
            const event = found.get(sequence);
            if (event) show(event);
            else if (!isRepaired) showNumber(sequence);
          }
          seen = latest;
        }
        isRepaired = false;
        await sleep(pollMs, signal);
      }
    } catch (error) {
      if (!isDamage(error)) throw error; // the halves repair it
    } finally {
      view.close();
    }
    isRepaired = true;
  }
}

/** The outbox, once there is one, and whether it still is the file in its place; nothing once the signal aborts. */
async function opened(path: string, signal: AbortSignal): Promise<{ view: OutboxView; isInPlace: () => boolean } | undefined> {
  for (let tries = 1; !signal.aborted; await sleep(absentPollMs, signal)) {
    if (!isThere(path)) continue;
    try {
      const inodeOf = () => statSync(path, { throwIfNoEntry: false })?.ino;
      const inode = inodeOf();
      return { view: openView(path), isInPlace: () => inodeOf() === inode };
    } catch (error) {
      if (tries++ === mostTries) throw error;
    }
  }
  return undefined;
}
