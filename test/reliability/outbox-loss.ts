import { existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import type { HourSummary } from '../../agent/events/summary.ts';
import { covered, isIn, OutboxModel } from './outbox-model.ts';
import { expectSame, expectThat } from './random-steps.ts';
import type { TwoHalves } from './two-halves.ts';

/**
 * What a loss may leave of `was`: no event and no hour that was never given out, each lost number in a gap, no number to be
 * given out twice. Where a page was damaged nothing that was delivered comes back; from the file under a lost log it may.
 * Returns the model of what is left.
 */
export function judgeLoss(was: OutboxModel, halves: TwoHalves, isLogLost: boolean): OutboxModel {
  const { outbox } = halves.get('courier');
  const now = new OutboxModel();
  now.gaps = outbox.gaps(10_000);
  for (const { sequence, bootBeganMs, ...event } of outbox.pending(0, 100_000)) {
    if (bootBeganMs !== undefined) now.boots.set(event.bootId, bootBeganMs);
    expectSame(event, was.given.get(sequence), `event ${sequence}`);
    expectThat(was.pending.has(sequence) || isLogLost, 'an event came back', sequence);
    now.give(sequence, event);
  }
  for (const sequence of was.pending.keys()) expectThat(now.pending.has(sequence) || isIn(now.gaps, sequence), 'lost, and in no gap', sequence, now.gaps);
  for (const [first, last] of covered(was.gaps))
    for (let number = first; number <= Math.min(last, first + 100); number++)
      expectThat(isIn(now.gaps, number) || (isLogLost && now.pending.has(number)), 'a gap is lost', number, now.gaps);
  for (const { sequence, bootBeganMs, ...hour } of outbox.summaries(2000)) {
    if (bootBeganMs !== undefined) now.boots.set(hour.bootId, bootBeganMs);
    expectSame(hour, was.givenHours.get(sequence), `hour ${sequence}`);
    expectThat(was.hours.has(sequence) || isLogLost, 'an hour came back', sequence);
    now.giveHour(sequence, hour as HourSummary);
  }
  now.newest = outbox.newest();
  now.newestHour = halves.look<{ seq: number }>("SELECT seq FROM sqlite_sequence WHERE name = 'hour_summary'")[0]?.seq ?? 0;
  expectThat(now.newest >= was.newest && now.newestHour >= was.newestHour, 'numbers go back', now.newest, was.newest, now.newestHour, was.newestHour);
  now.hearing = outbox.readHearing();
  for (const bootId of was.boots.keys()) {
    const began = outbox.bootBegan(bootId);
    if (began !== undefined) now.boots.set(bootId, began);
  }
  for (const [sequence, event] of was.given) now.given.set(sequence, event);
  for (const [sequence, hour] of was.givenHours) now.givenHours.set(sequence, hour);
  Object.assign(now.fates, outbox.fates());
  now.takeRecent(halves.look('SELECT sequence, boot_id AS bootId, onset_monotonic_ms AS onset FROM recent JOIN boot ON boot.id = boot ORDER BY sequence'));
  return now;
}

/** The log of a killed outbox is cut, where the choice is below a half, or gone. A cut shows only where the shared memory is left. */
export function loseLog(path: string, choice: number): void {
  const log = `${path}-wal`;
  if (!existsSync(log)) return;
  if (choice < 0.5) truncateSync(log, Math.floor(choice * 2 * statSync(log).size));
  else rmSync(log);
}

export function damagePage(path: string, where: number, how: number): void {
  const bytes = readFileSync(path);
  const page = Math.floor((where * bytes.length) / 1024);
  writeFileSync(path, bytes.fill([0x55, 0, 0xff][Math.floor(how * 3)] ?? 0, page * 1024, (page + 1) * 1024));
}
