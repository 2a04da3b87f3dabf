// A broker that ends the connection over a message that it does not allow, without a reason code: only the topic of
// that message is held back. The clock is simulated.
import { mkdtempSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Aedes } from 'aedes';
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { privacyFacts } from '../../agent/cli/privacy/manifest.ts';
import { checkConfig } from '../../agent/config/load-config.ts';
import { deliver } from '../../agent/delivery/deliver.ts';
import { type Link, openLink } from '../../agent/delivery/link.ts';
import { mqttPublisher } from '../../agent/delivery/mqtt-publisher.ts';
import { openPrivacyReport } from '../../agent/delivery/privacy-report.ts';
import type { Publisher } from '../../agent/delivery/publisher.ts';
import { openSummaries } from '../../agent/delivery/summaries.ts';
import { topicsOf } from '../../agent/delivery/topics.ts';
import { waryPublisher } from '../../agent/delivery/wary-publisher.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { soon } from '../support/courier.ts';
import { openScriptedBroker } from '../support/faults.ts';
import { fixedClock, hourSummary, limits, recordedEvent, silentLogger } from '../support/samples.ts';

const minuteMs = 60_000;
const topics = topicsOf('a', 'b');
let aheadMs: number;
let link: Link;
let came: string[];
let turns: number;
let hangsUpOver: (topic: string) => boolean;
beforeEach(() => {
  aheadMs = 0;
  came = [];
  turns = 0;
  hangsUpOver = () => false;
  link = openLink(() => undefined);
});
const clock = fixedClock({ monotonicMs: () => performance.now() + aheadMs });
const of = (topic: string) => came.filter((one) => one === topic).length;

function start(url: string, protocol: '5' | '3.1.1' = '5') {
  const outbox = openSqliteOutbox(join(mkdtempSync(join(tmpdir(), 'tocsin-hang-up-')), 'outbox.db'), limits);
  for (let i = 0; i < 40; i++) outbox.append(recordedEvent(i));
  outbox.writeSummary(hourSummary());
  const config = checkConfig({ site: 'a', sensor: 'b', mqtt: { url, allowPlaintext: true, protocol, ackTimeoutSeconds: 1 } }, 'test');
  const logger = silentLogger;
  const privacy = openPrivacyReport(topics.privacy, privacyFacts(config), { clock, logger, verification: () => undefined });
  const reports = [privacy, openSummaries(topics.summary, { outbox, clock, logger })];
  const openPublisher = waryPublisher(mqttPublisher(config.mqtt, {}, 'tocsin-a-b'), { clock, logger });
  const options = { site: 'a', sensor: 'b', version: '0', maxInFlight: 16, historicalAfterSeconds: 60, maxAgeMs: 1e13, acknowledgeWithinMs: 0 };
  const stop = new AbortController();
  const progress = () => void turns++;
  const delivering = deliver(options, { outbox, openPublisher, clock, logger, random: () => 0, reports, link, progress }, stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await delivering;
    outbox.close();
  });
  return outbox;
}

async function scripted() {
  const broker = await openScriptedBroker({
    puback(topic) {
      if (hangsUpOver(topic)) return { disconnect: 135 };
      came.push(topic);
      return 0;
    },
  });
  onTestFinished(() => broker.close());
  return broker;
}

/** Advances time so that refused messages are tried again. */
async function pass(minutes: number, step = 5): Promise<void> {
  for (let i = 0; i < minutes; i += step) {
    aheadMs += step * minuteMs;
    const from = turns;
    await soon(() => expect(turns).toBeGreaterThan(from + 4)); // it may have lost the connection and read again
  }
}

test.for(['privacy', 'summary'] as const)(
  'a broker that hangs up over %s, which precedes the events, gets all events, and the message once it is allowed',
  async (topic) => {
    hangsUpOver = (one) => one === topics[topic];
    const broker = await scripted();
    const outbox = start(broker.url);
    await soon(() => expect(outbox.fates()).toMatchObject({ sent: 40 }));
    outbox.append(recordedEvent(41));
    await soon(() => expect(outbox.fates()).toMatchObject({ sent: 41 }));
    await pass(2, 1); // a summary is tried again after that
    expect(of(topic === 'privacy' ? topics.summary : topics.privacy)).toBeGreaterThan(0);
    await pass(40); // first five ends, then retries, over which two connections may end
    expect(broker.connections()).toBeGreaterThan(5);
    expect(broker.connections()).toBeLessThanOrEqual(20);
    hangsUpOver = () => false;
    await pass(20);
    await soon(() => expect([of(topics.privacy) > 0, outbox.summaries(9).length]).toEqual([true, 0]));
  },
);

test('a broker that hangs up over events gets everything else, health reports them as refused, and all arrive once allowed', async () => {
  hangsUpOver = (topic) => topic === topics.event;
  const broker = await scripted();
  const outbox = start(broker.url);
  await soon(() => expect([of(topics.privacy) > 0, outbox.summaries(9).length, link.read().eventsRefused]).toEqual([true, 0, true]));
  const before = broker.connections();
  await pass(30);
  expect(broker.connections() - before).toBeLessThanOrEqual(12);
  expect(outbox.pendingCount()).toBe(40);
  hangsUpOver = () => false;
  await pass(20);
  await soon(() => expect(outbox.fates()).toMatchObject({ sent: 40 }));
  expect([of(topics.event), link.read().eventsRefused]).toEqual([40, false]);
});

test('a broker that hangs up over the birth message gets all events, and the birth once it is allowed', async () => {
  hangsUpOver = (topic) => topic === topics.status;
  const broker = await scripted();
  const outbox = start(broker.url);
  await soon(() => expect(outbox.fates()).toMatchObject({ sent: 40 }));
  hangsUpOver = () => false;
  await pass(20);
  await soon(() => expect(of(topics.status)).toBe(1));
});

test('a broker that accepts and ends a connection in one segment: the reason is known, and all is sent once it stops doing so', async () => {
  let isTaken = true;
  const broker = await openScriptedBroker({ connack: () => (isTaken ? { disconnect: 142 } : 0), puback: () => 0 });
  onTestFinished(() => broker.close());
  const outbox = start(broker.url);
  await soon(() => expect(link.read()).toMatchObject({ lastFault: 'session_taken' }));
  isTaken = false;
  await soon(() => expect(outbox.fates()).toMatchObject({ sent: 40 }));
});

test('a session that is taken while the courier looks for events that are too old is told as that', async () => {
  const broker = await openScriptedBroker({ puback: () => 0, oneSession: true });
  onTestFinished(() => broker.close());
  const config = checkConfig({ site: 'a', sensor: 'b', mqtt: { url: broker.url, allowPlaintext: true } }, 'test');
  const takeSession = mqttPublisher(config.mqtt, {}, 'tocsin-a-b');
  const outbox = start(broker.url);
  let other: Promise<Publisher> | undefined;
  const expire = vi.spyOn(outbox, 'expire').mockImplementation(() => {
    other ??= takeSession({ topic: topics.status, payload: '{}' }, new AbortController().signal);
    return 1; // it goes on to look until the connection has ended
  });
  await soon(() => expect(link.read().lastFault).not.toBe('none'));
  expire.mockRestore();
  await (await other)?.close(false);
  await soon(() => expect(outbox.fates()).toMatchObject({ sent: 40 }));
  expect(link.read().lastFault).toBe('session_taken');
});

test('closing a publisher leaves no connection open, even if the broker does not answer its end', async () => {
  const open = () => process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length;
  await soon(() => expect(open()).toBe(0)); // those of earlier tests are closed
  const broker = await openScriptedBroker({ puback: () => 0, neverEnds: true });
  onTestFinished(() => broker.close());
  const config = checkConfig({ site: 'a', sensor: 'b', mqtt: { url: broker.url, allowPlaintext: true } }, 'test');
  const publisher = await mqttPublisher(config.mqtt, {}, 'tocsin-a-b')({ topic: topics.status, payload: '{}' }, new AbortController().signal);
  expect(open()).toBe(2);
  await publisher.close(true);
  await soon(() => expect(open()).toBe(1)); // only the broker's end remains
});

test('a real MQTT 3.1.1 broker, without reason codes, that hangs up over the privacy message gets all events', async () => {
  const aedes = await Aedes.createBroker();
  aedes.authorizePublish = (client, { topic }, done) => done(client && topic === topics.privacy ? new Error('not allowed') : null);
  const server = createServer(aedes.handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    await new Promise<void>((resolve) => aedes.close(resolve));
    server.close();
  });
  const outbox = start(`mqtt://127.0.0.1:${(server.address() as { port: number }).port}`, '3.1.1');
  await soon(() => expect(outbox.fates().sent).toBe(40));
});

test.for([
  ['shuts down ten times, an event unanswered', (broker: number) => (broker <= 10 ? { disconnect: 139 } : 0)],
  ['answers none of five connections', (broker: number) => (broker <= 5 ? undefined : 0)],
] as const)('a broker that %s makes no topic suspect, and gets everything over a later connection', async ([, answer]) => {
  const broker = await openScriptedBroker({ puback: (topic) => (topic === topics.event ? answer(broker.connections()) : 0) });
  onTestFinished(() => broker.close());
  const outbox = start(broker.url);
  await soon(() => expect(outbox.fates()).toMatchObject({ sent: 40 }));
});
