// A fault that lasts for days is logged once, not at each try: the journal of a small board is short.
import { expect, test, vi } from 'vitest';
import { openHealthReport } from '../../agent/delivery/health.ts';
import { openLink } from '../../agent/delivery/link.ts';
import { openPrivacyReport } from '../../agent/delivery/privacy-report.ts';
import type { Publisher, Report } from '../../agent/delivery/publisher.ts';
import { openSummaries } from '../../agent/delivery/summaries.ts';
import type { Clock } from '../../agent/lib/clock.ts';
import { BrokerError } from '../../agent/lib/errors.ts';
import type { Logger } from '../../agent/lib/logger.ts';
import { openBootNote } from '../../agent/outbox/boot-note.ts';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { openSummaryReport } from '../../agent/outbox/summary-report.ts';
import { noFates } from '../../agent/outbox/view-outbox.ts';
import { fixedClock, hearingRecord, hourSummary, silentLogger } from '../support/samples.ts';

const hourMs = 3_600_000;
const watched = () => {
  const said = vi.fn();
  return { said, logger: { ...silentLogger, warn: said, error: said } };
};
const full = (): never => {
  throw Object.assign(new Error('database or disk is full'), { code: 'SQLITE_FULL' });
};

/** Calls `tick` every ten seconds for an hour that fails, an hour that succeeds and another hour that fails. */
async function threeHours(tick: (nowMs: number) => void, fails: (does: boolean) => void): Promise<void> {
  for (let hour = 0; hour < 3; hour++) {
    fails(hour !== 1);
    for (let ms = 0; ms < hourMs; ms += 10_000) {
      tick(hour * hourMs + ms);
      await new Promise(setImmediate);
    }
  }
}

type Parts = { clock: Clock; logger: Logger };
let written = 0; // something new each time, or there would be nothing to publish after a success
const outbox = {
  readHearing: () => hearingRecord({ writtenMonotonicMs: written++ }),
  faults: () => [],
  fates: () => noFates,
  pending: () => [],
  id: '0123456789abcdef',
  summaries: () => [{ ...hourSummary(), sequence: 1 }],
  summaryReported: () => undefined,
} as Partial<Outbox> as Outbox;
const reports: [string, (parts: Parts) => Report][] = [
  ['a privacy message', (parts) => openPrivacyReport('t', {} as never, { ...parts, verification: () => ({ checkedAt: written++ }) as never })],
  ['health', (parts) => openHealthReport('t', '0', 120_000, { ...parts, outbox, board: () => ({}), link: openLink(() => undefined) })],
  ['the summary of an hour', (parts) => openSummaries('t', { ...parts, outbox })],
];
test.each(reports)('an hour of refusals by the broker is logged once: %s', async (_, open) => {
  const { said, logger } = watched();
  let nowMs = 0;
  let refused = false;
  let tries = 0;
  const publish = async () => {
    tries++;
    if (refused) throw new BrokerError('Expected a PUBACK, got reason code 135', 'check the ACL', true);
  };
  const publisher: Publisher = { lost: new AbortController().signal, publish, close: async () => undefined };
  const report = open({ clock: fixedClock({ monotonicMs: () => nowMs }), logger });
  await threeHours(
    (ms) => {
      nowMs = ms;
      report.tick(publisher);
    },
    (does) => {
      refused = does;
    },
  );
  expect(tries).toBeGreaterThan(100);
  expect(said).toHaveBeenCalledTimes(2);
});

test('an hour of failed writes is logged once, for the start time of the boot and for the hourly summary', async () => {
  const { said, logger } = watched();
  let nowMs = 0;
  let isFull = false;
  let tries = 0;
  const write = () => {
    tries++;
    if (isFull) full();
  };
  const outbox = { bootBegan: () => undefined, noteBoot: write, writeSummary: write } as Partial<Outbox> as Outbox;
  let wallMs = 1_800_000_000_000;
  const note = openBootNote(outbox, fixedClock({ monotonicMs: () => nowMs, wallMs: () => wallMs }), logger);
  await threeHours(
    (ms) => {
      nowMs = ms;
      wallMs += 60_000; // so that there is something to record each time
      note();
    },
    (does) => {
      isFull = does;
    },
  );
  expect(tries).toBeGreaterThan(700);
  expect(said).toHaveBeenCalledTimes(2);

  said.mockClear();
  tries = 0;
  const report = openSummaryReport(outbox, logger, () => nowMs);
  await threeHours(
    (ms) => {
      nowMs = ms;
      if (ms % hourMs === 0) report.add(hourSummary());
      report.retry();
    },
    (does) => {
      isFull = does;
    },
  );
  expect(tries).toBeGreaterThan(100);
  expect(said).toHaveBeenCalledTimes(2);
});
