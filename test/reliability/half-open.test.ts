// A half-open link: the connection stands and nothing comes over it. Shows who ends it, and how that is reported.
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { checkConfig } from '../../agent/config/load-config.ts';
import type { Config } from '../../agent/config/schema.ts';
import { deliver } from '../../agent/delivery/deliver.ts';
import { openLink } from '../../agent/delivery/link.ts';
import { linkFaultOf } from '../../agent/delivery/link-fault.ts';
import { openMqttProbe } from '../../agent/delivery/mqtt-probe.ts';
import { mqttPublisher } from '../../agent/delivery/mqtt-publisher.ts';
import { BrokerError } from '../../agent/lib/errors.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { soon } from '../support/courier.ts';
import { openFaultProxy, openScriptedBroker } from '../support/faults.ts';
import { fixedClock, limits, recordedEvent, silentLogger } from '../support/samples.ts';

async function behindProxy(timing: { ackTimeoutSeconds: number; keepaliveSeconds: number }) {
  const broker = await openScriptedBroker({ puback: () => 0 }); // it never ends a connection for a missed keep-alive
  const proxy = await openFaultProxy(Number(new URL(broker.url).port));
  onTestFinished(async () => {
    await proxy.close();
    await broker.close();
  });
  const { mqtt } = checkConfig({ site: 'a', sensor: 'b', mqtt: { url: proxy.url, allowPlaintext: true } }, 'test');
  return { proxy, mqtt: { ...mqtt, ...timing } }; // a keep-alive of 1 s; the lowest value that can be configured takes 7.5 s
}
const will = { topic: 'tocsin/v1/a/b/status', payload: '{}' };

test('without a PINGRESP the client ends the connection, the fault is `no_answer`, and no topic is blamed', async () => {
  const { proxy, mqtt } = await behindProxy({ ackTimeoutSeconds: 60, keepaliveSeconds: 1 });
  const publisher = await mqttPublisher(mqtt, {}, 'tocsin-a-b')(will, new AbortController().signal);
  proxy.set('frozen');
  const failure = await publisher.publish('tocsin/v1/a/b/event', '{}', { retain: false }).catch((error: unknown) => error);
  expect([failure, publisher.lost.reason].map(linkFaultOf)).toEqual(['no_answer', 'no_answer']); // `connection_lost` would make a topic suspect
  expect(failure).toMatchObject({ refused: false, message: 'Expected a PUBACK for tocsin/v1/a/b/event, got no PINGRESP in time' });
  const next = publisher.publish('tocsin/v1/a/b/event', '{}', { retain: false });
  await expect(next, 'no message counts as refused over a connection that has ended').rejects.toMatchObject({ refused: false });
  await publisher.close(false);
});

test.each([
  ['no PUBACK', { ackTimeoutSeconds: 1, keepaliveSeconds: 60 }, 'frozen', 'no_answer'],
  ['no PINGRESP', { ackTimeoutSeconds: 60, keepaliveSeconds: 1 }, 'frozen', 'no_answer'],
  ['the connection closed', { ackTimeoutSeconds: 60, keepaliveSeconds: 60 }, 'deaf', 'connection_lost'],
] as const)('the fault that the courier reports after: %s', async (_what, timing, fault, told) => {
  const { proxy, mqtt } = await behindProxy(timing);
  const outbox = openSqliteOutbox(join(mkdtempSync(join(tmpdir(), 'tocsin-half-open-')), 'outbox.db'), limits);
  const said: string[] = [];
  const link = openLink((words) => said.push(words));
  const clock = fixedClock({ monotonicMs: () => performance.now() });
  const options = { site: 'a', sensor: 'b', version: '0', maxInFlight: 16, historicalAfterSeconds: 60, maxAgeMs: 1e13, acknowledgeWithinMs: 0 };
  const parts = { outbox, openPublisher: mqttPublisher(mqtt, {}, 'tocsin-a-b'), clock, logger: silentLogger, random: () => 0.5, link };
  const stop = new AbortController();
  const delivering = deliver(options, parts, stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await delivering;
    outbox.close();
  });
  outbox.append(recordedEvent(0));
  await soon(() => expect(outbox.fates()).toMatchObject({ sent: 1 }));
  proxy.set(fault);
  outbox.append(recordedEvent(1));
  if (fault === 'deaf') {
    await soon(() => expect(proxy.connections()).toBe(1));
    proxy.breakAll();
  }
  await soon(() => expect(said).toContain(`broker: ${told}`));
  proxy.set('none');
  await soon(() => expect(outbox.fates()).toMatchObject({ sent: 2 }));
});

test.each([
  ['courier', (mqtt: Config['mqtt']) => mqttPublisher(mqtt, {}, 'tocsin-a-b')(will, new AbortController().signal)],
  ['probe', (mqtt: Config['mqtt']) => openMqttProbe(mqtt, {}, 'tocsin-a-b', 1000)],
])('a broker that accepts the connection of a %s and sends nothing counts as unreachable once its time is over', async (_who, open) => {
  const { proxy, mqtt } = await behindProxy({ ackTimeoutSeconds: 1, keepaliveSeconds: 60 });
  proxy.set('frozen');
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const failure = open(mqtt).catch((error: unknown) => error);
  await soon(() => expect(proxy.connections()).toBe(1));
  vi.advanceTimersByTime(1000);
  expect(await failure).toBeInstanceOf(BrokerError);
  expect(linkFaultOf(await failure)).toBe('unreachable');
});

test('a stop while a broker does not answer closes the connection', async () => {
  const silent = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void silent.close());
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const { mqtt } = checkConfig({ site: 'a', sensor: 'b', mqtt: { url: `mqtt://127.0.0.1:${port}` } }, 'test');
  const stop = new AbortController();
  const failure = mqttPublisher({ ...mqtt, ackTimeoutSeconds: 3600 }, {}, 'tocsin-a-b')(will, stop.signal).catch((error: unknown) => error);
  const [socket] = (await once(silent, 'connection')) as [Socket];
  socket.resume();
  stop.abort();
  expect(await failure).toBeInstanceOf(BrokerError);
  await once(socket, 'close');
});
