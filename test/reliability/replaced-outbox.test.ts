// A repair by the other process replaces the outbox in the middle of one read of the courier. The publisher is a fake
// that accepts at once; the moment is chosen by the test and cannot show how often it occurs.
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { stampOfEvent } from '../../agent/delivery/stamp.ts';
import { BrokerError } from '../../agent/lib/errors.ts';
import { openBootNote } from '../../agent/outbox/boot-note.ts';
import { OpenedFile } from '../../agent/outbox/opened-file.ts';
import type { PendingEvent } from '../../agent/outbox/outbox.ts';
import { missing } from '../support/broker.ts';
import { soon, startCourier } from '../support/courier.ts';
import { openPatient } from '../support/patient.ts';
import { bootId, fixedClock, recordedEvent, silentLogger } from '../support/samples.ts';
import { mount, run } from '../support/small-disk.ts';

test.each([
  ['for the next events', 16, false],
  ['for a retry', 1, true],
])('a read that finds a new outbox (%s) sends none of its events under the old id', async (_name, limit, isTrial) => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-replaced-')), 'outbox.db');
  let aheadMs = 0;
  const clock = fixedClock({ monotonicMs: () => performance.now() + aheadMs });
  const courier = openPatient(path);
  courier.append(recordedEvent(1));
  let refusals = 0;
  const seen = startCourier(courier, clock, {
    before({ topic }) {
      if (!topic.endsWith('/event') || refusals++ > 0) return;
      throw new BrokerError('Expected a PUBACK, got reason code 151', 'wait', true);
    },
  });
  await soon(() => expect(refusals).toBe(1));
  const { pending } = courier;
  let newId = '';
  vi.spyOn(courier, 'pending').mockImplementation((after, atMost) => {
    if (newId === '' && atMost === limit) {
      writeFileSync(path, 'this was a database once\n'.repeat(400));
      for (const end of ['-wal', '-shm']) rmSync(`${path}${end}`, { force: true });
      const repaired = openPatient(path);
      for (let i = 2; i <= 3; i++) repaired.append(recordedEvent(i));
      newId = repaired.id;
    }
    return pending.call(courier, after, atMost);
  });
  aheadMs = isTrial ? 31_000 : 0; // the time of the next try passes
  await soon(() => expect(seen.ids()).toEqual([`${newId}-1`, `${newId}-2`]));
});

test('gaps of an outbox that was replaced within the same turn are not reported under the old id', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-replaced-')), 'outbox.db');
  const courier = openPatient(path);
  let newId = '';
  const noteBoot = () => {
    if (newId !== '') return;
    writeFileSync(path, 'this was a database once\n'.repeat(400));
    for (const end of ['-wal', '-shm']) rmSync(`${path}${end}`, { force: true });
    const repaired = openPatient(path);
    repaired.drop(3);
    newId = repaired.id;
    courier.noteBoot(bootId, 0); // a write is how it is noticed
  };
  const seen = startCourier(courier, fixedClock({ monotonicMs: () => performance.now() }), { noteBoot });
  await soon(() => expect(seen.of('/gap')).toMatchObject([{ outbox: newId, first: 1, last: 3 }]));
});

test('an outbox that is made anew, because somebody deleted it, is told when this boot began', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-replaced-')), 'outbox.db');
  let [synchronised, nowMs] = [true, 0];
  const clock = fixedClock({ synchronised: () => synchronised, monotonicMs: () => nowMs, wallMs: () => Date.UTC(2026, 10, 20) + nowMs });
  const outbox = openPatient(path);
  const note = openBootNote(outbox, clock, silentLogger);
  note();
  for (const end of ['', '-wal', '-shm', '.schema']) rmSync(`${path}${end}`);
  outbox.append(recordedEvent(1));
  expect(outbox.bootBegan(bootId)).toBeUndefined();
  nowMs += 10_000;
  note();
  synchronised = false; // the clock has jumped since: what is heard now can be put right after the next boot all the same
  outbox.append(recordedEvent(2, { clockSynchronised: false, onsetWallMs: 0 }));
  const event = outbox.pending(1, 1)[0] as PendingEvent;
  expect(stampOfEvent(event, fixedClock({ bootId: crypto.randomUUID() })).quality).toBe('corrected');
});

const noMounts = userInfo().uid !== 0 ? 'needs root to mount a file system' : missing('mount');
test.skipIf(noMounts)(
  `an outbox that another file system hides is one that was replaced, though the file there has the same inode number${noMounts ? ` (left out: ${noMounts})` : ''}`,
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'tocsin-hidden-'));
    const path = join(folder, 'outbox.db');
    const lay = () => {
      mount('-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder);
      onTestFinished(() => void run('umount', '-l', folder));
      writeFileSync(path, '');
      return statSync(path).ino;
    };
    const first = lay();
    const opened = new OpenedFile(path);
    expect(opened.isInPlace()).toBe(true);
    expect(lay()).toBe(first);
    expect(opened.isInPlace()).toBe(false);
  },
);
