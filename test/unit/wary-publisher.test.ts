// Which ends of a connection are not blamed on a topic. The connection is a fake that ends and answers as told;
// test/reliability/hang-up.test.ts has real brokers.
import { beforeEach, expect, test } from 'vitest';
import type { Publisher } from '../../agent/delivery/publisher.ts';
import { waryPublisher } from '../../agent/delivery/wary-publisher.ts';
import { BrokerError, LinkError, UnsentError } from '../../agent/lib/errors.ts';
import { fixedClock, silentLogger } from '../support/samples.ts';

const hungUp = new LinkError('connection_lost', 'a broken connection');
const lostOver = (cause: LinkError) => new BrokerError('Expected the broker to hold the connection', 'wait', false, { cause });
let nowMs: number;
let opened: {
  end(why?: LinkError): void;
  answerOne(): Promise<void>;
  answerAll(): Promise<void>;
  failAll(error: Error): Promise<void>;
  unanswered: () => number;
};
let connect: () => Promise<Publisher>;
let told: object[];
beforeEach(() => {
  nowMs = 0;
  told = [];
  const wary = waryPublisher(
    async () => {
      const lost = new AbortController();
      const waiting = new Set<PromiseWithResolvers<void>>();
      const end = (why = hungUp) => {
        lost.abort(lostOver(why));
        for (const { reject } of waiting) reject(lost.signal.reason);
      };
      const answer = async (count: number) => {
        for (const one of [...waiting].slice(0, count)) {
          waiting.delete(one);
          one.resolve();
        }
        await new Promise(setImmediate);
      };
      const failAll = async (error: Error) => {
        for (const one of waiting) {
          waiting.delete(one);
          one.reject(error);
        }
        await new Promise(setImmediate);
      };
      opened = { end, answerOne: () => answer(1), answerAll: () => answer(waiting.size), failAll, unanswered: () => waiting.size };
      const publish = () => {
        if (lost.signal.aborted) return Promise.reject(lost.signal.reason);
        const one = Promise.withResolvers<void>();
        waiting.add(one);
        return one.promise;
      };
      return { lost: lost.signal, publish, close: async () => end() };
    },
    { clock: fixedClock({ monotonicMs: () => nowMs }), logger: { ...silentLogger, error: (fields) => void told.push(fields) } },
  );
  connect = () => wary({ topic: 'status', payload: '' }, new AbortController().signal);
});
const publish = (publisher: Publisher, topic: string) => {
  const sent = publisher.publish(topic, '{}', { retain: false });
  sent.catch(() => undefined);
  return sent;
};
const isRefused = async (topic: string) => {
  const publisher = await connect();
  publish(publisher, topic);
  return opened.unanswered() === 0;
};
const end = async (...topics: string[]) => {
  const publisher = await connect();
  for (const topic of topics) publish(publisher, topic);
  opened.end();
};

test('after four connections that ended over one topic, that topic is refused locally for growing times, and no other', async () => {
  for (let i = 0; i < 4; i++) await end('health');
  expect([await isRefused('health'), await isRefused('event')]).toEqual([true, false]);
  await expect(publish(await connect(), 'health')).rejects.toMatchObject({ refused: true });
  const publisher = await connect();
  for (const topic of ['event', 'summary']) publish(publisher, topic);
  expect(opened.unanswered(), 'nothing is in doubt any more').toBe(2);
  for (const minutes of [1, 2, 4, 8, 10, 10]) {
    nowMs += minutes * 60_000 - 1;
    expect(await isRefused('health')).toBe(true);
    nowMs += 1;
    await end('health');
  }
  expect(told).toEqual([{ topic: 'health' }]);
});

test('ends of a connection without a message are blamed on no topic', async () => {
  for (let i = 0; i < 9; i++) await end();
  expect(told).toEqual([]);
});

test('one answer restarts the count of ends, also after the topic was refused', async () => {
  for (let i = 0; i < 3; i++) await end('health');
  publish(await connect(), 'health');
  await opened.answerAll();
  for (let i = 0; i < 3; i++) await end('health');
  expect(await isRefused('health')).toBe(false);
  await end('health');
  nowMs = 60_000;
  publish(await connect(), 'health');
  await opened.answerAll();
  for (let i = 0; i < 3; i++) await end('health');
  expect(await isRefused('health')).toBe(false);
  await end('health');
  expect(told, 'each time it begins').toHaveLength(2);
});

test.for([
  ['a refusal by the broker counts as an answer', new BrokerError('Expected a PUBACK, got reason code 135', 'check the ACL', true), false],
  ['a message that the sensor refuses does not count as an answer', new UnsentError('Expected a smaller message', 'raise the limit'), true],
] as const)('%s', async ([, error, refused]) => {
  for (let i = 0; i < 3; i++) await end('health');
  publish(await connect(), 'health');
  await opened.failAll(error);
  await end('health');
  expect(await isRefused('health')).toBe(refused);
});

test('ends after an answered message on the topic, or by the courier itself, are not blamed on the topic', async () => {
  for (let i = 0; i < 9; i++) {
    const publisher = await connect();
    publish(publisher, 'event');
    await opened.answerAll();
    publish(publisher, 'event');
    opened.end();
  }
  expect(await isRefused('event')).toBe(false);
  for (let i = 0; i < 9; i++) {
    const publisher = await connect();
    publish(publisher, 'event');
    await publisher.close(false);
  }
  expect(await isRefused('event')).toBe(false);
});

test('an end over two topics counts for neither; an end over a later message of an answered topic counts for that topic', async () => {
  await end('health', 'event');
  for (let i = 0; i < 3; i++) await end('health');
  expect(await isRefused('health')).toBe(false);
  const publisher = await connect();
  publish(publisher, 'health');
  await opened.answerAll(); // no topic is suspected any more
  for (let i = 0; i < 2; i++) publish(publisher, 'privacy');
  await opened.answerOne();
  opened.end();
  for (let i = 0; i < 3; i++) await end('privacy');
  expect([await isRefused('privacy'), await isRefused('health')]).toEqual([true, false]);
});

test('ends by the client itself after a missing answer are not blamed on a topic', async () => {
  for (let i = 0; i < 9; i++) {
    publish(await connect(), 'event');
    opened.end(new LinkError('no_answer', 'no PINGRESP in time'));
  }
  expect(await isRefused('event')).toBe(false);
});

test.each([
  [139, false], // keep alive timeout
  [152, false], // administrative action
  [153, true], // payload format invalid
])('a DISCONNECT with reason code %i is blamed on the topic: %s', async (reasonCode, isOver) => {
  for (let i = 0; i < 4; i++) {
    publish(await connect(), 'event');
    opened.end(new LinkError('connection_lost', 'DISCONNECT', reasonCode));
  }
  expect(await isRefused('event')).toBe(isOver);
});

test('after an end over several topics, one topic at a time is sent until each was answered; the rest fails with the connection', async () => {
  await end('health', 'event');
  const publisher = await connect();
  const sent = ['health', 'health', 'event', 'health'].map((topic) => publish(publisher, topic));
  expect(opened.unanswered()).toBe(2);
  await opened.answerAll();
  expect(opened.unanswered()).toBe(1);
  opened.end();
  sent.push(publish(publisher, 'event')); // too late
  expect((await Promise.allSettled(sent)).map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected', 'rejected', 'rejected']);
  const next = await connect();
  publish(next, 'event');
  await opened.answerAll();
  for (const topic of ['health', 'event', 'gap']) publish(next, topic);
  expect(opened.unanswered()).toBe(3);
});
