import { mkdtempSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { stampOf } from '../../agent/delivery/stamp.ts';
import { openClock, releasedOn, touchedMs } from '../../agent/lib/clock.ts';
import { bootId, fixedClock } from '../support/samples.ts';

const hour = 3_600_000;
const day = 24 * hour;
const now = Date.UTC(2026, 10, 25, 12);

/**
 * A board whose clocks the test moves. It cannot show real kernel or timesyncd behaviour;
 * test/reliability/time.test.ts runs under a shifted clock.
 */
function board(start: { wall: number; uptimeMs?: number; set?: number; hardware?: 'right' | 'none' | number }) {
  let monotonic = start.uptimeMs ?? 60_000;
  let offset = start.wall - monotonic;
  let setMs = start.set;
  let { hardware } = start;
  const clock = openClock({
    bootId,
    wallMs: () => offset + monotonic,
    monotonicMs: () => monotonic,
    evidence: () => ({ setMs, hardwareMs: hardware === 'right' ? offset + monotonic - 700 : hardware === 'none' ? undefined : hardware }),
  });
  return {
    clock,
    /** Advances time and checks the clock every 60 s. */
    pass(ms: number) {
      for (let left = ms; left > 0; left -= 60_000) {
        monotonic += Math.min(left, 60_000);
        clock.synchronised();
      }
    },
    jump(ms: number) {
      offset += ms;
    },
    /** A daemon sets the clock and records that it did. */
    set(wall: number) {
      offset = wall - monotonic;
      setMs = wall;
    },
    setHardware(value: 'right' | number) {
      hardware = value;
    },
  };
}

describe('the wall clock counts as synchronised only on evidence', () => {
  test('a clock at 1970 or at the last shutdown is not synchronised until a daemon sets it', () => {
    for (const wall of [5000, now - 40 * day]) {
      const { clock, pass, set } = board({ wall });
      expect(clock.synchronised()).toBe(false);
      pass(3_600_000);
      expect(clock.synchronised()).toBe(false);
      set(now);
      expect(clock.synchronised()).toBe(true);
    }
  });

  test("a process that starts later accepts a daemon's evidence of this boot only if the clock has not jumped since", () => {
    expect(board({ wall: now, uptimeMs: 10 * day, set: now - 3 * day }).clock.synchronised()).toBe(true);
    expect(board({ wall: now, uptimeMs: day, set: now - 30 * day }).clock.synchronised(), 'jumped ahead since').toBe(false);
    expect(board({ wall: now, uptimeMs: day, set: now + 30 * day }).clock.synchronised(), 'jumped back since').toBe(false);
  });

  test.each([30 * day, -30 * day, 3_600_000, -10_000])(
    'a jump by %i ms makes the clock unsynchronised at once; setting it again makes it synchronised',
    (by) => {
      const { clock, pass, jump, set } = board({ wall: now, set: now - 1000 });
      expect(clock.synchronised()).toBe(true);
      jump(by);
      expect(clock.synchronised()).toBe(false);
      expect(clock.steadyMs()).toBe(0);
      pass(7_200_000);
      expect(clock.synchronised(), 'time makes no truth').toBe(false);
      expect(clock.steadyMs()).toBe(7_200_000);
      set(now + 7_200_000);
      expect(clock.synchronised()).toBe(true);
      jump(by);
      jump(-by);
      expect(clock.synchronised(), 'there and back').toBe(true);
    },
  );

  test('a jump between the setting of the clock and the next look at it is not taken for the time that was set', () => {
    const { clock, pass, jump, set } = board({ wall: now, uptimeMs: day, set: now - hour });
    pass(60_000);
    set(now + 60_000);
    jump(hour);
    expect(clock.synchronised()).toBe(false);
    pass(60_000);
    set(now + 120_000);
    jump(1000); // the daemon's own next step
    expect(clock.synchronised()).toBe(true);
  });

  test('90 days without a network and a leap second leave a synchronised clock synchronised', () => {
    const { clock, pass, jump } = board({ wall: now, set: now });
    clock.synchronised();
    pass(90 * day);
    jump(-1000);
    expect(clock.synchronised()).toBe(true);
  });

  test('after a restart the recorded boot start reveals an earlier jump, unless current evidence outweighs it', () => {
    const start = { wall: now, uptimeMs: 20 * day, set: now - 10 * day };
    const beganMs = now - 20 * day;
    const { clock, pass, set } = board(start);
    clock.recall(beganMs + 9 * day);
    expect(clock.synchronised(), 'jumped back by nine days').toBe(false);
    set(now);
    pass(1000);
    expect(clock.synchronised()).toBe(true);
    clock.recall(beganMs + 9 * day);
    expect(clock.synchronised(), 'told late').toBe(true);
    for (const noted of [undefined, beganMs, beganMs - 1900]) {
      const other = board(start);
      other.clock.recall(noted);
      expect(other.clock.synchronised()).toBe(true);
    }
    const kept = board({ ...start, hardware: 'right' });
    kept.clock.recall(beganMs + 9 * day);
    expect(kept.clock.synchronised(), 'the hardware clock agrees').toBe(true);
  });

  test('a process whose evidence is gone accepts a recorded boot start only if it matches the clock as it stands', () => {
    const { clock, pass, jump, set } = board({ wall: now - day, set: now - 40 * day });
    set(now);
    expect(clock.synchronised()).toBe(true);
    const beganMs = now - 60_000;
    pass(day);
    jump(3000); // timesyncd stepped the clock and recreated its folder, so its file is not seen
    for (const noted of [undefined, beganMs, beganMs + 10_000, beganMs - 3000]) {
      clock.recall(noted);
      expect(clock.synchronised(), `${noted}`).toBe(false);
      jump(-3000);
      expect(clock.synchronised(), 'there and back').toBe(true);
      jump(3000);
    }
    clock.recall(beganMs + 3000);
    expect(clock.synchronised()).toBe(true);
    clock.recall(beganMs);
    expect(clock.synchronised(), 'its own evidence outweighs what was noted').toBe(true);
    jump(-hour);
    expect(clock.synchronised(), 'a jump is a jump').toBe(false);
  });

  test('a clock before the release date is never synchronised, whatever the evidence', () => {
    expect(board({ wall: Date.parse(releasedOn) - 1000, hardware: 'right' }).clock.synchronised()).toBe(false);
    const { clock, set } = board({ wall: 60_000 });
    set(Date.parse(releasedOn) - day);
    expect(clock.synchronised()).toBe(false);
    set(Date.parse(releasedOn) + day);
    expect(clock.synchronised()).toBe(true);
  });

  test('a delay between reading the two clocks is not taken for a jump', () => {
    let monotonic = 60_000;
    let heldUp = 0;
    const clock = openClock({
      bootId,
      wallMs() {
        const wall = now + monotonic;
        if (heldUp-- > 0) monotonic += 3000;
        return wall;
      },
      monotonicMs: () => monotonic,
      evidence: () => ({ setMs: now + 59_000 }),
    });
    expect(clock.synchronised()).toBe(true);
    for (const times of [1, 4]) {
      monotonic += 10_000;
      heldUp = times;
      expect(clock.synchronised(), `${times} times`).toBe(true);
      expect(clock.steadyMs()).toBeGreaterThan(10_000);
    }
  });

  test('a hardware clock is evidence only while it agrees with the wall clock', () => {
    const { clock, pass, jump } = board({ wall: now, hardware: now });
    expect(clock.synchronised()).toBe(true);
    jump(30 * day);
    expect(clock.synchronised()).toBe(false);
    // whole seconds that take one to be read
    expect(board({ wall: now, hardware: now - 2400 }).clock.synchronised()).toBe(true);
    expect(board({ wall: now, hardware: now - 2600 }).clock.synchronised()).toBe(false);
    // on a Pi 5 without a battery the hardware clock starts in 1970, the system clock at its last shutdown
    const flat = board({ wall: now - 3 * day, hardware: 1000 });
    expect(flat.clock.synchronised()).toBe(false);
    flat.set(now);
    pass(1000);
    expect(flat.clock.synchronised()).toBe(true);
  });
});

test('an unreadable evidence file of the clock is no evidence and does not throw', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-witness-'));
  const [loop, set] = [join(folder, 'loop'), join(folder, 'set')];
  symlinkSync(loop, loop); // fails like a folder without access permission, and does so for root too
  expect(touchedMs([loop, join(folder, 'none')])).toBeUndefined();
  writeFileSync(set, '');
  utimesSync(set, 1000, 1000);
  expect(touchedMs([loop, set])).toBe(1_000_000);
});

describe('an event timestamp is right or marked', () => {
  const heard = { bootId, monotonicMs: 10_000, wallMs: 5000, synchronised: false };
  const other = { ...heard, bootId: 'ffffffff-7d3a-4f5b-9c8d-1e2f3a4b5c6d' };

  test('an event heard before the clock was set is corrected once it is set, in the same boot or from the recorded boot start', () => {
    const clock = fixedClock({ wallMs: () => now, monotonicMs: () => 3_610_000 });
    expect(stampOf(heard, clock)).toEqual({ ms: now - 3_600_000, quality: 'corrected', ageMs: 3_600_000, ageKnown: true });
    expect(stampOf({ ...other, bootBeganMs: now - day }, clock)).toMatchObject({ ms: now - day + 10_000, quality: 'corrected' });
    expect(stampOf({ ...heard, bootBeganMs: now - day }, clock), 'the present clock outweighs an earlier note').toMatchObject({ ms: now - 3_600_000 });
    expect(stampOf({ ...heard, wallMs: now - 3_600_500 }, clock), 'as near as it was, nobody knew').toMatchObject({ quality: 'corrected' });
    expect(stampOf(other, clock)).toMatchObject({ ms: 5000, quality: 'unsynchronised' });
    expect(stampOf(heard, fixedClock({ synchronised: () => false }))).toMatchObject({ ms: 5000, quality: 'unsynchronised' });
  });

  test('a synchronised timestamp is corrected only if it is off by more than its clock can have drifted', () => {
    const hour = 3_600_000;
    const after = (elapsedMs: number, offMs: number) => {
      const clock = fixedClock({ wallMs: () => now, monotonicMs: () => heard.monotonicMs + elapsedMs });
      const stamp = stampOf({ ...heard, wallMs: now - elapsedMs + offMs, synchronised: true }, clock);
      expect(stamp.ageMs, 'of this boot, by the monotonic clock').toBe(elapsedMs);
      return [stamp.ms - (now - elapsedMs), stamp.quality];
    };
    for (const off of [30 * day, -30 * day, 120_000, -30_000]) expect(after(hour, off)).toEqual([0, 'corrected']);
    expect(after(hour, 1500)).toEqual([1500, 'synchronised']);
    expect(after(30 * day, 130_000)).toEqual([130_000, 'synchronised']);
    expect(after(30 * day, 310_000)).toEqual([0, 'corrected']);
    // an earlier boot ended at the latest when this one began, one hour ago: its clock can have drifted until then
    const earlier = (daysAgo: number, offMs: number, synchronised = true) => {
      const clock = fixedClock({ wallMs: () => now, monotonicMs: () => hour, synchronised: () => synchronised });
      const bootBeganMs = now - hour - daysAgo * day;
      const stamp = stampOf({ ...other, synchronised: true, bootBeganMs, wallMs: bootBeganMs + other.monotonicMs + offMs }, clock);
      return [stamp.ms - bootBeganMs - other.monotonicMs, stamp.quality];
    };
    expect(earlier(0.01, 250_000)).toEqual([0, 'corrected']);
    expect(earlier(30, 250_000)).toEqual([250_000, 'synchronised']);
    expect(earlier(30, 310_000)).toEqual([0, 'corrected']);
    expect(earlier(0.01, 250_000, false), 'where it is not known when this one began').toEqual([250_000, 'synchronised']);
  });

  test('an event of an earlier boot is never younger than the current boot', () => {
    const clock = fixedClock({ wallMs: () => 20_000, monotonicMs: () => 20_000, synchronised: () => false });
    expect(stampOf({ ...other, wallMs: now, synchronised: true }, clock)).toEqual({ ms: now, quality: 'synchronised', ageMs: 20_000, ageKnown: false });
    const right = fixedClock({ wallMs: () => now, monotonicMs: () => 20_000 });
    expect(stampOf({ ...other, wallMs: now - day, synchronised: true }, right)).toMatchObject({ ageMs: day, ageKnown: true });
    expect(stampOf({ ...other, wallMs: now - 1000, synchronised: true }, right)).toMatchObject({ ageMs: 20_000, ageKnown: true });
    expect(stampOf(other, right)).toMatchObject({ ms: 5000, ageMs: 20_000, ageKnown: false });
  });
});
