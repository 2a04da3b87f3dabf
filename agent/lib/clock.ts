import { readFileSync, statSync } from 'node:fs';

export type ClockQuality = 'synchronised' | 'corrected' | 'unsynchronised';

/** Every time the agent uses. `monotonicMs` counts from boot and is shared by all processes of one boot. */
export interface Clock {
  wallMs(): number;
  monotonicMs(): number;
  /** Whether there is reason to believe `wallMs`. */
  synchronised(): boolean;
  /** For how long the wall clock has not been set: since it was, or since this was opened. */
  steadyMs(): number;
  /** Told when this boot began as somebody noted it who believed the wall clock; nothing where nobody did. */
  recall(beganMs: number | undefined): void;
  readonly bootId: string;
}

export interface ClockSource {
  readonly bootId: string;
  wallMs(): number;
  monotonicMs(): number;
  /** What speaks for the wall clock now, in milliseconds of wall clock: when a daemon last set it, and what the hardware clock says. */
  evidence(): { setMs?: number | undefined; hardwareMs?: number | undefined };
}

/** The day of this release, on the man page too. A wall clock before it cannot be right: a Pi without a network starts in 1970 or at its last shutdown. */
export const releasedOn = '2026-11-01';
export const releasedMs = Date.parse(releasedOn);
/** The wall clock may move by so much against the monotonic one and still be the same: a leap second, a small step of NTP. */
export const stepMs = 2000;
const hardwareMs = 2500; // a hardware clock tells whole seconds, and takes one to read
const lookAgainMs = 1000;

/**
 * Judges the wall clock.
 *
 * INVARIANT: Linux slews both clocks alike, so that their difference changes only when somebody sets the wall clock. It is
 * believed at the difference at which there was evidence last, and at no other: after a jump it is not, until it is set
 * again by a daemon, agrees with the hardware clock, or jumps back. That holds for all processes of a boot: one that starts after
 * a jump finds the file of a daemon that set the clock before, and is told by `recall` at which difference it was right.
 */
export function openClock(source: ClockSource): Clock {
  const { wallMs, monotonicMs, bootId } = source;
  let believed: number | undefined;
  let { difference } = readBoth();
  let steadySinceMs = monotonicMs();
  let lookedMs = Number.NEGATIVE_INFINITY;
  let seenSetMs: number | undefined;
  let proven = false; // by evidence of now, not by a file that was there before this was opened

  /** Both clocks at one moment: a process that was held up in between reads again. */
  function readBoth(): { wall: number; now: number; difference: number } {
    for (let attempt = 0; ; attempt++) {
      const before = monotonicMs();
      const wall = wallMs();
      const now = monotonicMs();
      if (now - before < 50 || attempt === 5) return { wall, now, difference: wall - now };
    }
  }

  function look(): boolean {
    let at = readBoth();
    if (differs(at.difference, difference) || at.now - lookedMs >= lookAgainMs) {
      const { setMs, hardwareMs: hardware } = source.evidence();
      const first = lookedMs === Number.NEGATIVE_INFINITY;
      at = readBoth(); // after the evidence: what is set in between is found by the next look
      lookedMs = at.now;
      if (differs(at.difference, difference)) steadySinceMs = at.now;
      difference = at.difference;
      // a daemon's word holds for the wall clock under which it was given: within this boot as that has it, and not ahead
      const fits = setMs !== undefined && setMs !== seenSetMs && setMs >= at.difference - stepMs && setMs <= at.wall + stepMs;
      const agrees = hardware !== undefined && Math.abs(hardware - at.wall) <= hardwareMs;
      if (fits || agrees) believed = at.difference;
      proven ||= agrees || (fits && !first);
      seenSetMs = setMs;
    }
    return at.wall > releasedMs && believed !== undefined && !differs(at.difference, believed);
  }
  look(); // what there is to see now is older than this process
  return {
    bootId,
    wallMs,
    monotonicMs,
    synchronised: look,
    steadyMs() {
      look();
      return monotonicMs() - steadySinceMs;
    },
    recall(beganMs) {
      look();
      // to one that has had evidence of its own, which may see no more of it, another's word counts where it speaks for the clock as it stands
      if (beganMs === undefined || (proven && differs(beganMs, difference))) return;
      if (believed === undefined || differs(believed, beganMs)) believed = beganMs;
    },
  };
}

function differs(one: number, other: number): boolean {
  return Math.abs(one - other) > stepMs;
}

// timesyncd touches its file whenever it sets the clock; systemd/README.md says who touches the other where chrony runs
const witnesses = ['/run/systemd/timesync/synchronized', '/run/tocsin-clock-set'];

/** The machine's clock. */
export function systemClock(): Clock {
  return openClock({
    bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
    wallMs: () => Date.now(),
    monotonicMs: () => Math.round(Number(process.hrtime.bigint() / 1000n) / 1000),
    evidence() {
      return { setMs: touchedMs(witnesses), hardwareMs: hardwareClockMs() };
    },
  });
}

/** When one of these files was touched last, in milliseconds of wall clock. One that cannot be looked at is no evidence, and no reason to hear nothing. */
export function touchedMs(paths: readonly string[]): number | undefined {
  const touched = paths.flatMap((path) => {
    try {
      return statSync(path).mtimeMs;
    } catch {
      return [];
    }
  });
  return touched.length > 0 ? Math.max(...touched) : undefined;
}

function hardwareClockMs(): number | undefined {
  try {
    return Number(readFileSync('/sys/class/rtc/rtc0/since_epoch', 'utf8')) * 1000;
  } catch {
    return undefined; // most boards have none
  }
}
