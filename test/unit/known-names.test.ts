import { mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openCourierNotes } from '../../agent/delivery/courier-notes.ts';
import { withKnownNames } from '../../agent/delivery/known-names.ts';
import { soundEventSchema } from '../../agent/events/event.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { bootId, fixedClock, hearingRecord, hourSummary, limits, recordedEvent, silentLogger } from '../support/samples.ts';

const street = { name: 'street', version: '0.1.0' };
const earlierBoot = '11111111-7d3a-4f5b-9c8d-1e2f3a4b5c6d';
const madeUpBoot = 'deadbeef-dead-4eef-8ead-beefdeadbeef';
const folder = () => mkdtempSync(join(tmpdir(), 'tocsin-notes-'));
const openOutbox = () => openSqliteOutbox(join(folder(), 'outbox.db'), limits);

function courierOf(notesFolder: string | undefined, outbox = openOutbox(), boot = bootId, model = { installed: street, ms: 0 }) {
  const clock = fixedClock({ bootId: boot, monotonicMs: () => model.ms });
  const notes = openCourierNotes(notesFolder, silentLogger);
  return { outbox, seen: withKnownNames({ outbox, notes, clock, logger: silentLogger, installed: () => model.installed }) };
}

test('boots in which a courier ran, and models that were installed then, keep their names', () => {
  const notes = folder();
  const { outbox } = courierOf(notes, openOutbox(), earlierBoot);
  const { seen } = courierOf(notes, outbox, bootId, { installed: { name: 'street', version: '0.2.0' }, ms: 0 });
  outbox.append(recordedEvent(0, { bootId: earlierBoot }));
  outbox.append(recordedEvent(1, { model: { name: 'street', version: '0.2.0' } }));
  expect(seen.pending(0, 9).map(({ bootId: boot, model }) => [boot, model.version])).toEqual([
    [earlierBoot, '0.1.0'],
    [bootId, '0.2.0'],
  ]);
});

test('no name that a listener made up leaves the outbox, in events, summaries and health', () => {
  const { outbox, seen } = courierOf(undefined);
  const model = { name: 'what-was-said-today', version: '1' };
  outbox.append(recordedEvent(0, { bootId: madeUpBoot, model }));
  outbox.append(recordedEvent(1, { bootId: madeUpBoot }));
  outbox.writeSummary(hourSummary({ bootId: madeUpBoot, model }));
  outbox.writeHearing(hearingRecord({ bootId: madeUpBoot, model }));
  const [first, second] = seen.pending(0, 9);
  expect(first).toMatchObject({ sequence: 1, model: { name: 'unknown', version: '0' }, label: 'glass_break' });
  expect(second?.model).toEqual(street);
  expect(first?.bootId).toBe(second?.bootId); // one boot stays one boot
  expect(soundEventSchema.shape.data.shape.bootId.safeParse(first?.bootId).success).toBe(true);
  expect(soundEventSchema.shape.data.shape.model.safeParse(first?.model).success).toBe(true);
  expect(seen.summaries(9)[0]).toMatchObject({ bootId: first?.bootId, model: first?.model });
  expect(JSON.stringify([seen.pending(0, 9), seen.summaries(9), seen.readHearing()])).not.toMatch(/dead|today/);
  expect(seen.id).toBe(outbox.id);
});

test('the name of an unknown boot is the same after a restart, and another on another sensor', () => {
  const [notes, outbox] = [folder(), openOutbox()];
  outbox.append(recordedEvent(0, { bootId: madeUpBoot }));
  const nameIn = (place: string) => courierOf(place, outbox).seen.pending(0, 1)[0]?.bootId;
  const name = nameIn(notes);
  expect(nameIn(notes)).toBe(name);
  expect(nameIn(folder())).not.toBe(name);
});

test('a model that was changed while the courier ran is known within a minute', () => {
  const model = { installed: street, ms: 0 };
  const { outbox, seen } = courierOf(undefined, undefined, bootId, model);
  const own = { name: 'own', version: '1.0.0' };
  outbox.append(recordedEvent(0, { model: own }));
  expect(seen.pending(0, 1)[0]?.model.name).toBe('unknown');
  Object.assign(model, { installed: own, ms: 60_000 });
  expect(seen.pending(0, 1)[0]?.model).toEqual(own);
});

test('notes are of their owner alone, survive a restart, begin anew where they are damaged, and leave nothing beside them', () => {
  const place = folder();
  openCourierNotes(place, silentLogger).change({ boots: [bootId] });
  const path = join(place, 'notes.json');
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const { secret } = openCourierNotes(place, silentLogger).current;
  expect(openCourierNotes(place, silentLogger).current).toMatchObject({ boots: [bootId], secret });
  writeFileSync(join(place, 'notes.json.0.tmp'), 'half');
  writeFileSync(path, readFileSync(path, 'utf8').slice(0, 40));
  const warned: object[] = [];
  const fresh = openCourierNotes(place, { ...silentLogger, warn: (fields) => warned.push(fields) });
  expect(warned).toMatchObject([{ path }]);
  expect(fresh.current.boots).toEqual([]);
  expect(fresh.current.secret).not.toBe(secret);
  expect(readdirSync(place)).toEqual(['notes.json']);
});

test('of many boots the latest stay known', () => {
  const place = folder();
  const boots = Array.from({ length: 70 }, (_, i) => `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`);
  for (const boot of boots) courierOf(place, undefined, boot);
  expect(openCourierNotes(place, silentLogger).current.boots).toEqual(boots.slice(-64));
});
