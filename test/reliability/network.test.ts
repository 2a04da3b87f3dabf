import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { checkConfig } from '../../agent/config/load-config.ts';
import { deliver } from '../../agent/delivery/deliver.ts';
import { type Link, openLink } from '../../agent/delivery/link.ts';
import { mqttPublisher } from '../../agent/delivery/mqtt-publisher.ts';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { freePort, missing, openEmbeddedBroker, openMosquitto } from '../support/broker.ts';
import { openFaultProxy, openScriptedBroker } from '../support/faults.ts';
import { openMessages } from '../support/messages.ts';
import { fixedClock, limits, recordedEvent, silentLogger } from '../support/samples.ts';

const withoutMosquitto = missing('mosquitto');
const protocol = withoutMosquitto ? '3.1.1' : '5';
const clock = fixedClock({ monotonicMs: () => performance.now() });
let outbox: Outbox;
let folder: string;
let stop: AbortController;
let link: Link;
let delivering: Promise<void> | undefined;
let stored = 0;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tocsin-network-'));
  outbox = openSqliteOutbox(join(folder, 'outbox.db'), limits);
  stop = new AbortController();
  link = openLink(() => undefined);
  stored = 0;
});
afterEach(async () => {
  stop.abort();
  await delivering;
  outbox.close();
});
function start(url: string, version: '5' | '3.1.1' = protocol, ackTimeoutSeconds = 1): void {
  const { mqtt } = checkConfig(
    { site: 'a', sensor: 'b', mqtt: { url, allowPlaintext: true, protocol: version, ackTimeoutSeconds, keepaliveSeconds: 5 } },
    'test',
  );
  const options = { site: 'a', sensor: 'b', version: '0', maxInFlight: 16, historicalAfterSeconds: 60, maxAgeMs: 1e13, acknowledgeWithinMs: 0 };
  delivering = deliver(
    options,
    { outbox, openPublisher: mqttPublisher(mqtt, {}, 'tocsin-a-b'), clock, logger: silentLogger, random: Math.random, link },
    stop.signal,
  );
}
function store(count: number): void {
  for (let i = 0; i < count; i++) outbox.append(recordedEvent(stored++));
}
async function until(condition: () => boolean): Promise<void> {
  for (const began = performance.now(); !condition(); await delay(10))
    if (performance.now() - began > 90_000) throw new Error(`waited in vain: ${JSON.stringify(outbox.fates())}`);
}
const range = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i);

/** A broker behind a proxy, and what arrived at the broker. */
async function behindProxy() {
  const port = await freePort();
  const broker = withoutMosquitto ? await openEmbeddedBroker(port) : await openMosquitto(folder, port);
  const proxy = await openFaultProxy(port);
  const seen = await openMessages(broker.url);
  onTestFinished(async () => {
    stop.abort();
    await delivering;
    await proxy.close();
    await seen.close();
    await broker.close();
  });
  const complete = async () => {
    await until(() => outbox.pendingCount() === 0);
    await seen.until(() => new Set(seen.events().map((e) => e.id)).size === stored);
    const first = [...new Map(seen.events().map((e) => [e.id, e.data.sequence])).values()];
    expect(first, 'every event, in order, duplicates only with the same id').toEqual(range(1, stored));
  };
  return { proxy, seen, complete };
}

describe(`a failing network${withoutMosquitto ? ' (embedded broker: mosquitto is not here)' : ''}`, () => {
  test.each(['frozen', 'deaf'] as const)(
    '%s for a while during delivery: no event is lost, the order is kept, and there are few connections',
    async (fault) => {
      const { proxy, seen, complete } = await behindProxy();
      store(20);
      start(proxy.url);
      await until(() => outbox.fates().sent > 0);
      proxy.set(fault);
      store(40);
      await delay(4000);
      // with a time-out of 1 s and growing waits these are three or four, not dozens
      expect(proxy.connections()).toBeLessThanOrEqual(6);
      expect(outbox.pendingCount()).toBeGreaterThan(0);
      proxy.set('none');
      await complete();
      process.stdout.write(`${fault}: ${JSON.stringify({ stored, received: seen.events().length, connections: proxy.connections() })}\n`);
    },
  );

  test('a connection broken 40 times during delivery loses no event and keeps the order', async () => {
    const { proxy, seen, complete } = await behindProxy();
    start(proxy.url);
    for (let i = 0; i < 40; i++) {
      store(25);
      await delay(20 + Math.random() * 80);
      proxy.breakAll();
    }
    await complete();
    process.stdout.write(`restart storm: ${JSON.stringify({ stored, received: seen.events().length, connections: proxy.connections() })}\n`);
    expect(proxy.connections()).toBeLessThanOrEqual(20);
  });

  test('all events arrive over a link of 2 kB/s', async () => {
    const { proxy, seen, complete } = await behindProxy();
    proxy.set('slow');
    store(12);
    start(proxy.url, protocol, 15);
    await complete();
    process.stdout.write(`slow link: ${JSON.stringify({ stored, received: seen.events().length, connections: proxy.connections() })}\n`);
  });

  test.each([
    ['no broker listens', async () => `mqtt://127.0.0.1:${await freePort()}`],
    ['the host name is unknown', async () => 'mqtt://broker.invalid:1883'],
    ['the broker has no TLS', async () => (await behindProxy()).proxy.url.replace('mqtt:', 'mqtts:')],
  ])('events are kept and the courier continues when %s', async (_name, url) => {
    store(5);
    start(await url());
    await delay(1500);
    expect(outbox.pendingCount()).toBe(5);
    expect(await Promise.race([delivering?.then(() => 'ended'), delay(10).then(() => 'running')])).toBe('running');
  });
});

describe('a broker that refuses (scripted, MQTT 5)', () => {
  test.each([128, 131, 135, 144, 145, 151, 153])('an event answered with PUBACK %i is kept, and later events are sent', async (code) => {
    const taken: number[] = [];
    const broker = await openScriptedBroker({
      puback(topic, payload) {
        if (!topic.endsWith('/event')) return 0;
        const { sequence } = JSON.parse(payload).data;
        if (sequence === 3) return code;
        taken.push(sequence);
        return 0;
      },
    });
    onTestFinished(() => broker.close());
    store(60);
    start(broker.url, '5');
    await until(() => outbox.fates().sent === 59);
    expect(link.read()).toMatchObject({ connections: 1, eventsRefused: true });
    expect(outbox.pending(0, 10).map((e) => e.sequence)).toEqual([3]);
    expect(taken).toEqual([1, 2, ...range(4, 60)]);
    expect(broker.connections()).toBe(1);
    stop.abort();
    await delivering;
  });

  // concurrent, since the growing waits would take minutes in sequence; each case has its own outbox and context
  test.concurrent.for([128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 140, 144, 149, 151, 153, 154, 155, 156, 157, 159])(
    'after CONNACK with reason code %d events are kept, and sent once the broker accepts',
    async (code, { onTestFinished }) => {
      const answers = [code, code];
      const broker = await openScriptedBroker({ connack: () => answers.shift() ?? 0, puback: () => 0 });
      const own = openSqliteOutbox(join(mkdtempSync(join(tmpdir(), 'tocsin-connack-')), 'outbox.db'), limits);
      for (let i = 0; i < 5; i++) own.append(recordedEvent(i));
      const { mqtt } = checkConfig({ site: 'a', sensor: 'b', mqtt: { url: broker.url } }, 'test');
      const options = { site: 'a', sensor: 'b', version: '0', maxInFlight: 16, historicalAfterSeconds: 60, maxAgeMs: 1e13, acknowledgeWithinMs: 0 };
      const stopOwn = new AbortController();
      const parts = { outbox: own, openPublisher: mqttPublisher(mqtt, {}, 'tocsin-a-b'), clock, logger: silentLogger, random: () => 0.5 };
      const ended = deliver(options, parts, stopOwn.signal);
      onTestFinished(async () => {
        stopOwn.abort();
        await ended;
        own.close();
        await broker.close();
      });
      for (const began = performance.now(); own.fates().sent < 5; await delay(10)) expect(performance.now() - began).toBeLessThan(30_000);
      expect(broker.connections()).toBe(3);
    },
  );

  test('a broker that always refuses the CONNACK: events are kept, and there are at most 8 attempts in 3 s', async () => {
    const broker = await openScriptedBroker({ connack: () => 135, puback: () => 0 });
    onTestFinished(() => broker.close());
    store(5);
    start(broker.url, '5');
    await delay(3000);
    expect(outbox.pendingCount()).toBe(5);
    expect(broker.connections()).toBeGreaterThan(0);
    expect(broker.connections()).toBeLessThanOrEqual(8);
    stop.abort();
    await delivering;
  });

  test('a broker that answers none of ten messages in flight: the connection times out, and all are sent over the next', async () => {
    let answers = false;
    const broker = await openScriptedBroker({ puback: (topic) => (answers || topic.endsWith('/status') ? 0 : undefined), receiveMaximum: 10 });
    onTestFinished(() => broker.close());
    store(30);
    start(broker.url, '5');
    await until(() => broker.connections() === 2);
    answers = true;
    await until(() => outbox.fates().sent === 30);
    answers = false;
    store(30);
    await delay(300);
    stop.abort();
    await delivering; // ten messages are in flight and six wait
    expect(outbox.fates().sent).toBe(30);
  });

  test('a Receive Maximum of ten is respected, over one connection', async () => {
    const broker = await openScriptedBroker({ puback: () => 0, receiveMaximum: 10 });
    onTestFinished(() => broker.close());
    store(100);
    start(broker.url, '5');
    await until(() => outbox.fates().sent === 100);
    expect(broker.connections()).toBe(1);
    stop.abort();
    await delivering;
  });

  test('an event above the Maximum Packet Size is kept; other events, and one of exactly that size, are sent', async () => {
    const sizes: number[] = [];
    const unlimited = await openScriptedBroker({
      puback(topic, _payload, bytes) {
        if (topic.endsWith('/event')) sizes.push(bytes);
        return 0;
      },
    });
    onTestFinished(() => unlimited.close());
    store(20);
    start(unlimited.url, '5');
    await until(() => outbox.fates().sent === 20);
    stop.abort();
    await delivering;
    const broker = await openScriptedBroker({ puback: () => 0, maximumPacketSize: Math.max(...sizes) });
    onTestFinished(() => broker.close());
    outbox.append(recordedEvent(stored++, { model: { name: 'streets', version: '0.1.0' } })); // one byte more
    store(40);
    stop = new AbortController();
    start(broker.url, '5');
    await until(() => outbox.fates().sent === 60);
    expect(link.read()).toMatchObject({ connections: 2, eventsRefused: true });
    expect(outbox.pending(0, 10).map((e) => e.sequence)).toEqual([21]);
    expect(broker.connections()).toBe(1);
    stop.abort();
    await delivering;
  });

  test('with the status refused, events are still sent', async () => {
    const broker = await openScriptedBroker({ puback: (topic) => (topic.endsWith('/status') ? 135 : 0) });
    onTestFinished(() => broker.close());
    store(5);
    start(broker.url, '5');
    await until(() => outbox.fates().sent === 5);
    stop.abort();
    await delivering;
  });

  test('a gap is reported once, with its numbers', async () => {
    const gaps: unknown[] = [];
    const broker = await openScriptedBroker({
      puback(topic, payload) {
        if (topic.endsWith('/gap')) gaps.push(JSON.parse(payload));
        return 0;
      },
    });
    onTestFinished(() => broker.close());
    store(30);
    expect(outbox.expire({ bootId: 'x', monotonicMs: 0, wallMs: recordedEvent(10).onsetWallMs }, 0)).toBe(10);
    outbox.drop(7);
    start(broker.url, '5');
    await until(() => gaps.length === 2 && outbox.gaps(10).length === 0 && outbox.pendingCount() === 0);
    expect(gaps).toEqual([
      { outbox: outbox.id, first: 1, last: 10, reason: 'too_old' },
      { outbox: outbox.id, first: 31, last: 37, reason: 'dropped' },
    ]);
    stop.abort();
    await delivering;
  });
});
