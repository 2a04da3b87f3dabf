// Messages that a broker accepts without a subscriber (PUBACK 16, MQTT 5): it discards them, so they are not
// delivered. The clock is simulated.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, connectAsync } from 'mqtt';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { checkConfig } from '../../agent/config/load-config.ts';
import { deliver } from '../../agent/delivery/deliver.ts';
import { type Link, openLink } from '../../agent/delivery/link.ts';
import { mqttPublisher } from '../../agent/delivery/mqtt-publisher.ts';
import { openSummaries } from '../../agent/delivery/summaries.ts';
import { topicsOf } from '../../agent/delivery/topics.ts';
import type { Logger } from '../../agent/lib/logger.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { freePort, missing, openMosquitto } from '../support/broker.ts';
import { soon } from '../support/courier.ts';
import { openScriptedBroker } from '../support/faults.ts';
import { openMessages } from '../support/messages.ts';
import { fixedClock, hourSummary, limits, recordedEvent } from '../support/samples.ts';

const minuteMs = 60_000;
const topics = topicsOf('a', 'b');
let aheadMs: number;
let turns: number;
let link: Link;
let journal: { message: string; reason?: string; hint?: string }[];
beforeEach(() => {
  aheadMs = 0;
  turns = 0;
  journal = [];
  link = openLink(() => undefined);
});
const clock = fixedClock({ monotonicMs: () => performance.now() + aheadMs });
const nobody = (line: { message: string; reason?: string }) => /nobody subscribes/.test(line.message + line.reason);

/** Starts a courier with some events, a gap and a summary to report. */
function start(url: string, mqtt: object = {}, count = 5) {
  const outbox = openSqliteOutbox(join(mkdtempSync(join(tmpdir(), 'tocsin-unheard-')), 'outbox.db'), limits);
  for (let i = 0; i < count; i++) outbox.append(recordedEvent(i));
  outbox.writeSummary(hourSummary());
  outbox.drop(2);
  const config = checkConfig({ site: 'a', sensor: 'b', mqtt: { url, allowPlaintext: true, ...mqtt } }, 'test');
  const tell = (fields: object, message: string) => void journal.push({ ...fields, message });
  const logger: Logger = { debug: () => undefined, info: () => undefined, warn: tell, error: tell };
  const reports = [openSummaries(topics.summary, { outbox, clock, logger })];
  const options = { site: 'a', sensor: 'b', version: '0', maxInFlight: 16, historicalAfterSeconds: 60, maxAgeMs: 1e13, acknowledgeWithinMs: 0 };
  const openPublisher = mqttPublisher(config.mqtt, {}, 'tocsin-a-b');
  const stop = new AbortController();
  const progress = () => void turns++;
  const delivering = deliver(options, { outbox, openPublisher, clock, logger, random: () => 0.5, reports, link, progress }, stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await delivering;
    outbox.close();
  });
  return outbox;
}
const left = (outbox: ReturnType<typeof start>) => [outbox.pendingCount(), outbox.gaps(9).length, outbox.summaries(9).length];

/** Advances time so that refused messages are tried again. */
async function pass(minutes: number): Promise<void> {
  for (let i = 0; i < minutes; i++) {
    aheadMs += minuteMs;
    const from = turns;
    await soon(() => expect(turns).toBeGreaterThan(from + 4));
  }
}

describe('a broker that reports no subscriber (scripted)', () => {
  test('events, gaps and summaries are kept, logged once, reported in health and rarely retried; all arrive in the end', async () => {
    let heard = false;
    const came: string[] = [];
    const broker = await openScriptedBroker({
      puback(topic) {
        came.push(topic);
        return heard ? 0 : 16;
      },
    });
    onTestFinished(() => broker.close());
    const of = (topic: string) => came.filter((one) => one === topic).length;
    const outbox = start(broker.url, {}, 60);
    await soon(() => expect([of(topics.event) > 15, of(topics.gap), of(topics.summary)]).toEqual([true, 1, 1]));
    await pass(30);
    expect(left(outbox)).toEqual([60, 1, 1]);
    expect([of(topics.status), broker.connections()]).toEqual([1, 1]);
    expect(of(topics.event)).toBeGreaterThan(17);
    expect(of(topics.event)).toBeLessThan(39); // up to 15 more leave while the first 16 are refused one by one; then 7 tries
    expect(of(topics.gap)).toBeLessThan(35);
    expect(of(topics.summary)).toBeLessThan(6);
    expect(link.read()).toMatchObject({ eventsRefused: true, eventRefusal: 'no_subscriber' });
    expect(journal.filter(({ message }) => message.includes('events at the broker'))).toMatchObject([{ hint: expect.stringContaining('persistent session') }]);
    expect(journal.filter(nobody)).toHaveLength(3); // one each for an event, the gap and the summary
    heard = true;
    await pass(15);
    await soon(() => expect(left(outbox)).toEqual([0, 0, 0]));
    expect(outbox.fates()).toMatchObject({ sent: 60 });
    expect(link.read()).toMatchObject({ eventsRefused: false, eventRefusal: 'none' });
  });

  test('once a new event has a subscriber, the earlier events follow at once', async () => {
    let heard = false;
    const broker = await openScriptedBroker({ puback: () => (heard ? 0 : 16) });
    onTestFinished(() => broker.close());
    const outbox = start(broker.url);
    await pass(30); // until retries are as rare as possible
    heard = true;
    outbox.append(recordedEvent(5));
    await soon(() => expect(outbox.fates()).toMatchObject({ sent: 6 }));
    expect(link.read()).toMatchObject({ eventsRefused: false });
  });

  test('a refusal by access control after that is logged and reported as such', async () => {
    let code = 16;
    const broker = await openScriptedBroker({ puback: (topic) => (topic === topics.event ? code : 0) });
    onTestFinished(() => broker.close());
    start(broker.url, {}, 1);
    await soon(() => expect(link.read().eventRefusal).toBe('no_subscriber'));
    code = 135;
    await pass(2);
    await soon(() => expect(link.read().eventRefusal).toBe('refused'));
    expect(journal.map(({ message }) => message)).toEqual([
      'nobody subscribes to this sensor’s events at the broker; they are kept and tried again',
      'the broker refuses events; they are kept and tried again',
    ]);
  });
});

const without = missing('mosquitto');
describe.skipIf(without)(`mosquitto${without ? ` (left out: ${without})` : ''}`, () => {
  async function mosquitto() {
    const broker = await openMosquitto(mkdtempSync(join(tmpdir(), 'tocsin-unheard-')), await freePort());
    onTestFinished(() => broker.close());
    return broker;
  }

  test('without a subscriber all messages are kept, and a later subscriber receives them', async () => {
    const broker = await mosquitto();
    const outbox = start(broker.url);
    await soon(() => expect(link.read().eventRefusal).toBe('no_subscriber'));
    await soon(() => expect(journal.filter(nobody)).toHaveLength(3));
    expect([left(outbox), outbox.fates().sent]).toEqual([[5, 1, 1], 0]);
    const seen = await openMessages(broker.url);
    onTestFinished(() => seen.close());
    await pass(15);
    await soon(() => expect(left(outbox)).toEqual([0, 0, 0]));
    await seen.until(() => seen.events().length === 5 && ['/gap', '/summary'].every((name) => seen.messages.some(({ topic }) => topic.endsWith(name))));
  });

  test('with a disconnected persistent session, all messages are delivered at once and reach the platform when it returns', async () => {
    const broker = await mosquitto();
    const session = { clientId: 'platform', clean: false, protocolVersion: 5, properties: { sessionExpiryInterval: 3600 }, reconnectPeriod: 0 } as const;
    const before = await connectAsync(broker.url, session);
    await before.subscribeAsync('tocsin/v1/#', { qos: 1 });
    await before.endAsync();
    const outbox = start(broker.url);
    await soon(() => expect(left(outbox)).toEqual([0, 0, 0]));
    expect(journal).toEqual([]);
    const came: string[] = [];
    const back = connect(broker.url, session);
    back.on('message', (topic) => void came.push(topic));
    onTestFinished(() => void back.end(true));
    await soon(() => expect(came.filter((topic) => topic === topics.event)).toHaveLength(5));
  });

  test.each([
    ['mqtt.requireSubscriber: false', { requireSubscriber: false }],
    ['MQTT 3.1.1, which has no reason codes', { protocol: '3.1.1' }],
  ])('with %s, acknowledged messages count as delivered', async (_what, mqtt) => {
    const broker = await mosquitto();
    const outbox = start(broker.url, mqtt);
    await soon(() => expect(left(outbox)).toEqual([0, 0, 0]));
    expect([link.read().eventsRefused, journal]).toEqual([false, []]);
  });
});
