import { readFileSync, statSync } from 'node:fs';
import { exitCodes, messageOf, TocsinError } from './errors.ts';
import { ifPossible } from './if-possible.ts';

export type ClockQuality = 'synchronised' | 'corrected' | 'unsynchronised';

/**
 * The source of every time that the agent uses. `monotonicMs` counts from boot and is shared by all processes of one
 * boot.
 */
export interface Clock {
  wallMs(): number;
  monotonicMs(): number;
  /** All at one moment: between two calls somebody may set the clock, or the process may be held up. */
  now(): { readonly wallMs: number; readonly monotonicMs: number; readonly synchronised: boolean };
  /** Whether there is evidence that `wallMs` is right. */
  synchronised(): boolean;
  /** Milliseconds since the wall clock was last set, or since this clock was opened. */
  steadyMs(): number;
  /**
   * Takes the wall-clock time at which this boot began, as noted by a process that trusted the wall clock; undefined if
   * there is no such note.
   */
  recall(beganMs: number | undefined): void;
  readonly bootId: string;
}

interface ClockSource {
  readonly bootId: string;
  wallMs(): number;
  monotonicMs(): number;
  /**
   * The present evidence for the wall clock, in milliseconds of wall clock: when a daemon last set it, and what the
   * hardware clock says.
   */
  evidence(): { setMs?: number | undefined; hardwareMs?: number | undefined };
}

/**
 * The day of this release, also on the man page. A wall clock before it cannot be right: a Pi without a network starts
 * in 1970 or at its last shutdown.
 */
export const releasedOn = '2026-11-01';
export const releasedMs = Date.parse(releasedOn);
/**
 * The wall clock may move this far against the monotonic clock without counting as set: a leap second, a small step of
 * NTP.
 */
export const stepMs = 2000;
const hardwareMs = 2500; // a hardware clock tells whole seconds, and reading it takes one
const lookAgainMs = 1000;

/**
 * Judges the wall clock.
 *
 * INVARIANT: Linux slews both clocks alike, so their difference changes only when somebody sets the wall clock. The
 * wall clock is believed only at the difference for which there was evidence last. After a jump it is not believed
 * until a daemon sets it again, it agrees with the hardware clock, or it jumps back. That holds for all processes of a
 * boot: a process that starts after a jump finds the file of a daemon that set the clock before the jump, and learns
 * from `recall` at which difference the clock was right.
 */
export function openClock(source: ClockSource): Clock {
  const { wallMs, monotonicMs, bootId } = source;
  let believed: number | undefined;
  let { difference } = readBoth();
  let steadySinceMs = monotonicMs();
  let lookedMs = Number.NEGATIVE_INFINITY;
  let seenSetMs: number | undefined;
  let proven = false; // by present evidence, not by a file that was there before this clock was opened

  /** Reads both clocks at one moment; reads again if the process was held up in between. */
  function readBoth(): { wall: number; now: number; difference: number } {
    for (let attempt = 0; ; attempt++) {
      const before = monotonicMs();
      const wall = wallMs();
      const now = monotonicMs();
      if (now - before < 50 || attempt === 5) return { wall, now, difference: wall - now };
    }
  }

  function look(): ReturnType<Clock['now']> {
    let at = readBoth();
    if (differs(at.difference, difference) || at.now - lookedMs >= lookAgainMs) {
      const { setMs, hardwareMs: hardware } = source.evidence();
      const first = lookedMs === Number.NEGATIVE_INFINITY;
      at = readBoth(); // read after the evidence: the next look finds a clock that was set in between
      // a daemon's timestamp counts only if, by the present wall clock, it is within this boot, since the last look
      // and not in the future: else the clock has jumped since
      const earliestMs = Math.max(at.difference, at.wall - (at.now - lookedMs)) - stepMs;
      lookedMs = at.now;
      if (differs(at.difference, difference)) steadySinceMs = at.now;
      difference = at.difference;
      const fits = setMs !== undefined && setMs !== seenSetMs && setMs >= earliestMs && setMs <= at.wall + stepMs;
      const agrees = hardware !== undefined && Math.abs(hardware - at.wall) <= hardwareMs;
      if (fits || agrees) believed = at.difference;
      proven ||= agrees || (fits && !first);
      seenSetMs = setMs;
    }
    const synchronised = at.wall > releasedMs && believed !== undefined && !differs(at.difference, believed);
    return { wallMs: at.wall, monotonicMs: at.now, synchronised };
  }
  look(); // a file that exists now is older than this clock
  return {
    bootId,
    wallMs,
    monotonicMs,
    now: look,
    synchronised: () => look().synchronised,
    steadyMs() {
      look();
      return monotonicMs() - steadySinceMs;
    },
    recall(beganMs) {
      look();
      // a clock that has had evidence of its own may see no more of it: it then accepts another process's note only if
      // the note matches the present difference
      if (beganMs === undefined || (proven && differs(beganMs, difference))) return;
      if (believed === undefined || differs(believed, beganMs)) believed = beganMs;
    },
  };
}

/** The time by the wall clock; undefined while there is no evidence that it is right. */
export function trustedWallMs(clock: Pick<Clock, 'now'>): number | undefined {
  const { wallMs, synchronised } = clock.now();
  return synchronised ? wallMs : undefined;
}

function differs(one: number, other: number): boolean {
  return Math.abs(one - other) > stepMs;
}

// timesyncd touches its file whenever it sets the clock; systemd/README.md says what touches the other where chrony
// runs
const witnesses = ['/run/systemd/timesync/synchronized', '/run/tocsin-clock-set'];

const bootIdFile = '/proc/sys/kernel/random/boot_id';

function readBootId(): string {
  try {
    return readFileSync(bootIdFile, 'utf8').trim();
  } catch (cause) {
    throw new TocsinError(
      `Expected the id of this boot in ${bootIdFile}, got: ${messageOf(cause)}`,
      'start it again; if that does not help, restart the board, and in a container mount /proc',
      exitCodes.failure,
      { cause },
    );
  }
}

/** The machine's clock. Throws a TocsinError where the kernel does not tell its boot. */
export function systemClock(): Clock {
  return openClock({
    bootId: readBootId(),
    wallMs: () => Date.now(),
    monotonicMs: () => Math.round(Number(process.hrtime.bigint() / 1000n) / 1000),
    evidence() {
      return { setMs: touchedMs(witnesses), hardwareMs: hardwareClockMs() };
    },
  });
}

/**
 * The latest time at which one of these files was touched, in milliseconds of wall clock. A file that cannot be
 * examined is no evidence, and no reason to stop hearing.
 */
export function touchedMs(paths: readonly string[]): number | undefined {
  const touched = paths.flatMap((path) => ifPossible(() => statSync(path).mtimeMs) ?? []);
  return touched.length > 0 ? Math.max(...touched) : undefined;
}

/** Undefined on most boards, which have none. */
function hardwareClockMs(): number | undefined {
  return ifPossible(() => Number(readFileSync('/sys/class/rtc/rtc0/since_epoch', 'utf8')) * 1000);
}
