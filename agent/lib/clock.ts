import { existsSync, readFileSync } from 'node:fs';

export type ClockQuality = 'synchronised' | 'corrected' | 'unsynchronised';

/** Every time the agent uses. `monotonicMs` counts from boot and is shared by all processes of one boot. */
export interface Clock {
  wallMs(): number;
  monotonicMs(): number;
  synchronised(): boolean;
  readonly bootId: string;
}

/** The day of this release, on the man page too. A wall clock before it cannot be right: a Pi without a network starts in 1970 or at its last shutdown. */
export const releasedOn = '2026-11-01';

/** The machine's clock; synchronised when timesyncd or chrony has set it, or a hardware clock keeps it. */
export function systemClock(): Clock {
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  const witnesses = ['/run/systemd/timesync/synchronized', '/run/chrony/chronyd.pid', '/dev/rtc0'];
  return {
    bootId,
    wallMs: () => Date.now(),
    monotonicMs: () => Math.round(Number(process.hrtime.bigint() / 1000n) / 1000),
    synchronised: () => Date.now() > Date.parse(releasedOn) && witnesses.some((path) => existsSync(path)),
  };
}
