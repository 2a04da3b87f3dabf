import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { checkConfig } from '../../agent/config/load-config.ts';
import { deliver } from '../../agent/delivery/deliver.ts';
import { mqttPublisher } from '../../agent/delivery/mqtt-publisher.ts';
import type { OpenPublisher } from '../../agent/delivery/publisher.ts';
import { BrokerError, OutboxError } from '../../agent/lib/errors.ts';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { freePort, missing, openEmbeddedBroker, openMosquitto } from '../support/broker.ts';
import { openMessages } from '../support/messages.ts';
import { validatorOf } from '../support/published-schema.ts';
import { fixedClock, limits, recordedEvent, silentLogger } from '../support/samples.ts';

const clock = fixedClock({ monotonicMs: () => performance.now() });
let folder: string;
let outbox: Outbox;
let stop: AbortController;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tocsin-delivery-'));
  outbox = openSqliteOutbox(join(folder, 'outbox.db'), limits);
  stop = new AbortController();
});
afterEach(() => outbox.close());

const validEvent = validatorOf('event');
const validStatus = validatorOf('status');

function publisherTo(url: string, protocol: '5' | '3.1.1'): OpenPublisher {
  const { mqtt } = checkConfig({ site: 'a', sensor: 'b', mqtt: { url, protocol, ackTimeoutSeconds: 5, requireSubscriber: false } }, 'test');
  return mqttPublisher(mqtt, {}, 'tocsin-a-b');
}
function start(openPublisher: OpenPublisher, random = () => 0): Promise<void> {
  const options = { site: 'a', sensor: 'b', version: '0', maxInFlight: 16, historicalAfterSeconds: 60, maxAgeMs: 1e12, acknowledgeWithinMs: 0 };
  return deliver(options, { outbox, openPublisher, clock, logger: silentLogger, random }, stop.signal);
}
function store(count: number, from = 0): void {
  for (let i = from; i < from + count; i++) outbox.append(recordedEvent(i));
}
/** Resolves once the condition holds; it is checked on every turn of a short timer. */
async function outboxIs(condition: () => boolean): Promise<void> {
  for (const began = performance.now(); !condition(); await new Promise((r) => setTimeout(r, 20)))
    if (performance.now() - began > 60_000) throw new Error(`outbox: ${JSON.stringify(outbox.fates())}`);
}

/** What the broker tells whoever subscribes now. */
async function retained(url: string): Promise<string | undefined> {
  const late = await openMessages(url);
  await late.until(() => late.messages.length > 0);
  await late.close();
  return late.messages[0]?.text;
}

// Every available broker. The embedded broker has no MQTT 5; tests for MQTT 5 only are below, with mosquitto.
const withoutMosquitto = missing('mosquitto');
const brokers: [string, '5' | '3.1.1', (port: number) => Promise<{ url: string; close(): Promise<void> }>, string | undefined][] = [
  ['embedded broker', '3.1.1', (port) => openEmbeddedBroker(port), undefined],
  ['mosquitto', '5', (port) => openMosquitto(folder, port), withoutMosquitto],
];

for (const [name, protocol, open, reason] of brokers)
  describe.skipIf(reason)(`${name}${reason ? ` (left out: ${reason})` : ''}`, () => {
    test('the courier sends its birth, all events once and in order, and its farewell; every message matches its schema', async () => {
      const broker = await open(await freePort());
      const seen = await openMessages(broker.url);
      store(50);
      const delivering = start(publisherTo(broker.url, protocol));
      await outboxIs(() => outbox.fates().sent === 50);
      expect(await retained(broker.url)).toContain('"online"');
      stop.abort();
      await delivering;
      expect(await retained(broker.url)).toContain('"offline"');
      await seen.until(() => seen.messages.length === 52);
      expect(seen.events().map((e) => e.data.sequence)).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
      for (const event of seen.events()) expect(validEvent(event), JSON.stringify(validEvent.errors)).toBe(true);
      const states = seen.messages.filter((m) => m.topic === 'tocsin/v1/a/b/status').map((m) => JSON.parse(m.text));
      for (const state of states) expect(validStatus(state)).toBe(true);
      expect(states.map((s) => [s.state, s.pending])).toEqual([
        ['online', 50],
        ['offline', undefined],
      ]);
      expect(seen.messages[0]?.topic).toBe('tocsin/v1/a/b/status');
      expect(new Set(seen.messages.map(({ qos }) => qos))).toEqual(new Set([1]));
      await seen.close();
      await broker.close();
    });

    test('when the outbox fails, the courier closes its connection before it waits, and the broker publishes `offline`', async () => {
      const broker = await open(await freePort());
      const seen = await openMessages(broker.url);
      const states = () => seen.messages.filter((m) => m.topic === 'tocsin/v1/a/b/status').map((m) => JSON.parse(m.text).state);
      vi.spyOn(outbox, 'gaps').mockImplementationOnce(() => {
        throw new OutboxError('Expected to read the outbox, got: disk I/O error', 'check the disk');
      });
      const steps: string[] = [];
      const openPublisher: OpenPublisher = async (...args) => {
        const publisher = await publisherTo(broker.url, protocol)(...args);
        const close = async (farewell: boolean) => {
          await publisher.close(farewell);
          steps.push('closed');
        };
        return { ...publisher, close };
      };
      const delivering = start(openPublisher, () => {
        steps.push('waits');
        return 0;
      });
      await seen.until(() => states().length >= 3);
      stop.abort();
      await delivering;
      await seen.until(() => states().length >= 4);
      expect(states()).toEqual(['online', 'offline', 'online', 'offline']);
      expect(steps).toEqual(['closed', 'waits', 'closed']);
      expect(new Set(seen.messages.map(({ qos }) => qos)), 'the will too').toEqual(new Set([1]));
      await seen.close();
      await broker.close();
    });

    test('a broker that starts late, stops and comes back costs no event and does not change their order', async () => {
      const port = await freePort();
      store(5);
      const delivering = start(publisherTo(`mqtt://127.0.0.1:${port}`, protocol));
      const first = await open(port);
      await outboxIs(() => outbox.fates().sent === 5);
      await first.close();
      store(5, 5);
      const second = await open(port);
      const seen = await openMessages(second.url);
      store(5, 10);
      await outboxIs(() => outbox.fates().sent === 15);
      await seen.until(() => seen.events().some((e) => e.data.sequence === 15));
      const sequences = seen.events().map((e) => e.data.sequence as number);
      expect(sequences).toEqual(sequences.toSorted((a, b) => a - b));
      stop.abort();
      await delivering;
      await seen.close();
      await second.close();
    });
  });

describe.skipIf(withoutMosquitto)(`mosquitto with access control${withoutMosquitto ? ` (left out: ${withoutMosquitto})` : ''}`, () => {
  test('an event refused by the broker (reason 135) is kept, and sent once the broker allows it', async () => {
    const port = await freePort();
    const refusing = await openMosquitto(folder, port, 'topic write tocsin/v1/a/b/status\n');
    store(3);
    const delivering = start(publisherTo(refusing.url, '5'));
    const seen = await openMessages(refusing.url);
    const opened = publisherTo(refusing.url, '5');
    const direct = await opened({ topic: 'tocsin/v1/a/b/status', payload: '{}' }, stop.signal);
    const refusal = await direct.publish('tocsin/v1/a/b/event', '{}', { retain: false }).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(BrokerError);
    expect(refusal).toMatchObject({ refused: true, message: expect.stringContaining('135') });
    await direct.close(true);
    await seen.close();
    expect(outbox.fates().sent).toBe(0);
    expect(outbox.pendingCount()).toBe(3);
    await refusing.close();
    const allowing = await openMosquitto(folder, port);
    await outboxIs(() => outbox.fates().sent === 3);
    stop.abort();
    await delivering;
    await allowing.close();
  });

  test('the broker publishes the will when the courier is killed', async () => {
    const broker = await openMosquitto(folder, await freePort());
    const seen = await openMessages(broker.url);
    const { spawn } = await import('node:child_process');
    const script = `import { checkConfig } from './agent/config/load-config.ts'; import { mqttPublisher } from './agent/delivery/mqtt-publisher.ts';
      const { mqtt } = checkConfig({ site: 'a', sensor: 'b', mqtt: { url: '${broker.url}' } }, 'x');
      const p = await mqttPublisher(mqtt, {}, 'c')({ topic: 'tocsin/v1/a/b/status', payload: 'gone' }, new AbortController().signal);
      await p.publish('tocsin/v1/a/b/status', 'here', { retain: true });`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
    await seen.until(() => seen.messages.some((m) => m.text === 'here'));
    child.kill('SIGKILL');
    await seen.until(() => seen.messages.some((m) => m.text === 'gone'));
    expect(await retained(broker.url)).toBe('gone');
    await seen.close();
    await broker.close();
  });
});

// A fake publisher: it shows the order of calls, not the behaviour of a network.
describe('the courier with a scripted publisher', () => {
  test('keeps at most 16 events in flight, and resends from the oldest unacknowledged event after a failure', async () => {
    store(40);
    const calls: number[][] = [];
    let most = 0;
    let connection = 0;
    const openPublisher: OpenPublisher = async () => {
      const mine: number[] = [];
      calls.push(mine);
      const number = connection++;
      let flying = 0;
      return {
        lost: new AbortController().signal,
        close: async () => undefined,
        async publish(topic, payload) {
          if (topic.endsWith('/status')) return;
          const { sequence } = JSON.parse(payload).data;
          mine.push(sequence);
          most = Math.max(most, ++flying);
          await new Promise((resolve) => setImmediate(resolve));
          flying--;
          if (number === 0 && sequence >= 10) throw new BrokerError('lost', '', false);
        },
      };
    };
    const delivering = start(openPublisher);
    await outboxIs(() => outbox.fates().sent === 40);
    stop.abort();
    await delivering;
    expect(most).toBeLessThanOrEqual(16);
    expect(most).toBeGreaterThan(1);
    expect(calls[1]?.[0]).toBe(10);
    expect(calls[1]).toEqual(Array.from({ length: 31 }, (_, i) => i + 10));
  });

  test.each([true, false])('a stop ends the connection so that the broker discards the will only if it has taken the farewell: %s', async (isTaken) => {
    const farewells: boolean[] = [];
    const publish = async (_topic: string, payload: string) => {
      if (!isTaken && payload.includes('"offline"')) throw new BrokerError('Expected a PUBACK, got reason code 135', 'check the ACL', true);
    };
    store(1);
    const delivering = start(async () => ({ lost: new AbortController().signal, publish, close: async (farewell) => void farewells.push(farewell) }));
    await outboxIs(() => outbox.fates().sent === 1);
    stop.abort();
    await delivering;
    expect(farewells).toEqual([isTaken]);
  });
});
