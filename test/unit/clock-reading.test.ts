// The clock is set, or the process held up, between two readings of it: at each reading in turn, as the other processes
// of the board and the kernel may do at any moment.
import { expect, test } from 'vitest';
import { openExpiry } from '../../agent/delivery/expiry.ts';
import { stampOf } from '../../agent/delivery/stamp.ts';
import { openHourMeter } from '../../agent/events/hour-meter.ts';
import type { HourSummary } from '../../agent/events/summary.ts';
import type { ThresholdCounter, ThresholdRecord } from '../../agent/events/threshold-counts.ts';
import { openClock } from '../../agent/lib/clock.ts';
import { openBootNote } from '../../agent/outbox/boot-note.ts';
import type { Now, Outbox } from '../../agent/outbox/outbox.ts';
import { openThresholdReport } from '../../agent/outbox/threshold-report.ts';
import { recordOf } from '../../agent/pipeline.ts';
import { healthCourier, openOutbox } from '../support/health-courier.ts';
import { bootId, silentLogger } from '../support/samples.ts';

const hour = 3_600_000;
const day = 24 * hour;
const beganMs = Date.UTC(2026, 10, 25, 10);
const mostReadings = 40;

interface State {
  offset: number;
  monotonic: number;
  /** When a daemon set the clock. */
  setMs: number | undefined;
}
const right: State = { offset: 0, monotonic: 2 * hour, setMs: beganMs + hour };
const late: State = { offset: -30 * day, monotonic: 2 * hour, setMs: undefined };
const disturbances: [string, State, (state: State) => Partial<State>][] = [
  ['set 30 days ahead', right, () => ({ offset: 30 * day })],
  ['set 30 days back', right, () => ({ offset: -30 * day })],
  ['set half an hour ahead', right, () => ({ offset: hour / 2 })],
  ['set right by a daemon', late, ({ monotonic }) => ({ offset: 0, setMs: beganMs + monotonic })],
  ['held up for a minute', right, ({ monotonic }) => ({ monotonic: monotonic + 60_000 })],
];

/** A clock whose board is disturbed at one of its readings, counted from `arm` on. */
function board(before: State, at: number, disturb: (state: State) => Partial<State>) {
  const state = { ...before };
  let left = Number.POSITIVE_INFINITY;
  const read = (value: () => number) => () => {
    if (left-- === 0) Object.assign(state, disturb(state));
    return value();
  };
  const clock = openClock({
    bootId,
    wallMs: read(() => beganMs + state.monotonic + state.offset),
    monotonicMs: read(() => state.monotonic),
    evidence: () => ({ setMs: state.setMs }),
  });
  return {
    clock,
    arm: () => {
      left = at;
    },
    pass(ms: number) {
      state.monotonic += ms;
      clock.synchronised();
    },
    truth: () => beganMs + state.monotonic,
  };
}

const cases = disturbances.map(([name, before, disturb]) => [name, (at: number) => board(before, at, disturb)] as const);

test.each(cases)('a clock %s while an event is stamped: its time stays, is right, or is marked', (_, boardAt) => {
  for (let at = 0; at < mostReadings; at++)
    for (const synchronised of [true, false]) {
      const { clock, arm } = boardAt(at);
      const heardMs = beganMs + hour;
      arm();
      const { ms, quality } = stampOf({ bootId, monotonicMs: hour, wallMs: synchronised ? heardMs : 5000, synchronised }, clock);
      expect(quality === 'unsynchronised' ? heardMs : Math.round(ms), `reading ${at}`).toBe(heardMs);
    }
});

test.each(cases)('a clock %s while the start of the boot is noted: no other start is noted', (_, boardAt) => {
  for (let at = 0; at < mostReadings; at++) {
    const { clock, arm, pass } = boardAt(at);
    const noted: number[] = [];
    const outbox = { bootBegan: () => undefined, noteBoot: (_id: string, ms: number) => noted.push(ms) } as unknown as Outbox;
    const note = openBootNote(outbox, clock, silentLogger);
    note();
    pass(11_000); // another start would be noted from now on
    arm();
    for (let second = 0; second < 30; second++) {
      note();
      pass(1000);
    }
    expect(noted, `reading ${at}`).toEqual([beganMs]);
  }
});

test.each(cases)('a clock %s while old events are looked for: none ages by another time', async (_, boardAt) => {
  for (let at = 0; at < mostReadings; at++) {
    const { clock, arm, pass, truth } = boardAt(at);
    pass(2 * hour);
    const nows: Now[] = [];
    const outbox = { pendingCount: () => 0, expire: (now: Now) => nows.push(now) && 0 } as unknown as Outbox;
    const expire = openExpiry(day, { outbox, clock, logger: silentLogger });
    arm();
    await expire(new AbortController().signal, () => undefined);
    expect(nows).toHaveLength(1);
    for (const { wallMs = truth() } of nows) expect(Math.abs(wallMs - truth()), `reading ${at}`).toBeLessThanOrEqual(60_000);
  }
});

test.each(cases)('a clock %s while an event is recorded: its time is right, or it is marked', (_, boardAt) => {
  const detection = { label: 'bang', onsetSeconds: 1, offsetSeconds: 2, confidence: 0.9, scores: [0, 0, 0.9] } as const;
  for (let at = 0; at < mostReadings; at++) {
    const { clock, arm } = boardAt(at);
    arm();
    const heard = { detection: { ...detection }, aboveBackgroundDb: 20, sinceOnsetSeconds: 1 };
    const event = recordOf(heard, hour, { clock, model: { name: 'street', version: '1.0.0' }, soundLevel: { fastMaximum: () => -20 } });
    expect(event.clockSynchronised ? event.onsetWallMs : beganMs + hour, `reading ${at}`).toBe(beganMs + hour);
  }
});

test.each(cases)('a clock %s while an hour is summed up: it ends no hour early, and its time is right, or marked', (_, boardAt) => {
  for (let at = 0; at < mostReadings; at++) {
    const { clock, arm, pass, truth } = boardAt(at);
    const hours: HourSummary[] = [];
    const meter = openHourMeter(clock, { model: { name: 'street', version: '1.0.0' } }, (summary) => hours.push(summary));
    pass(40 * 60_000);
    arm();
    meter.tick(1);
    expect(hours, `reading ${at}`).toEqual([]);
    meter.close();
    const [{ beganWallMs, beganMonotonicMs, clockSynchronised }] = hours as [HourSummary];
    expect(clockSynchronised ? beganWallMs : beganMs + beganMonotonicMs, `reading ${at}`).toBe(beganMs + beganMonotonicMs);
    expect(truth()).toBeGreaterThan(beganMs + 2 * hour);
  }
});

test.each(cases)('a clock %s while a day of listening is stored: its date is right, or it has none', (_, boardAt) => {
  const of = { model: { name: 'street', version: '1.0.0' }, operatingPoint: 'balanced', recognition: 7 } as const;
  for (let at = 0; at < mostReadings; at++) {
    const { clock, arm, truth } = boardAt(at);
    const days: (number | undefined)[] = [];
    const outbox = { addThresholdCounts: ({ utcDay }: ThresholdRecord) => void days.push(utcDay) } as unknown as Outbox;
    const counter = { sums: () => ({ seconds: 3600, counts: [] }), clear: () => undefined } as unknown as ThresholdCounter;
    arm();
    openThresholdReport({ outbox, clock, logger: silentLogger }, of, counter)();
    expect([[undefined], [Math.floor(truth() / day)]], `reading ${at}`).toContainEqual(days);
  }
});

test.each(cases)('a clock %s while health is composed: its time is right, or it is marked', async (_, boardAt) => {
  const outbox = openOutbox();
  for (let at = 0; at < mostReadings; at++) {
    const { clock, arm, pass, truth } = boardAt(at);
    const courier = healthCourier(outbox, undefined, clock);
    pass(60_000); // a listener may take half a minute to start
    arm();
    const health = await courier.at(0);
    expect(health.clock === 'synchronised' ? Math.abs(Date.parse(health.time) - truth()) : 0, `reading ${at}`).toBeLessThanOrEqual(60_000);
  }
});
