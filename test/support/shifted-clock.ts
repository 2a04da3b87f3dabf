import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { missing } from './broker.ts';

const library = globSync('/usr/lib/*/faketime/libfaketimeMT.so.1')[0];

/** The reason why nothing can run with a shifted clock here, or undefined. */
export function withoutShiftedClock(): string | undefined {
  if (userInfo().uid !== 0) return 'needs root for a mount namespace';
  return missing('unshare') ?? (library ? undefined : 'needs libfaketime, not installed here');
}

/**
 * A board for processes with its own wall clock (libfaketime; the monotonic clock is unchanged), timesyncd file and
 * boot id. It cannot show how timesyncd slews or steps the clock, only what a process sees afterwards.
 */
export function shiftedBoard(boot: string) {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-clock-'));
  const offset = join(folder, 'offset');
  const timesync = mkdtempSync(join(folder, 'timesync-'));
  const bootFile = join(folder, 'boot_id');
  const namespace = `mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/timesync && mount --bind ${timesync} /run/systemd/timesync \
    && mount --bind ${bootFile} /proc/sys/kernel/random/boot_id && exec "$@"`;
  const fake = [`LD_PRELOAD=${library}`, `FAKETIME_TIMESTAMP_FILE=${offset}`, 'FAKETIME_NO_CACHE=1', 'NO_FAKE_STAT=1', 'FAKETIME_DONT_FAKE_MONOTONIC=1'];
  const words = (args: string[]) => ['--mount', 'sh', '-c', namespace, 'sh', 'env', ...fake, process.execPath, 'agent/main.ts', ...args];
  const board = {
    /** Sets the wall clock this many milliseconds ahead of the true time. */
    shift: (ms: number) => writeFileSync(offset, `${ms < 0 ? '-' : '+'}${Math.abs(Math.round(ms / 1000))}\n`),
    /** Sets the wall clock right, and records that timesyncd did. */
    synchronise() {
      board.shift(0);
      writeFileSync(join(timesync, 'synchronized'), '');
      utimesSync(join(timesync, 'synchronized'), Date.now() / 1000, Date.now() / 1000);
    },
    /** Starts another boot, in which nothing has set the clock. */
    reboot(bootId: string) {
      writeFileSync(bootFile, `${bootId}\n`);
      spawnSync('rm', ['-f', join(timesync, 'synchronized')]);
    },
    start: (...args: string[]): ChildProcess => spawn('unshare', words(args), { stdio: ['ignore', 'ignore', 'inherit'] }),
    run: (...args: string[]) => spawnSync('unshare', words(args), { encoding: 'utf8' }),
  };
  board.reboot(boot);
  board.shift(0);
  return board;
}
