import type { Health, HearingRecord } from '../events/health.ts';
import type { BoardFacts } from '../lib/board.ts';
import type { Clock } from '../lib/clock.ts';
import { BrokerError, messageOf } from '../lib/errors.ts';
import type { OutboxFault } from '../lib/faults.ts';
import type { Logger } from '../lib/logger.ts';
import type { Outbox } from '../outbox/outbox.ts';
import type { Link } from './link.ts';
import type { Publisher, Report } from './publisher.ts';
import { stampOfEvent } from './stamp.ts';

export interface HealthParts {
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly board: () => BoardFacts;
  readonly link: Pick<Link, 'read'>;
  /** Whether a listener runs now; nothing where that cannot be known. */
  readonly listenerRuns?: () => boolean | undefined;
}

/** The row last looked at. */
interface Found {
  readonly written: number;
  /** Since when: a row from the future grows old like any other. */
  readonly sinceMs: number;
  /** When no listener was seen to run for the first time since then. */
  endedMs?: number;
}

const pollMs = 1000;
const goneMs = 5000; // systemd starts a listener again within less; one that fails again by then counts as gone all the while
const faultsPollMs = 5000;
const faultOverMs = 30_000; // one that comes and goes is told once
const refusedRetryMs = 60_000;
const startMs = 30_000; // a listener that has never reported in this boot may take so long to load its model

/**
 * Publishes health over whatever connection there is. `tick` is called with every turn of the courier's loop: it looks at the
 * listener's row once a second, and publishes when that is new, when a connection is, when its process is gone, when events begin or
 * end to be refused, when the faults of the outbox change, or when the listener has been silent too long. An outbox that cannot be read is
 * no reason to be silent: the row last read grows old.
 */
export function openHealthReport(topic: string, version: string, intervalMs: number, parts: HealthParts): Report {
  const { outbox, clock, logger, board, link, listenerRuns } = parts;
  const lateMs = 1.25 * intervalMs + 5000; // a listener that has not reported for so long is silent
  const beganMs = clock.monotonicMs();
  let nextPollMs = 0;
  let nextMs = 0;
  let seen = -1;
  let found: Found = { written: -1, sinceMs: 0 };
  let goneWith = -1; // the row that a listener left behind that is gone; it is believed again once there is another
  let toldGone = -1;
  let runsSinceMs: number | undefined; // a listener
  let toldRefusal: Health['link']['eventRefusal'] = 'none';
  let row: HearingRecord | undefined;
  let closed = false; // the outbox cannot be read
  let faults: OutboxFault[] = [];
  let faultsMs = 0; // when to look at them again
  let toldFaults: OutboxFault[] = [];
  let worseMs = 0; // when all that were told were last there
  let connection: Publisher | undefined;
  let refusedBy: Publisher | undefined; // a connection that does not take it; what is to be told waits
  let refusedMs = 0; // until when
  let busy = false;
  let failing = false;

  return {
    tick(publisher: Publisher): void {
      const now = clock.monotonicMs();
      if (now < nextPollMs || busy) return;
      nextPollMs = now + pollMs;
      look(now);
      const hearing = row?.bootId === clock.bootId ? row : undefined;
      if (!hearing && now - beganMs < startMs && !closed) return; // it is only starting
      const written = hearing?.writtenMonotonicMs ?? 0;
      if (written !== found.written) found = { written, sinceMs: now };
      const runs = listenerRuns?.();
      if (runs === false) found.endedMs ??= now;
      runsSinceMs = runs ? (runsSinceMs ?? now) : undefined;
      // one that starts holds its lock before it can report: to be started is not yet to hear, and takes back nothing
      const isLate = found.endedMs !== undefined && now - found.endedMs >= goneMs;
      if (runs === false && isLate && hearing?.state !== 'stopped') goneWith = written;
      // one that runs takes back that another stopped, where the disk lets it: on one that does not, that word would stand for ever
      if (runsSinceMs !== undefined && now - runsSinceMs >= lateMs && hearing?.state === 'stopped') goneWith = written;
      const { eventRefusal } = link.read();
      const faultsChanged = faults.some((fault) => !toldFaults.includes(fault)) || now - worseMs >= faultOverMs;
      const news = written !== seen || goneWith !== toldGone || eventRefusal !== toldRefusal || faultsChanged || publisher !== connection;
      if (!news && now < nextMs) return;
      if (publisher === refusedBy && now < refusedMs) return;
      const telling = goneWith;
      faults = outbox.faults();
      const health = compose(hearing);
      busy = true;
      publisher
        .publish(topic, JSON.stringify(health), { retain: true })
        .then(
          () => {
            seen = written;
            toldGone = telling;
            toldRefusal = eventRefusal;
            toldFaults = health.outbox.faults;
            worseMs = now;
            connection = publisher;
            nextMs = now + lateMs;
            failing = false;
          },
          (error: unknown) => {
            if (!failing) logger.warn({ reason: messageOf(error) }, 'health was not taken; trying again');
            failing = true;
            if (!(error instanceof BrokerError && error.refused)) return;
            refusedBy = publisher;
            refusedMs = clock.monotonicMs() + refusedRetryMs;
          },
        )
        .finally(() => {
          busy = false;
        });
    },
  };

  function look(now: number): void {
    try {
      row = outbox.readHearing() ?? row; // an outbox that is new, for nothing of the old one could be read, has none yet
      closed = false;
    } catch {
      closed = true; // the row last read grows old
    }
    if (now >= faultsMs) {
      faults = outbox.faults();
      faultsMs = now + faultsPollMs;
    }
    if (toldFaults.every((fault) => faults.includes(fault))) worseMs = now;
  }

  /** What waits and what became of the rest; nothing while the outbox cannot be read. */
  function counts(): Omit<Health['outbox'], 'faults'> {
    try {
      const fates = outbox.fates();
      const { stored, sent, expired, unreadable } = fates;
      const pending = Math.max(0, stored - sent - expired - unreadable);
      const [oldest] = outbox.pending(0, 1); // behind the counts: what the listener stores in between is in neither
      const age = pending > 0 && oldest ? stampOfEvent(oldest, clock) : undefined;
      return { pending, ...(age?.ageKnown ? { oldestSeconds: round(Math.max(0, age.ageMs / 1000)) } : {}), ...fates };
    } catch {
      return {};
    }
  }

  function compose(row: HearingRecord | undefined): Health {
    const now = clock.monotonicMs();
    const ageMs = row ? Math.max(now - row.writtenMonotonicMs, now - found.sinceMs) : now;
    const silent = !row || (row.state !== 'stopped' && ageMs > lateMs) || goneWith === row.writtenMonotonicMs;
    // while the listener is silent its time goes on, unheard; before its first row there is but the courier's
    const untilMs = silent || row.state === 'stopped' ? now : Math.min(now, row.writtenMonotonicMs);
    const elapsed = Math.max(0, untilMs - Math.min(beganMs, row?.sinceMonotonicMs ?? beganMs)) / 1000;
    const listened = Math.min(elapsed, row?.listenedSeconds ?? 0);
    return {
      time: new Date(clock.wallMs()).toISOString(),
      clock: clock.synchronised() ? 'synchronised' : 'unsynchronised',
      bootId: clock.bootId,
      version,
      uptimeSeconds: round(now / 1000),
      hearing: {
        state: silent ? 'silent' : row.state,
        fault: row?.fault ?? 'none',
        suspicion: silent ? 'none' : row.suspicion,
        elapsedSeconds: round(elapsed),
        listenedSeconds: round(listened),
        notHeardSeconds: round(elapsed - listened),
        droppedSamples: row?.droppedSamples ?? 0,
        opens: row?.opens ?? 0,
        starts: row?.starts ?? 0,
        ...(silent || row.noiseFloorDb === undefined ? {} : { noiseFloorDb: row.noiseFloorDb }),
        reportedSecondsAgo: round(ageMs / 1000),
      },
      ...(row ? { model: row.model } : {}),
      outbox: {
        ...counts(),
        faults,
      },
      link: link.read(),
      board: board(),
    };
  }
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
