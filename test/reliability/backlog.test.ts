import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { checkConfig } from '../../agent/config/load-config.ts';
import { deliver } from '../../agent/delivery/deliver.ts';
import { mqttPublisher } from '../../agent/delivery/mqtt-publisher.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { layBacklog } from '../support/backlog.ts';
import { freePort, missing, openMosquitto } from '../support/broker.ts';
import { soon, startCourier } from '../support/courier.ts';
import { openMessages } from '../support/messages.ts';
import { fixedClock, limits, recordedEvent, silentLogger } from '../support/samples.ts';
import { drainBacklog } from './backlog.ts';

const without = missing('mosquitto', 'mosquitto_sub');
const reason = without ? ` (left out: ${without})` : '';

// full size: node test/reliability/backlog.ts. With fewer events V8 does not yet show that it collects garbage late
test.skipIf(without)(
  `a backlog of 80,000 events arrives completely, fresh events overtake it, and memory stays bounded${reason}`,
  { timeout: 600_000 },
  async () => {
    const result = await drainBacklog(80_000, () => undefined);
    process.stdout.write(`backlog: ${JSON.stringify(result)}\n`);
    expect(result.missing).toBe(0);
    expect(result.fresh).toBeGreaterThan(0);
    expect(result.freshDelayMs.worst).toBeLessThan(2000);
    expect(result.courierGrowthMegabytes).toBeLessThan(20);
    expect(result.listenerGrowthMegabytes).toBeLessThan(20);
    // 1,000 events a second on one core, independent of other load
    expect(result.courierCpuMsPerEvent).toBeLessThan(1);
  },
);

test.skipIf(without)(`beyond the limits of size and age the oldest events are removed, and gaps report all their numbers${reason}`, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-bounds-'));
  const path = join(folder, 'outbox.db');
  const outbox = openSqliteOutbox(path, { ...limits, maxMegabytes: 1 });
  onTestFinished(() => outbox.close());
  layBacklog(path, 30_000, (i) => recordedEvent(i));
  for (let i = 0; i < 20; i++) expect(outbox.append(recordedEvent(30_000 + i))).toBe('stored');
  const tooMany = outbox.fates().expired;
  expect(tooMany).toBeGreaterThan(100);
  const broker = await openMosquitto(folder, await freePort(), undefined, ['allow_anonymous true', 'max_queued_messages 0']);
  onTestFinished(() => broker.close());
  const seen = await openMessages(broker.url);
  onTestFinished(() => seen.close());
  const { mqtt } = checkConfig({ site: 'a', sensor: 'b', mqtt: { url: broker.url } }, 'test');
  // event 29,000 has exactly the maximum age
  const nowMs = recordedEvent(29_000).onsetMonotonicMs + 30 * 86_400_000;
  const clock = fixedClock({ monotonicMs: () => nowMs });
  const options = { site: 'a', sensor: 'b', version: '0', maxInFlight: 16, historicalAfterSeconds: 60, maxAgeMs: 30 * 86_400_000, acknowledgeWithinMs: 1000 };
  const stop = new AbortController();
  // sending begins only after all events that are too old have expired
  for (let gone = 1; gone > 0; ) gone = outbox.expire({ bootId: clock.bootId, monotonicMs: nowMs }, options.maxAgeMs);
  const parts = { outbox, openPublisher: mqttPublisher(mqtt, {}, 'tocsin-a-b'), clock, logger: silentLogger, random: Math.random };
  const delivering = deliver(options, parts, stop.signal);
  const gaps = () => seen.messages.filter((m) => m.topic.endsWith('/gap')).map((m) => JSON.parse(m.text));
  await seen.until(() => gaps().length === 2 && seen.events().length >= 1020);
  stop.abort();
  await delivering;
  expect(gaps()).toEqual([
    { outbox: outbox.id, first: 1, last: tooMany, reason: 'too_many' },
    { outbox: outbox.id, first: tooMany + 1, last: 29_000, reason: 'too_old' },
  ]);
  expect(seen.events().map((e) => e.data.sequence)).toEqual(Array.from({ length: 1020 }, (_, i) => 29_001 + i));
  expect(outbox.fates()).toEqual({ stored: 30_020, sent: 1020, expired: 29_000, refused: 0, dropped: 0, unreadable: 0 });
});

test('acknowledged events of a backlog are deleted in batches of 256 to 272, without waiting for the deletion interval', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-together-')), 'outbox.db');
  const outbox = openSqliteOutbox(path, limits);
  onTestFinished(() => outbox.close());
  layBacklog(path, 2000, (i) => recordedEvent(i));
  const acknowledge = vi.spyOn(outbox, 'acknowledge');
  startCourier(outbox, fixedClock({ monotonicMs: () => 1e6 }), { acknowledgeWithinMs: 10_000 });
  await soon(() => expect(outbox.pendingCount()).toBeLessThan(256));
  const counts = acknowledge.mock.calls.map(([sequences]) => sequences.length);
  expect(Math.min(...counts)).toBeGreaterThanOrEqual(256);
  expect(Math.max(...counts)).toBeLessThanOrEqual(256 + 16);
});
