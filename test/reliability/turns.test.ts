// Turns of messages and the end of a connection. The broker is scripted: no real one withholds or delays an answer on demand.
import { expect, onTestFinished, test } from 'vitest';
import { checkConfig } from '../../agent/config/load-config.ts';
import { mqttPublisher } from '../../agent/delivery/mqtt-publisher.ts';
import { openScriptedBroker } from '../support/faults.ts';

const topic = 'tocsin/v1/a/b/event';

/** A publisher that waits two seconds for an answer. */
async function connect(answer: Parameters<typeof openScriptedBroker>[0]) {
  const broker = await openScriptedBroker(answer);
  onTestFinished(() => broker.close());
  const { mqtt } = checkConfig({ site: 'a', sensor: 'b', mqtt: { url: broker.url } }, 'test');
  mqtt.ackTimeoutSeconds = 2;
  const stop = new AbortController();
  const publisher = await mqttPublisher(mqtt, {}, 'tocsin_a_b')({ topic, payload: '{}' }, stop.signal);
  onTestFinished(() => publisher.close(false));
  return { broker, publisher, stop };
}

test('a message that is never answered keeps its turn; once no turn is left, the connection counts as lost, and what waits fails with it', async () => {
  const { publisher } = await connect({ puback: (_topic, payload) => (payload === 'unanswered' ? undefined : 0), receiveMaximum: 2 });
  const publish = (payload: string) => publisher.publish(topic, payload, { retain: true });
  await expect(publish('unanswered')).rejects.toThrow('none in 2 s');
  await publish('answered'); // in the turn that is left
  expect(publisher.lost.aborted).toBe(false);
  const last = expect(publish('unanswered')).rejects.toThrow('none in 2 s');
  await expect(publish('waits for a turn')).rejects.toThrow('no PUBACK in 2 s');
  await last;
  expect(publisher.lost.reason).toMatchObject({ cause: { fault: 'no_answer' } });
  await expect(publish('answered')).rejects.toThrow('Expected the broker to hold the connection, got: no PUBACK in 2 s');
});

test('what waited for a turn when the connection was lost is not sent over it, even if answers come late', async () => {
  const received: string[] = [];
  const answers: number[] = [];
  const { promise: heard, resolve: acknowledged } = Promise.withResolvers<void>();
  const puback = (_topic: string, payload: string, _bytes: number, id: Buffer) => {
    received.push(payload);
    answers.push(0x40, 2, ...id);
    return undefined;
  };
  const { broker, publisher } = await connect({ puback, acknowledged, receiveMaximum: 2 });
  const fates = await Promise.allSettled(['first', 'second', 'waits'].map((payload) => publisher.publish(topic, payload, { retain: true })));
  expect(fates.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
  broker.send(Buffer.from([...answers, 0x32, 7, 0, 1, 97, 0, 9, 0, 120])); // a message of QoS 1 follows: its PUBACK says that they were heard
  await heard;
  expect(received).toEqual(['first', 'second']);
});

test.each([true, false])(
  'a connection that is closed with a farewell, and no other, ends with DISCONNECT, so that the broker discards the will: %s',
  async (farewell) => {
    const { promise: withDisconnect, resolve: ended } = Promise.withResolvers<boolean>();
    const { publisher } = await connect({ puback: () => 0, ended });
    await publisher.publish(topic, '{}', { retain: true });
    await publisher.close(farewell);
    expect(await withDisconnect).toBe(farewell);
  },
);

test('a stop ends no connection that stands: what is under way is answered, and the farewell is sent', async () => {
  const { publisher, stop } = await connect({ puback: () => 0 });
  stop.abort();
  await publisher.publish(topic, '{}', { retain: true });
  expect(publisher.lost.aborted).toBe(false);
});
