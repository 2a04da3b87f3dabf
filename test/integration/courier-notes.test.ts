// A real courier and the folder of its own notes, as its unit gives it to it.
import { mkdirSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { stringify } from 'yaml';
import { openCourierNotes } from '../../agent/delivery/courier-notes.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { freePort, missing, openMosquitto } from '../support/broker.ts';
import { startHalf } from '../support/half.ts';
import { openMessages } from '../support/messages.ts';
import { hearingRecord, hourSummary, limits, recordedEvent, silentLogger } from '../support/samples.ts';

const without = missing('mosquitto');
const soon = (check: () => void) => vi.waitFor(check, { timeout: 60_000, interval: 50 });
const manifest = JSON.parse(readFileSync('models/street/manifest.json', 'utf8')) as { name: string; version: string };
const installed = { name: manifest.name, version: manifest.version };

async function sensor() {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-notes-'));
  const broker = await openMosquitto(folder, await freePort());
  onTestFinished(() => broker.close());
  const heard = await openMessages(broker.url);
  onTestFinished(() => heard.close());
  const of = (kind: string) => heard.messages.filter(({ topic }) => topic.endsWith(`/${kind}`)).map(({ text }) => JSON.parse(text));
  const path = join(folder, 'tocsin.yaml');
  const settings = { site: 'a', sensor: 'post-1', outbox: { path: join(folder, 'outbox.db'), maxEventsPerMinute: 1 }, mqtt: { url: broker.url } };
  const outbox = openSqliteOutbox(join(folder, 'outbox.db'), limits);
  const notes = join(folder, 'notes');
  mkdirSync(notes, { mode: 0o700 });
  const start = (intervalSeconds = 1200) => {
    writeFileSync(path, stringify({ ...settings, health: { intervalSeconds } }));
    return startHalf('deliver', path, { ...process.env, STATE_DIRECTORY: notes });
  };
  const stop = async (courier: ReturnType<typeof start>) => {
    courier.child.kill('SIGTERM');
    await courier.ended;
  };
  return { outbox, notes, start, stop, of };
}

describe.skipIf(without)(`the notes of a courier${without ? ` (left out: ${without})` : ''}`, () => {
  test('are made at the first start, kept at a stop, and hold for each kind of message that the listener has a word in', async () => {
    const { outbox, notes, start, stop, of } = await sensor();
    outbox.append(recordedEvent(0, { model: installed }));
    const earned = (1.1 * Number(process.hrtime.bigint())) / 60e9;
    const first = start();
    await soon(() => expect(of('event')).toHaveLength(1));
    expect(of('event')[0]).toMatchObject({ data: { model: installed } });
    await stop(first);
    expect(statSync(join(notes, 'notes.json')).mode & 0o777).toBe(0o600);
    const kept = openCourierNotes(notes, silentLogger);
    expect(kept.current.models).toEqual([installed]);
    expect(kept.current.boots).toHaveLength(1);
    // 1,000, two for the one that waited, and the time since the boot, less one
    expect(kept.current.allowance?.messages).toBeGreaterThanOrEqual(Math.floor(991 + earned)); // and health, perhaps twice

    // a listener that was replaced: from here on nothing is left
    const { bootId } = kept.current.allowance ?? { bootId: '' };
    const now = Number(process.hrtime.bigint() / 1_000_000n);
    kept.change({ allowance: { bootId, monotonicMs: now, messages: 0 } }); // one is earned in 54 s
    outbox.writeHearing(hearingRecord({ bootId, sinceMonotonicMs: now, writtenMonotonicMs: now }));
    outbox.append(recordedEvent(1, { model: { name: 'what-was-said', version: '1' } }));
    outbox.drop(2);
    outbox.writeSummary(hourSummary());
    const second = start(5);
    await soon(() => expect(second.said()).toContain('more events wait than an honest listener stores'));
    await soon(() => expect(of('health').at(-1)).toMatchObject({ link: { eventRefusal: 'beyond_rate' } }));
    expect([of('event').length, of('gap').length, of('summary').length]).toEqual([1, 0, 0]);
    await stop(second);

    const [began, told] = [Number(process.hrtime.bigint() / 1_000_000n), of('health').length];
    openCourierNotes(notes, silentLogger).change({ allowance: { bootId, monotonicMs: began, messages: 10 } });
    const third = start();
    await soon(() => expect([of('event').length, of('gap').length, of('summary').length]).toEqual([2, 1, 1]));
    expect(of('event')[1]).toMatchObject({ data: { model: { name: 'unknown', version: '0' } } });
    await soon(() => expect(of('health').length).toBeGreaterThan(told));
    await stop(third);
    const { models, allowance } = openCourierNotes(notes, silentLogger).current;
    expect(models).toEqual([installed]);
    // each kind has taken one, and health four
    const left = 3 + (1.1 * (Number(process.hrtime.bigint() / 1_000_000n) - began)) / 60_000;
    expect(allowance?.messages).toBeLessThanOrEqual(Math.floor(left));
  });
});
