// A broker that answers with packets at random, whole or damaged. It is scripted: what a real one sends beside the rules is not shown.
import { expect, onTestFinished, test } from 'vitest';
import { checkConfig } from '../../agent/config/load-config.ts';
import { openMqttProbe } from '../../agent/delivery/mqtt-probe.ts';
import { mqttPublisher } from '../../agent/delivery/mqtt-publisher.ts';
import { BrokerError } from '../../agent/lib/errors.ts';
import { openScriptedBroker } from '../support/faults.ts';
import { seededRandom } from '../support/random.ts';

const connections = 25;
const topic = 'tocsin/v1/a/b/event';

test.each(['5', '3.1.1'] as const)('whatever comes in place of answers, each question is answered or refused by a BrokerError: MQTT %s', async (protocol) => {
  const random = seededRandom(7);
  const below = (count: number) => Math.floor(random() * count);
  const properties = protocol === '5' ? [0] : []; // none
  const packets = [
    [0x20, 2 + properties.length, 0, 0, ...properties], // CONNACK
    [0x20, 2 + properties.length, 0, 5, ...properties],
    [0x20, 1, 0],
    [0x30, 4 + properties.length, 0, 1, 97, ...properties, 120], // PUBLISH of QoS 0, 1 and 2
    [0x32, 5 + properties.length, 0, 1, 97, 0, 9, ...properties],
    [0x34, 5 + properties.length, 0, 1, 97, 0, 9, ...properties],
    [0x40, 2, 0, 1], // PUBACK, PUBREC, PUBREL, PUBCOMP
    [0x50, 2, 0, 1],
    [0x62, 2, 0, 9],
    [0x70, 2, 0, 1],
    [0x90, 3 + properties.length, 0, 1, ...properties, 1], // SUBACK
    [0xc0, 0], // PINGREQ, PINGRESP, DISCONNECT, AUTH
    [0xd0, 0],
    [0xe0, 0],
    [0xf0, 2, 24, 0],
    [0xf8, 1, 2], // nothing of MQTT
  ];
  const accepts = () => Buffer.from(packets[0] as number[]);
  const odd = () => {
    const bytes = Buffer.from(Array.from({ length: 1 + below(6) }, () => packets[below(packets.length)] as number[]).flat());
    if (random() < 0.3) bytes[below(bytes.length)] = below(256);
    return bytes;
  };
  const broker = await openScriptedBroker({
    connack: () => (random() < 0.5 ? accepts() : odd()),
    puback: (_topic, _payload, _bytes, id) => (random() < 0.3 ? Buffer.from([0x40, 2, ...id]) : odd()),
  });
  onTestFinished(() => broker.close());
  const thrown: unknown[] = [];
  const others = process.rawListeners('uncaughtException') as ((error: unknown) => void)[];
  process.removeAllListeners('uncaughtException').on('uncaughtException', (error) => thrown.push(error));
  onTestFinished(() => {
    process.removeAllListeners('uncaughtException');
    for (const other of others) process.on('uncaughtException', other);
  });
  const { mqtt } = checkConfig({ site: 'a', sensor: 'b', mqtt: { url: broker.url, protocol } }, 'test');
  mqtt.ackTimeoutSeconds = 0.1;
  const outcome = { answered: 0, refused: 0 };
  const ask = async (question: Promise<unknown>) => {
    const error = await question.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (error !== undefined) expect(error).toBeInstanceOf(BrokerError);
    outcome[error === undefined ? 'answered' : 'refused']++;
    return error === undefined;
  };
  for (let i = 0; i < connections; i++) {
    const publishing = mqttPublisher(mqtt, {}, 'tocsin_a_b')({ topic, payload: '{}' }, new AbortController().signal);
    if (await ask(publishing)) {
      const publisher = await publishing;
      await Promise.all([ask(publisher.publish(topic, '{}', { retain: false })), ask(publisher.publish(topic, '{}', { retain: false }))]);
      await publisher.close(random() < 0.5);
    }
    const probing = openMqttProbe(mqtt, {}, 'tocsin_a_b_doctor', 100);
    if (await ask(probing)) {
      const probe = await probing;
      await Promise.all([ask(probe.subscribe(topic, () => undefined)), ask(probe.publishUnchecked(topic, '{}'))]);
      await probe.close();
    }
    expect(thrown).toEqual([]);
  }
  process.stdout.write(`odd broker, MQTT ${protocol}: ${JSON.stringify(outcome)}\n`);
  expect(Math.min(outcome.answered, outcome.refused)).toBeGreaterThan(10);
});
