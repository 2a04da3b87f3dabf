import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { closedPublisher } from '../../agent/delivery/closed-publisher.ts';
import { deliver } from '../../agent/delivery/deliver.ts';
import { openHealthReport } from '../../agent/delivery/health.ts';
import { openLink } from '../../agent/delivery/link.ts';
import type { OpenPublisher } from '../../agent/delivery/publisher.ts';
import { openSummaries } from '../../agent/delivery/summaries.ts';
import { topicsOf } from '../../agent/delivery/topics.ts';
import { closedForm, type PublishedKind } from '../../agent/events/published.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { validatorOf } from '../support/published-schema.ts';
import { seededRandom } from '../support/random.ts';
import { bootId, fixedClock, hearingRecord, limits, recordedEvent, silentLogger } from '../support/samples.ts';

const rows = Number(process.env.TOCSIN_ROWS ?? 1000);
const scratch = existsSync('/dev/shm') ? '/dev/shm' : tmpdir(); // a sync costs nothing there; durability is tested elsewhere
const topics = topicsOf('a', 'b');
// judged by the published documents and by another validator than the agent's
const validators = Object.fromEntries(Object.entries(topics).map(([kind, topic]) => [topic, validatorOf(kind as PublishedKind)]));
const isValid = (topic: string, payload: string) => validators[topic]?.(JSON.parse(payload)) ?? false;

/** A valid row for each table with data about the world. */
const good: Record<string, Record<string, unknown>> = {
  event: {
    sequence: null,
    ...{ label: 1, boot: 1, model: 1, onset_wall_ms: Date.UTC(2026, 10, 20), onset_monotonic_ms: 1000, clock_synchronised: 1, duration_ms: 400 },
    ...{ confidence_permille: 900, above_background_decibels: 18, spl_decibels: null, glass_break_permille: 900, shout_permille: 1, bang_permille: 2 },
  },
  gap: { first: 5, last: 6, reason: 'dropped' },
  hearing: {
    ...{ one: 1, boot: 1, model: 1, written_monotonic_ms: 20_000, since_monotonic_ms: 10_000, state: 'listening', fault: 'none', suspicion: 'none' },
    ...{ listened_ms: 9000, dropped_samples: 0, opens: 1, starts: 1, noise_floor_decibels: -60 },
  },
  hour_summary: {
    ...{ sequence: null, boot: 1, model: 1, began_wall_ms: Date.UTC(2026, 10, 20), began_monotonic_ms: 0, clock_synchronised: 1, elapsed_ms: 3_600_000 },
    ...{ listened_ms: 3_600_000, glass_breaks: 1, shouts: 2, bangs: 3, laeq_millibels: -5000, la10_millibels: -4000, la90_millibels: -6000 },
    full_scale_spl_millibels: null,
  },
  boot: { id: null, boot_id: '0b6f1c2e-7d3a-4f5b-9c8d-1e2f3a4b5c6e', began_wall_ms: null },
  model: { id: null, name: 'other', version: '1.0' },
  usual_level: { hour: 3, quarters: 9, floor_millibels: -6000, loud_millibels: -4000 },
  fate: { name: 'stored', events: 7 },
  outbox: { one: 1, id: '0123456789abcdef' },
  label: { id: 2, name: 'shout' },
};

/** Values that someone would put into a column to say more than an event does. */
function hostile(random: () => number): unknown {
  const pick = <T>(...choices: T[]): T => choices[Math.floor(random() * choices.length)] as T;
  const digits = Array.from({ length: 1 + Math.floor(random() * 60) }, () => Math.floor(random() * 36).toString(36)).join('');
  return pick<() => unknown>(
    () => 'somebody said something',
    () => digits,
    () => `${digits.slice(0, 6)}\n"},{"note":"`,
    () => Buffer.from(digits),
    () => (random() - 0.5) * 10 ** (random() * 20),
    () => Math.round((random() - 0.5) * 2 ** (random() * 52)),
    () => Math.floor(random() * 70) - 3,
    () => random(),
    () => null,
    () => 'dropped',
    () => '2026-11-20T00:00:00.000Z',
    () => bootId.replace('0', 'g'),
  )();
}

function openHostile(constrained: boolean) {
  const path = join(mkdtempSync(join(scratch, 'tocsin-closed-')), 'outbox.db');
  const outbox = openSqliteOutbox(path, limits);
  outbox.append(recordedEvent(0));
  outbox.writeHearing(hearingRecord());
  const db = new Database(path);
  db.pragma(`foreign_keys = ${constrained ? 'ON' : 'OFF'}`);
  if (!constrained) db.pragma('ignore_check_constraints = ON');
  /** Whether SQLite accepted the row. */
  const put = (table: string, row: Record<string, unknown>): boolean => {
    const columns = Object.keys(row);
    try {
      db.prepare(`INSERT OR REPLACE INTO ${table} (${columns.join()}) VALUES (${columns.map(() => '?').join()})`).run(...Object.values(row));
      return true;
    } catch {
      return false;
    }
  };
  const close = () => {
    db.close();
    outbox.close();
    rmSync(dirname(path), { recursive: true });
  };
  return { outbox, put, close };
}

/** A valid row of a table with one to three values replaced by hostile ones. */
function hostileRow(random: () => number): [string, Record<string, unknown>] {
  const tables = ['event', ...Object.keys(good)]; // events twice as often
  const table = tables[Math.floor(random() * tables.length)] as string;
  const row = { ...good[table] };
  const columns = Object.keys(row);
  for (let i = Math.floor(random() * 3); i >= 0; i--) row[columns[Math.floor(random() * columns.length)] as string] = hostile(random);
  // so that the event rate limit does not stop it
  if (table === 'event' && row.onset_monotonic_ms === 1000) row.onset_monotonic_ms = Math.floor(random() * 3e12);
  return [table, row];
}

/**
 * Runs the courier over an outbox until no more messages come. Returns the messages that reached the network, and how
 * many did not.
 */
async function published(outbox: ReturnType<typeof openSqliteOutbox>, gate: boolean) {
  const sent: { topic: string; payload: string }[] = [];
  let kept = 0;
  let calls = 0;
  const network: OpenPublisher = async (will) => {
    sent.push(will);
    return {
      lost: new AbortController().signal,
      close: async () => undefined,
      publish: async (topic, payload) => void sent.push({ topic, payload }),
    };
  };
  const closed = gate ? closedPublisher(network, closedForm(topics)) : network;
  const counting: OpenPublisher = async (will, signal) => {
    const publisher = await closed(will, signal);
    return {
      ...publisher,
      publish: (topic, payload, options) => {
        if (topic !== topics.health) calls++; // health repeats
        return publisher.publish(topic, payload, options).catch((error: unknown) => {
          if (topic !== topics.health) kept++; // a record from the future gives no health message
          throw error;
        });
      },
    };
  };
  const stop = new AbortController();
  let still = 0;
  let before = -1;
  const progress = () => {
    still = calls === before ? still + 1 : 0;
    before = calls;
    if (still > 15) stop.abort(); // turns of the courier without a message
  };
  let now = 40_000;
  const clock = fixedClock({ monotonicMs: () => (now += 200) }); // so that whatever is due by the clock is due soon
  const parts = { outbox, clock, logger: silentLogger };
  const reports = [
    openHealthReport(topics.health, '0.1.0', 5000, { ...parts, link: openLink(() => undefined), board: () => ({}) }),
    openSummaries(topics.summary, parts),
  ];
  const options = { site: 'a', sensor: 'b', version: '0.1.0', maxInFlight: 16, historicalAfterSeconds: 60, maxAgeMs: 1e15, acknowledgeWithinMs: 0 };
  await deliver(options, { ...parts, openPublisher: counting, random: () => 0, reports, progress }, stop.signal);
  return { sent, kept };
}

test(`every row that the outbox accepts of ${rows} hostile rows is published as a message that its schema allows`, async () => {
  const random = seededRandom(41);
  const { outbox, put, close } = openHostile(true);
  let accepted = 0;
  for (let i = 0; i < rows; i++) if (put(...hostileRow(random))) accepted++;
  expect(accepted).toBeGreaterThan(rows / 50); // some were not hostile after all
  expect(accepted).toBeLessThan(rows / 2);
  const { sent, kept } = await published(outbox, true);
  for (const { topic, payload } of sent) expect(isValid(topic, payload), `${topic} ${payload}`).toBe(true);
  expect(sent.length).toBeGreaterThan(20);
  expect(kept).toBe(0); // the outbox and the schemas have the same bounds
  close();
});

test.each([true, false])('the schema gate stops invalid rows that were forced into the outbox (gate: %s)', async (gate) => {
  const random = seededRandom(42);
  const { outbox, put, close } = openHostile(false);
  let accepted = 0;
  for (let i = 0; i < rows / 10; i++) if (put(...hostileRow(random))) accepted++;
  expect(accepted).toBeGreaterThan(rows / 40);
  const { sent, kept } = await published(outbox, gate);
  const wrong = sent.filter(({ topic, payload }) => !isValid(topic, payload));
  if (gate) {
    expect(wrong).toEqual([]);
    expect(kept).toBeGreaterThan(0);
    expect(new Set(sent.map(({ topic }) => topic.split('/').at(-1) as PublishedKind)).has('event')).toBe(true); // valid events still go out
  } else expect(wrong.length).toBeGreaterThan(0); // without the gate they go out: this test can fail
  close();
});

test('per minute, the outbox stores no more events than configured and the schema accepts at most 60', () => {
  const random = seededRandom(43);
  for (let run = 0; run < 8; run++) {
    const { outbox, put, close } = openHostile(true);
    const mean = 10 ** (1 + random() * 4); // ms between sounds, from bursts to quiet
    const stored: number[] = [];
    const forced: number[] = [];
    let onset = 100_000;
    for (let i = 0; i < 100; i++) {
      onset += 1 + Math.round(random() * 2 * mean);
      if (outbox.append(recordedEvent(0, { onsetMonotonicMs: onset })) === 'stored') stored.push(onset);
      if (random() < 0.5) outbox.acknowledge(outbox.pending(0, 100).map(({ sequence }) => sequence));
    }
    onset += 100_000;
    for (let i = 0; i < 120; i++) {
      onset += 1 + Math.round(random() * 2 * mean);
      if (put('event', { ...good.event, onset_monotonic_ms: onset })) forced.push(onset);
      if (random() < 0.5) outbox.acknowledge(outbox.pending(0, 100).map(({ sequence }) => sequence));
    }
    const most = (onsets: number[]) => Math.max(...onsets.map((to) => onsets.filter((at) => at > to - 60_000 && at <= to).length));
    expect(most(stored), `run ${run}, a sound each ${mean} ms`).toBeLessThanOrEqual(limits.maxEventsPerMinute);
    expect(most(forced), `run ${run}, a sound each ${mean} ms`).toBeLessThanOrEqual(60);
    close();
  }
});
