import type { Health } from '../events/health.ts';
import type { BoardFacts } from '../lib/board.ts';
import { Bucket } from '../lib/bucket.ts';
import type { Clock } from '../lib/clock.ts';
import type { OutboxFault } from '../lib/faults.ts';
import type { Logger } from '../lib/logger.ts';
import { tenth } from '../lib/rounding.ts';
import type { Outbox } from '../outbox/outbox.ts';
import type { Allowance } from './allowance.ts';
import type { Link } from './link.ts';
import { ListenerWatch, type ListenerWatchParts, lateAfterMs } from './listener-watch.ts';
import type { Publisher, Report } from './publisher.ts';
import { SideMessage } from './side-message.ts';
import { stampOfEvent } from './stamp.ts';

interface HealthParts {
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly board: () => BoardFacts;
  readonly link: Pick<Link, 'read'>;
  readonly listenerRuns?: ListenerWatchParts['listenerRuns'];
  readonly allowance?: Pick<Allowance, 'allows' | 'take'>;
  /** How often news are told beyond twenty. */
  readonly newsPerMinute?: number;
}

/** What the platform was last told. */
interface Told {
  readonly listener: string; // which version of what the listener reported
  readonly refusal: Health['link']['eventRefusal'];
  readonly clock: Health['clock'];
  readonly faults: readonly OutboxFault[];
  readonly publisher?: Publisher;
  readonly untilMs: number; // when it is told again without news
}

const pollMs = 1000;
const faultsPollMs = 5000;
const faultOverMs = 30_000; // one that comes and goes is told once, and so is a clock that is set again and again
const refusedRetryMs = 60_000;
// Most numbers of this message are the listener's, and one that was replaced could make news each second, or end the
// courier again and again. So news beyond these are told late, and each takes as much of the allowance as a few events,
// which say as much. Where that is used up, health is told once an interval.
const [newsAtOnce, mostNewsPerMinute, cost] = [20, 3, 4];

/**
 * Publishes health over whatever connection there is. `tick` is called at every turn of the courier's loop. It looks at
 * the listener once a second, and publishes when the listener has reported or become silent, when the connection is
 * new, when events begin or cease to be refused, when the faults of the outbox or the state of the clock change, or
 * when nothing was published for as long as makes a listener silent. Health is published also while the outbox cannot
 * be read.
 */
export function openHealthReport(topic: string, version: string, intervalMs: number, parts: HealthParts): Report {
  const { outbox, clock, logger, board, link, listenerRuns, allowance } = parts;
  const lateMs = lateAfterMs(intervalMs);
  const message = new SideMessage('the broker did not take the health message; trying again', logger);
  const listener = new ListenerWatch(intervalMs, { outbox, clock, listenerRuns });
  let nextPollMs = 0;
  let faults: OutboxFault[] = [];
  let faultsMs = 0; // when to look at them again
  let worseMs = 0; // when all that were told were last there
  let told: Told = { listener: '', refusal: 'none', clock: 'unsynchronised', faults: [], untilMs: 0 };
  const news = new Bucket({ perMs: (parts.newsPerMinute ?? mostNewsPerMinute) / 60_000, most: newsAtOnce }, clock.monotonicMs);
  let toldMs = clock.monotonicMs(); // when it was last told; at first the start
  let refused: { publisher?: Publisher; untilMs: number } = { untilMs: 0 }; // a connection that does not take it; what is to be told waits

  return {
    tick(publisher: Publisher): void {
      const now = clock.monotonicMs();
      if (now < nextPollMs || message.isUnderWay) return;
      nextPollMs = now + pollMs;
      lookAtFaults(now);
      if (!listener.look()) return;
      const { eventRefusal: refusal } = link.read();
      const { version: reported } = listener;
      const faultsChanged = faults.some((fault) => !told.faults.includes(fault)) || now - worseMs >= faultOverMs;
      const isNews = reported !== told.listener || refusal !== told.refusal || faultsChanged || clockChanged() || publisher !== told.publisher;
      if (!isNews && now < told.untilMs) return;
      if (publisher === refused.publisher && now < refused.untilMs) return;
      if (now - toldMs < intervalMs - pollMs) {
        if (allowance && !allowance.allows(cost)) return;
        if (!news.take() && now < told.untilMs && publisher === told.publisher) return;
        allowance?.take(cost);
      }
      toldMs = now;
      faults = outbox.faults();
      const health = compose();
      message.publish(
        publisher,
        { topic, payload: JSON.stringify(health), retain: true },
        {
          taken: () => {
            told = { listener: reported, refusal, clock: health.clock, faults: health.outbox.faults, publisher, untilMs: now + lateMs };
            worseMs = now;
          },
          failed: (isRefused) => {
            if (isRefused) refused = { publisher, untilMs: clock.monotonicMs() + refusedRetryMs };
          },
        },
      );
    },
  };

  function lookAtFaults(now: number): void {
    if (now >= faultsMs) {
      faults = outbox.faults();
      faultsMs = now + faultsPollMs;
    }
    if (told.faults.every((fault) => faults.includes(fault))) worseMs = now;
  }

  /** A clock that is no longer believed is told at once; one that is believed, once nobody has set it for a while. */
  function clockChanged(): boolean {
    return told.clock === 'synchronised' ? !clock.synchronised() : clock.synchronised() && clock.steadyMs() >= faultOverMs;
  }

  /** Which outbox it is, what is pending there and what became of the rest; empty while the outbox cannot be read. */
  function counts(): Omit<Health['outbox'], 'faults'> {
    try {
      const fates = outbox.fates();
      const { id } = outbox; // the one just read: a repair may put another in its place at the next access
      const { stored, sent, expired, unreadable } = fates;
      const pending = Math.max(0, stored - sent - expired - unreadable);
      const [oldest] = outbox.pending(0, 1); // behind the counts: what the listener stores in between is in neither
      const age = pending > 0 && oldest ? stampOfEvent(oldest, clock) : undefined;
      return { id, pending, ...(age?.ageKnown ? { oldestSeconds: tenth(Math.max(0, age.ageMs / 1000)) } : {}), ...fates };
    } catch {
      return {};
    }
  }

  function compose(): Health {
    const { model } = listener;
    const { wallMs, synchronised } = clock.now();
    return {
      time: new Date(wallMs).toISOString(),
      clock: synchronised ? 'synchronised' : 'unsynchronised',
      bootId: clock.bootId,
      version,
      uptimeSeconds: tenth(clock.monotonicMs() / 1000),
      hearing: listener.hearing(),
      ...(model ? { model } : {}),
      outbox: { ...counts(), faults },
      link: link.read(),
      board: board(),
    };
  }
}
