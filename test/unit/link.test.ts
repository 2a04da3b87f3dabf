import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { deliver } from '../../agent/delivery/deliver.ts';
import { openLink, readLinkWords } from '../../agent/delivery/link.ts';
import { linkFaultOf } from '../../agent/delivery/link-fault.ts';
import { lackOf } from '../../agent/delivery/mqtt-answers.ts';
import { UnderWay } from '../../agent/delivery/under-way.ts';
import { BrokerError } from '../../agent/lib/errors.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { soon, startCourier } from '../support/courier.ts';
import { fixedClock, limits, recordedEvent, silentLogger } from '../support/samples.ts';

test('the courier tells systemd each change of its link once, in words that can be read back', () => {
  const told: string[] = [];
  const link = openLink((words) => told.push(words));
  expect(link.read()).toEqual({ connections: 0, lastFault: 'none', eventsRefused: false, eventRefusal: 'none' });
  link.failed('login_refused');
  link.failed('login_refused');
  link.connected();
  expect(told).toHaveLength(3);
  link.refusing('none');
  link.refusing('refused');
  link.refusing('no_subscriber');
  link.failed('connection_lost');
  expect(told.map(readLinkWords)).toEqual([
    { state: 'connecting', refusal: 'none' },
    { state: 'login_refused', refusal: 'none' },
    { state: 'connected', refusal: 'none' },
    { state: 'connected', refusal: 'refused' },
    { state: 'connected', refusal: 'no_subscriber' },
    { state: 'connection_lost', refusal: 'none' },
  ]);
  expect(['', 'broker:', 'broker: well', 'broker: connected, all refused'].map(readLinkWords)).toEqual([undefined, undefined, undefined, undefined]);
});

test('an interface that is down or has no address, and a resolver that fails, make the broker unreachable', () => {
  const codes = ['ECONNREFUSED', 'ENETUNREACH', 'EHOSTUNREACH', 'ENETDOWN', 'EHOSTDOWN', 'EADDRNOTAVAIL', 'EAI_AGAIN', 'EAI_FAIL', 'EAI_NODATA', 'ENOTFOUND'];
  const faultOf = (code: string) => linkFaultOf(new BrokerError('no connection', 'wait', false, { cause: Object.assign(new Error('connect'), { code }) }));
  expect(codes.filter((code) => faultOf(code) !== 'unreachable')).toEqual([]);
  expect(['EMFILE', 'EPERM', 'ENOBUFS'].map(faultOf), 'refused on this machine').toEqual(['other', 'other', 'other']);
});

// The publisher is a fake. That a broker answers with a reason code, and how it is handled, is shown with mosquitto
// in tls.test.ts.
test('a refused event is tried again on the same connection, and the link status reports the end of the refusal', async () => {
  const outbox = openSqliteOutbox(join(mkdtempSync(join(tmpdir(), 'tocsin-link-')), 'outbox.db'), limits);
  outbox.append(recordedEvent(0));
  const stop = new AbortController();
  const told: string[] = [];
  const tries: number[] = [];
  let aheadMs = 0;
  const clock = fixedClock({ monotonicMs: () => performance.now() + aheadMs });
  const publish = async (topic: string) => {
    if (!topic.endsWith('/event')) return;
    tries.push(clock.monotonicMs());
    if (tries.length > 1) return;
    setTimeout(() => {
      aheadMs = 100_000; // later than any second attempt
    });
    throw new BrokerError('Expected a PUBACK, got reason code 135', 'check the ACL', true);
  };
  const openPublisher = async () => ({ lost: new AbortController().signal, publish, close: async () => undefined });
  const link = openLink((words) => void told.push(words));
  const progress = () => void (outbox.fates().sent === 1 && stop.abort());
  const options = { site: 'a', sensor: 'b', version: '0', maxInFlight: 16, historicalAfterSeconds: 60, maxAgeMs: 1e13, acknowledgeWithinMs: 0 };
  await deliver(options, { outbox, openPublisher, clock, logger: silentLogger, random: () => 0, link, progress }, stop.signal);
  expect(told).toEqual(['broker: connecting', 'broker: connected', 'broker: connected, events refused', 'broker: connected']);
  expect(tries).toHaveLength(2);
  expect(outbox.fates()).toMatchObject({ sent: 1 });
  outbox.close();
});

test('an event that the broker takes does not end the refusal of another', async () => {
  const outbox = openSqliteOutbox(join(mkdtempSync(join(tmpdir(), 'tocsin-link-')), 'outbox.db'), limits);
  outbox.append(recordedEvent(0));
  const link = openLink(() => undefined);
  const seen = startCourier(outbox, fixedClock(), {
    link,
    before({ message }) {
      if (message.data?.sequence === 1) throw new BrokerError('Expected a PUBACK, got reason code 135', 'check the ACL', true);
    },
  });
  await soon(() => expect(link.read().eventRefusal).toBe('refused'));
  outbox.append(recordedEvent(1));
  await soon(() => expect(seen.ids()).toEqual([`${outbox.id}-2`]));
  await soon(() => expect(outbox.fates().sent).toBe(1));
  expect(link.read().eventRefusal).toBe('refused');
});

test('once all refused events have expired, none is reported as refused', async () => {
  const outbox = openSqliteOutbox(join(mkdtempSync(join(tmpdir(), 'tocsin-link-')), 'outbox.db'), limits);
  outbox.append(recordedEvent(0));
  const link = openLink(() => undefined);
  let nowMs = 1000;
  startCourier(outbox, fixedClock({ monotonicMs: () => nowMs }), {
    link,
    maxAgeMs: 100_000,
    before({ topic }) {
      if (topic.endsWith('/event')) throw new BrokerError('Expected a PUBACK, got reason code 135', 'check the ACL', true);
    },
  });
  await soon(() => expect(link.read().eventRefusal).toBe('refused'));
  nowMs = 200_000;
  await soon(() => expect(link.read().eventRefusal).toBe('none'));
  expect(outbox.fates()).toMatchObject({ sent: 0, expired: 1 });
});

// systemd ends a courier that counts as stuck
test('a connection without a publish is never stuck; one with a publish that does not settle is after 90 s', async () => {
  let nowMs = 0;
  const underWay = new UnderWay(fixedClock({ monotonicMs: () => nowMs }));
  nowMs = 3_600_000;
  expect(underWay.isStuck).toBe(false);
  let settle = () => {};
  underWay.add(new Promise<void>((resolve) => (settle = resolve)));
  nowMs += 89_999;
  expect(underWay.isStuck).toBe(false);
  nowMs++;
  expect(underWay.isStuck).toBe(true);
  settle();
  await underWay.settled();
  nowMs += 3_600_000;
  expect(underWay.isStuck).toBe(false);
});

test('a broker lacks only what it says to lack: a client of MQTT 3.1.1 is told nothing, and 2048 bytes are enough', () => {
  for (const takes of [undefined, {}, { maximumQoS: 1, retainAvailable: true, maximumPacketSize: 2048 }]) expect(lackOf(takes)).toBeUndefined();
  expect([{ maximumQoS: 0 }, { retainAvailable: false }, { maximumPacketSize: 2047 }].map(lackOf)).toEqual(['qos', 'retained', 'size']);
});
