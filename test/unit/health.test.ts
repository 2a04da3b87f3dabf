import { mkdtempSync, renameSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { BrokerError } from '../../agent/lib/errors.ts';
import type { OutboxFault } from '../../agent/lib/faults.ts';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { healthCourier, openOutbox, validate } from '../support/health-courier.ts';
import { openPatient } from '../support/patient.ts';
import { bootId, hearingRecord, limits, recordedEvent } from '../support/samples.ts';

/** Returns the outbox with some of its methods replaced. */
function changed(outbox: Outbox, change: Partial<Outbox>): Outbox {
  const own = (part: unknown) => (typeof part === 'function' ? part.bind(outbox) : part);
  return new Proxy(outbox, { get: (target, name) => change[name as keyof Outbox] ?? own(target[name as keyof Outbox]) });
}

test('health is published for a new hearing record and a new connection, and not otherwise', async () => {
  const { outbox, at, reconnect } = healthCourier();
  outbox.writeHearing(hearingRecord({ droppedSamples: 480, opens: 3 }));
  expect(await at(21_260)).toMatchObject({
    bootId,
    clock: 'synchronised',
    uptimeSeconds: 21.3,
    hearing: {
      state: 'listening',
      fault: 'none',
      elapsedSeconds: 10,
      listenedSeconds: 9,
      notHeardSeconds: 1,
      droppedSamples: 480,
      opens: 3,
      reportedSecondsAgo: 1.3,
    },
    model: { name: 'street', version: '0.1.0' },
    outbox: { pending: 0 },
    board: { temperatureCelsius: 51.2 },
  });
  expect(await at(30_000)).toBeUndefined();
  outbox.writeHearing(hearingRecord({ state: 'deaf', fault: 'unplugged', writtenMonotonicMs: 31_000 }));
  expect(await at(31_500)).toMatchObject({ hearing: { state: 'deaf', fault: 'unplugged', notHeardSeconds: 12 } });
  reconnect();
  expect(await at(40_000)).toMatchObject({ hearing: { state: 'deaf' } });
});

test('health reports the number of pending events and the age of the oldest', async () => {
  const { outbox, at } = healthCourier();
  outbox.append(recordedEvent(0));
  outbox.writeHearing(hearingRecord());
  expect(await at(21_000)).toMatchObject({ outbox: { pending: 1, oldestSeconds: 21, stored: 1, dropped: 0, faults: [] } });
});

test('the pending count is stored minus sent, expired and unreadable', async () => {
  const outbox = openOutbox();
  const fates = { stored: 100, sent: 40, expired: 20, unreadable: 10, refused: 3, dropped: 2 };
  const { at } = healthCourier(changed(outbox, { fates: () => fates }));
  outbox.writeHearing(hearingRecord());
  expect((await at(21_000)).outbox).toEqual({ id: outbox.id, pending: 30, ...fates, faults: [] });
});

test('the outbox that is named is the one that was counted, where a repair puts another in its place meanwhile', async () => {
  const outbox = openOutbox();
  let id = outbox.id;
  const replaced = {
    get id() {
      return id;
    },
    fates() {
      id = 'f'.repeat(16);
      return outbox.fates();
    },
  };
  const { at } = healthCourier(changed(outbox, replaced));
  outbox.writeHearing(hearingRecord());
  expect((await at(21_000)).outbox.id).toBe('f'.repeat(16));
});

test('an event with an onset in the future has waited 0 s and does not block health', async () => {
  const { outbox, at } = healthCourier();
  outbox.append(recordedEvent(60));
  outbox.writeHearing(hearingRecord());
  expect(await at(21_000)).toMatchObject({ outbox: { pending: 1, oldestSeconds: 0 } });
});

test('the outbox is read once a second, and no second health message is sent while one is unanswered', async () => {
  const outbox = openOutbox();
  let looks = 0;
  const readHearing = () => {
    looks++;
    return outbox.readHearing();
  };
  const { at, hold, tries } = healthCourier(changed(outbox, { readHearing }));
  outbox.writeHearing(hearingRecord());
  for (let ms = 20_000; ms < 30_000; ms += 100) await at(ms);
  expect([looks, tries()]).toEqual([10, 1]);
  const { promise, resolve } = Promise.withResolvers<void>();
  hold(promise);
  for (let ms = 30_000; ms < 60_000; ms += 1000) {
    outbox.writeHearing(hearingRecord({ writtenMonotonicMs: ms }));
    await at(ms);
  }
  expect(tries()).toBe(2);
  resolve();
  await at(60_000);
  expect(await at(61_000)).toMatchObject({ hearing: { reportedSecondsAgo: 2 } });
});

test('the waiting time of an event of an earlier boot is reported only while both its time and the current time are known', async () => {
  const earlier = 'ffffffff-7d3a-4f5b-9c8d-1e2f3a4b5c6d';
  const clock = { right: true, wallMs: Date.UTC(2026, 10, 20, 12) };
  const change = { wallMs: () => clock.wallMs, synchronised: () => clock.right };
  const { outbox, at } = healthCourier(openOutbox(), undefined, change);
  const heard = { bootId: earlier, onsetWallMs: 100_000, onsetMonotonicMs: 100_000, clockSynchronised: false };
  outbox.append(recordedEvent(0, heard));
  outbox.writeHearing(hearingRecord());
  expect((await at(21_000)).outbox).toMatchObject({ pending: 1, stored: 1 });
  outbox.writeHearing(hearingRecord({ writtenMonotonicMs: 22_000 }));
  expect((await at(23_000)).outbox).not.toHaveProperty('oldestSeconds');
  outbox.noteBoot(earlier, Date.UTC(2026, 10, 20, 10) - 100_000);
  outbox.writeHearing(hearingRecord({ writtenMonotonicMs: 24_000 }));
  expect((await at(25_000)).outbox).toMatchObject({ oldestSeconds: 7200 });
  Object.assign(clock, { right: false, wallMs: 27_000 });
  outbox.writeHearing(hearingRecord({ writtenMonotonicMs: 26_000 }));
  const untimed = await at(27_000);
  expect(untimed.clock).toBe('unsynchronised');
  expect(untimed.outbox).not.toHaveProperty('oldestSeconds');
});

test('a clock that is no longer believed is told at once, one that is believed again once it is steady for 30 s', async () => {
  const clock = { right: true, steadyMs: 86_400_000 };
  const { outbox, at } = healthCourier(openOutbox(), undefined, { synchronised: () => clock.right, steadyMs: () => clock.steadyMs });
  outbox.writeHearing(hearingRecord());
  expect(await at(21_000)).toMatchObject({ clock: 'synchronised' });
  clock.right = false;
  expect(await at(22_000)).toMatchObject({ clock: 'unsynchronised' });
  Object.assign(clock, { right: true, steadyMs: 29_900 });
  expect(await at(23_000)).toBeUndefined();
  clock.right = false;
  expect(await at(24_000)).toBeUndefined();
  Object.assign(clock, { right: true, steadyMs: 30_000 });
  expect(await at(55_000)).toMatchObject({ clock: 'synchronised' });
  expect(await at(56_000)).toBeUndefined();
});

test('an outbox fault is reported within 5 s, a further one at the next look, its end after 30 s', async () => {
  const outbox = openOutbox();
  let faults: OutboxFault[] = [];
  const { at } = healthCourier(changed(outbox, { faults: () => faults }));
  outbox.writeHearing(hearingRecord());
  expect((await at(21_000)).outbox.faults).toEqual([]);
  faults = ['outbox_unwritable'];
  expect(await at(22_000)).toBeUndefined();
  expect(await at(25_900)).toBeUndefined();
  expect((await at(26_900)).outbox.faults).toEqual(['outbox_unwritable']);
  expect(await at(32_000)).toBeUndefined();
  faults = ['outbox_unwritable', 'disk_full'];
  expect((await at(38_000)).outbox.faults).toEqual(['outbox_unwritable', 'disk_full']);
  faults = ['disk_full'];
  expect(await at(44_000)).toBeUndefined();
  faults = ['disk_full', 'outbox_unwritable'];
  expect(await at(60_000)).toBeUndefined();
  faults = [];
  expect(await at(80_000)).toBeUndefined();
  expect((await at(95_000)).outbox.faults).toEqual([]);
  expect(await at(101_000)).toBeUndefined();
});

test('the end of a fault is reported 30 s after that fault ended, whatever ended before it', async () => {
  const outbox = openOutbox();
  let faults: OutboxFault[] = ['disk_full', 'outbox_damaged'];
  const { at } = healthCourier(changed(outbox, { faults: () => faults }));
  outbox.writeHearing(hearingRecord());
  expect((await at(21_000)).outbox.faults).toEqual(faults);
  faults = ['disk_full'];
  expect(await at(27_000)).toBeUndefined();
  outbox.writeHearing(hearingRecord({ writtenMonotonicMs: 49_000 }));
  expect((await at(50_000)).outbox.faults).toEqual(faults);
  faults = [];
  expect(await at(56_000)).toBeUndefined();
  expect((await at(80_000)).outbox.faults).toEqual([]);
});

test('an unreadable outbox is reported at once without counts, and the last hearing record keeps ageing', async () => {
  const outbox = openOutbox();
  let closed = true;
  const whileOpen = <T>(work: () => T): T => {
    if (closed) throw new Error('unable to open database file');
    return work();
  };
  const { at } = healthCourier(
    changed(outbox, {
      readHearing: () => whileOpen(() => outbox.readHearing()),
      pending: (after, limit) => whileOpen(() => outbox.pending(after, limit)),
      faults: () => (closed ? ['outbox_unwritable'] : []),
    }),
  );
  expect(await at(20_100)).toMatchObject({ hearing: { state: 'silent', starts: 0 }, outbox: { faults: ['outbox_unwritable'] } });
  outbox.writeHearing(hearingRecord());
  closed = false;
  expect(await at(22_000)).toMatchObject({ hearing: { state: 'listening' }, outbox: { pending: 0, stored: 0, faults: [] } });
  closed = true;
  const { hearing, outbox: told } = await at(30_000);
  expect(hearing).toMatchObject({ state: 'listening', listenedSeconds: 9, reportedSecondsAgo: 10 });
  expect(told).toEqual({ faults: ['outbox_unwritable'] });
  expect((await at(190_000)).hearing).toMatchObject({ state: 'silent', listenedSeconds: 9 });
});

test('a new outbox without a hearing record does not replace the last record read', async () => {
  const outbox = openOutbox();
  let isNew = false;
  const { at } = healthCourier(changed(outbox, { readHearing: () => (isNew ? undefined : outbox.readHearing()) }));
  outbox.writeHearing(hearingRecord());
  expect(await at(21_000)).toMatchObject({ hearing: { state: 'listening' } });
  isNew = true;
  for (let ms = 22_000; ms < 60_000; ms += 1000) expect(await at(ms)).toBeUndefined();
  expect(await at(180_000)).toMatchObject({ hearing: { state: 'silent', listenedSeconds: 9 } });
});

test('the hearing record is read at once from a file that replaced a damaged outbox, and the outbox of the counts is named', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-health-')), 'outbox.db');
  const { at } = healthCourier(openPatient(path));
  const tell = (written: number) => {
    const listener = openSqliteOutbox(path, limits);
    listener.writeHearing(hearingRecord({ writtenMonotonicMs: written }));
    listener.close();
    return listener.id;
  };
  const first = tell(20_000);
  expect(await at(21_000)).toMatchObject({ hearing: { reportedSecondsAgo: 1 }, outbox: { id: first } });
  for (const end of ['', '-wal', '-shm']) renameSync(`${path}${end}`, `${path}.damaged-1${end}`);
  const second = tell(30_000);
  expect(await at(32_000)).toMatchObject({ hearing: { reportedSecondsAgo: 2 }, outbox: { id: second } });
  expect(second).not.toBe(first);
});

test('the health schema refuses additional properties and unknown values', async () => {
  const { outbox, at } = healthCourier();
  outbox.writeHearing(hearingRecord());
  const health = await at(21_000);
  expect(validate({ ...health, note: 'text' })).toBe(false);
  expect(validate({ ...health, hearing: { ...health.hearing, fault: 'somebody spoke' } })).toBe(false);
  expect(validate({ ...health, board: { name: 'pi' } })).toBe(false);
  expect(validate({ ...health, outbox: { ...health.outbox, faults: ['disk_full', 'outbox_damaged'] } })).toBe(true);
  expect(validate({ ...health, outbox: { ...health.outbox, faults: ['what was said'] } })).toBe(false);
});

test('health gives the reason for the last connection loss, and reports refused events at once', async () => {
  const { outbox, at, link, reconnect } = healthCourier();
  outbox.writeHearing(hearingRecord());
  link.failed('certificate_refused');
  link.connected();
  expect((await at(21_000)).link).toEqual({ connections: 1, lastFault: 'certificate_refused', eventsRefused: false, eventRefusal: 'none' });
  link.refusing('refused');
  expect((await at(23_000)).link).toMatchObject({ eventsRefused: true, eventRefusal: 'refused' });
  expect(await at(25_000)).toBeUndefined();
  link.refusing('no_subscriber');
  expect((await at(26_000)).link).toMatchObject({ eventsRefused: true, eventRefusal: 'no_subscriber' });
  link.refusing('none');
  expect((await at(27_000)).link).toMatchObject({ eventsRefused: false, eventRefusal: 'none' });
  link.failed('connection_lost');
  link.connected();
  reconnect();
  expect((await at(29_000)).link).toEqual({ connections: 2, lastFault: 'connection_lost', eventsRefused: false, eventRefusal: 'none' });
});

test.each(['refusal', 'silence'])('what changes while a health message is unanswered is told after it: %s', async (which) => {
  const { outbox, at, link, hold } = healthCourier();
  outbox.writeHearing(hearingRecord({ writtenMonotonicMs: 20_000, intervalSeconds: which === 'silence' ? 10 : 120 }));
  const { promise, resolve } = Promise.withResolvers<void>();
  hold(promise);
  expect(await at(21_000)).toBeUndefined();
  if (which === 'refusal') link.refusing('refused');
  resolve();
  const told = [await at(39_000), await at(40_000)].map((health) => [health.hearing.state, health.link.eventRefusal]);
  expect(told).toEqual([['listening', 'none'], which === 'refusal' ? ['listening', 'refused'] : ['silent', 'none']]);
});

test('refused health is retried after a minute or over a new connection, with current values; lost health after a second', async () => {
  const { at, fail, tries, reconnect, outbox } = healthCourier();
  outbox.writeHearing(hearingRecord({ writtenMonotonicMs: 20_000 }));
  fail(new BrokerError('Expected a PUBACK, got reason code 135', 'check the ACL', true));
  for (let s = 0; s < 60; s++) await at(20_000 + s * 1000);
  expect(tries()).toBe(1);
  await at(80_000);
  expect(tries()).toBe(2);
  reconnect();
  await at(81_000);
  expect(tries()).toBe(3);
  fail();
  outbox.writeHearing(hearingRecord({ writtenMonotonicMs: 100_000, state: 'stopped' }));
  expect(await at(140_000)).toBeUndefined();
  expect((await at(141_000)).hearing.state).toBe('stopped');
  outbox.writeHearing(hearingRecord({ writtenMonotonicMs: 142_000 }));
  fail(new BrokerError('Expected a PUBACK, got none in 60 s', 'wait', false));
  for (let s = 2; s < 7; s++) await at(140_000 + s * 1000);
  expect(tries()).toBe(9);
});
