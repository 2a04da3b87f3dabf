// What hangs on the clock: retention, the note of the boot, the next try of a connection. The clock is the test's own.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { openExpiry } from '../../agent/delivery/expiry.ts';
import { type Clock, openClock } from '../../agent/lib/clock.ts';
import { openBootNote } from '../../agent/outbox/boot-note.ts';
import type { Now, Outbox } from '../../agent/outbox/outbox.ts';
import { recallBoot, unmade } from '../../agent/outbox/view-outbox.ts';
import { soon, startCourier } from '../support/courier.ts';
import { openPatient } from '../support/patient.ts';
import { bootId, silentLogger } from '../support/samples.ts';

const hour = 3_600_000;
const day = 24 * hour;
const minute = 60_000;
const beganMs = Date.UTC(2026, 10, 25, 10);
const state: { monotonic: number; offset: number; setMs: number | undefined } = vi.hoisted(() => ({ monotonic: 0, offset: 0, setMs: undefined }));
vi.mock('../../agent/lib/sleep.ts', () => ({
  sleep: async (ms: number) => {
    state.monotonic += ms;
    await turn();
  },
}));
let clock: Clock;
beforeEach(() => {
  Object.assign(state, { monotonic: hour, offset: 0, setMs: beganMs + hour });
  clock = openClock({
    bootId,
    wallMs: () => beganMs + state.monotonic + state.offset,
    monotonicMs: () => state.monotonic,
    evidence: () => ({ setMs: state.setMs }),
  });
});
/** A daemon sets the clock, this far from the true time. */
function set(offset: number): void {
  state.offset = offset;
  state.setMs = beganMs + state.monotonic + offset;
}

describe('old events age by the wall clock', () => {
  let now: Now | undefined;
  let look: () => Promise<unknown>;
  beforeEach(() => {
    const outbox = {
      pendingCount: () => 0,
      expire(at: Now) {
        now = at;
        return 0;
      },
    } as unknown as Outbox;
    const expire = openExpiry(30 * day, { outbox, clock, logger: silentLogger });
    look = () => expire(new AbortController().signal, () => undefined);
  });
  /** The wall clock by which events age at the end of this time, in which it is looked at each minute. */
  async function after(ms: number): Promise<number | undefined> {
    for (let left = ms; left > 0; left -= minute) {
      state.monotonic += minute;
      await look();
    }
    return now?.wallMs;
  }

  test('once it has been right for an hour', async () => {
    expect(await after(59 * minute)).toBeUndefined();
    expect(await after(minute)).toBe(beganMs + 2 * hour);
  });

  test('but not by one that jumped 30 days ahead, however long that lasts', async () => {
    await after(2 * hour);
    state.offset = 30 * day;
    expect(await after(3 * hour)).toBeUndefined();
    state.offset = 0;
    expect(await after(minute), 'put right').toBeUndefined();
  });

  test.each([30 * day, -30 * day, 5000])('but not within an hour of the daemon’s own step by %i ms, nor of the step back', async (ms) => {
    await after(2 * hour);
    set(ms);
    expect(await after(60 * minute), 'a step is seen at the next look').toBeUndefined();
    set(0);
    expect(await after(60 * minute)).toBeUndefined();
    expect(await after(minute)).toBe(beganMs + state.monotonic);
  });
});

describe('the note of when this boot began', () => {
  let noted: number[];
  let fails: boolean;
  let note: () => void;
  beforeEach(() => {
    noted = [];
    fails = false;
    const outbox = {
      bootBegan: () => undefined,
      noteBoot(_: string, ms: number) {
        if (fails) throw new Error('disk I/O error');
        noted.push(ms);
      },
    };
    note = openBootNote(outbox as unknown as Outbox, clock, silentLogger);
  });
  const pass = (ms: number) => {
    for (let left = ms; left > 0; left -= 1000) {
      state.monotonic += 1000;
      note();
    }
  };

  test('costs no write while the clock stays, nor for steps that let it pass', () => {
    pass(hour);
    state.offset = 900.5;
    pass(hour);
    state.offset = -900.5;
    pass(hour);
    expect(noted).toEqual([beganMs]);
  });

  test.each([true, false])('is written by the courier, whether it has a connection or not: %s', async (has) => {
    const outbox = openPatient(join(mkdtempSync(join(tmpdir(), 'tocsin-time-')), 'outbox.db'));
    const connect = () => {
      if (!has) throw new Error('connect ECONNREFUSED');
    };
    startCourier(outbox, clock, { connect, noteBoot: openBootNote(outbox, clock, silentLogger) });
    await soon(() => expect(outbox.bootBegan(bootId)).toBe(beganMs));
  });

  test('is believed by a command only in its own boot', () => {
    const recall = vi.fn();
    const asked = { ...clock, recall };
    recallBoot({ ...unmade, boot: { bootId: 'ffffffff-7d3a-4f5b-9c8d-1e2f3a4b5c6d', beganMs } }, asked);
    expect(recall).not.toHaveBeenCalled();
    recallBoot({ ...unmade, boot: { bootId, beganMs } }, asked);
    expect(recall).toHaveBeenCalledWith(beganMs);
  });

  test('is tried again where the disk refused it', () => {
    fails = true;
    pass(minute);
    fails = false;
    pass(11_000);
    expect(noted).toEqual([beganMs]);
  });
});

test('a daemon that sets the clock while it is read is believed at the next look', () => {
  state.offset = -30 * day;
  state.setMs = undefined;
  let whenRead = () => {};
  clock = openClock({
    bootId,
    wallMs: () => beganMs + state.monotonic + state.offset,
    monotonicMs: () => state.monotonic,
    evidence() {
      whenRead();
      return { setMs: state.setMs };
    },
  });
  expect(clock.synchronised()).toBe(false);
  state.monotonic += 1000;
  whenRead = () => {
    set(0);
    whenRead = () => {};
  };
  clock.synchronised();
  expect(clock.synchronised()).toBe(true);
});

test('once the time has come, the courier connects without waiting to the end of its pause', async () => {
  state.offset = -30 * day;
  state.setMs = undefined;
  const outbox = openPatient(join(mkdtempSync(join(tmpdir(), 'tocsin-time-')), 'outbox.db'));
  const triedMs: number[] = [];
  let setAtMs = Number.POSITIVE_INFINITY;
  const connect = () => {
    triedMs.push(state.monotonic);
    if (triedMs.length === 12) setAtMs = state.monotonic + 10_000; // pauses are a minute by then
    if (!clock.synchronised()) throw new Error('certificate is not yet valid');
  };
  const progress = () => {
    if (state.monotonic >= setAtMs) {
      set(0);
      setAtMs = Number.POSITIVE_INFINITY;
    }
  };
  startCourier(outbox, clock, { connect, progress, random: () => 1 });
  await soon(() => expect(clock.synchronised()).toBe(true));
  await soon(() => expect(triedMs.length).toBe(13));
  const [before = 0, last = 0] = triedMs.slice(-2);
  expect((triedMs[10] ?? 0) - (triedMs[9] ?? 0)).toBe(minute);
  expect(last - before).toBeLessThanOrEqual(12_000);
});
