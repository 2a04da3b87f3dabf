import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Allowance } from '../../agent/delivery/allowance.ts';
import { openHealthReport } from '../../agent/delivery/health.ts';
import { openLink } from '../../agent/delivery/link.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { soon, startCourier } from '../support/courier.ts';
import { fixedClock, hearingRecord, hourSummary, recordedEvent, silentLogger } from '../support/samples.ts';

/** An outbox as a listener could fill it that heeds no limit of rate: it claims for each event a minute of its own. */
function flooded(count: number) {
  const outbox = openSqliteOutbox(join(mkdtempSync(join(tmpdir(), 'tocsin-flood-')), 'outbox.db'), { maxMegabytes: 64, maxEventsPerMinute: 60 });
  const append = (from: number, to: number) => {
    for (let i = from; i < to; i++) expect(outbox.append(recordedEvent(i))).toBe('stored');
  };
  append(0, count);
  return { outbox, append };
}

test('of what a listener that heeds no limit has stored no more is sent than an honest one stores; all of it in the end', async () => {
  const { outbox, append } = flooded(100);
  const time = { ms: 200 * 60_000 };
  const clock = fixedClock({ monotonicMs: () => time.ms });
  const link = openLink(() => undefined);
  const journal: string[] = [];
  const logger = { ...silentLogger, error: (_: object, words: string) => journal.push(words) };
  const kept = { bootId: clock.bootId, monotonicMs: time.ms, messages: 40 };
  const allowance = new Allowance(30, 1e9, { clock, logger: silentLogger, kept, keep: () => undefined });
  let turns = 0;
  const noteBoot = () => void turns++;
  const { of } = startCourier(outbox, clock, { link, allowance, logger, noteBoot });
  await soon(() => expect(of('/event')).toHaveLength(40));
  await soon(() => expect(link.read()).toMatchObject({ eventsRefused: true, eventRefusal: 'beyond_rate' }));
  append(100, 110);
  time.ms += 60_000;
  await soon(() => expect(of('/event')).toHaveLength(73));
  expect(link.read().eventRefusal).toBe('beyond_rate');
  outbox.drop(3); // a gap is a message with words of the listener too
  time.ms += 200; // it is looked for ten times a second
  const lookedAt = turns + 2;
  await soon(() => expect(turns).toBeGreaterThan(lookedAt));
  time.ms += 60_000;
  await soon(() => expect(of('/event').length + of('/gap').length).toBe(73 + 33));
  expect(of('/gap')).toMatchObject([{ first: 111, last: 113, reason: 'dropped' }]);
  time.ms += 600_000;
  await soon(() => expect(outbox.pendingCount()).toBe(0));
  await soon(() => expect(link.read().eventRefusal).toBe('none'));
  const sequences = of('/event').map(({ data }) => data.sequence);
  for (const isFresh of [false, true]) {
    const sent = sequences.filter((sequence) => sequence > 100 === isFresh);
    expect(sent).toEqual(Array.from({ length: isFresh ? 10 : 100 }, (_, i) => (isFresh ? 101 : 1) + i));
  }
  expect(journal).toEqual(['more events wait than an honest listener stores; they are kept and sent at the rate of outbox.maxEventsPerMinute']);
});

test('summaries wait for the allowance as well', async () => {
  const { outbox } = flooded(0);
  for (let hour = 0; hour < 5; hour++) outbox.writeSummary(hourSummary({ beganMonotonicMs: hour * 3_600_000 }));
  const time = { ms: 6 * 3_600_000 };
  const clock = fixedClock({ monotonicMs: () => time.ms });
  const kept = { bootId: clock.bootId, monotonicMs: time.ms, messages: 2 };
  const allowance = new Allowance(1, 1e9, { clock, logger: silentLogger, kept, keep: () => undefined });
  const { of } = startCourier(outbox, clock, { allowance, summaries: true });
  await soon(() => expect(of('hour')).toHaveLength(2));
  time.ms += 60_000;
  await soon(() => expect(of('hour')).toHaveLength(3));
  expect(allowance.left).toBe(0);
  time.ms += 120_000;
  await soon(() => expect(of('hour')).toHaveLength(5));
});

test.each([
  ['at first', 500, 0, 0],
  ['after health and half of what is left', 8, 2, 2],
])(
  'where the count cannot be kept %s, events go on at the rate of an honest listener: none counts as refused, and the connection stays',
  async (_, messages, times, atOnce) => {
    const { outbox } = flooded(5);
    const time = { ms: 6 * 3_600_000 };
    const clock = fixedClock({ monotonicMs: () => time.ms });
    const link = openLink(() => undefined);
    const said: string[] = [];
    const say = (_: object, words: string) => said.push(words);
    let tries = 0;
    const keep = () => {
      if (++tries > times) throw new Error('ENOSPC');
    };
    const kept = { bootId: clock.bootId, monotonicMs: time.ms, messages };
    const allowance = new Allowance(30, 1e9, { clock, logger: { ...silentLogger, warn: say }, kept, keep });
    let turns = 0;
    outbox.writeHearing(hearingRecord({ writtenMonotonicMs: time.ms }));
    const health = openHealthReport('t/health', '0', 120_000, { outbox, clock, logger: silentLogger, board: () => ({}), link, allowance });
    const noteBoot = () => void turns++;
    const { of, connections } = startCourier(outbox, clock, {
      allowance,
      link,
      logger: { ...silentLogger, warn: say, error: say },
      noteBoot,
      reports: [health],
    });
    await soon(() => expect(turns).toBeGreaterThan(3));
    expect([of('/event').length, connections(), link.read().eventRefusal, tries]).toEqual([atOnce, 1, 'beyond_rate', times + 1]);
    for (let sent = atOnce + 1; sent <= 5; sent++) {
      time.ms += 1900; // one is earned in 1,818 ms
      await soon(() => expect(of('/event')).toHaveLength(sent));
    }
    expect(connections()).toBe(1);
    expect(said).toEqual([expect.stringContaining('cannot be kept'), expect.stringContaining('more events wait')]);
  },
);
