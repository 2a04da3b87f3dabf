import { mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync } from 'mqtt';
import { expect, onTestFinished, test, vi } from 'vitest';
import { checkConfig } from '../../agent/config/load-config.ts';
import { openMqttProbe } from '../../agent/delivery/mqtt-probe.ts';
import { mqttPublisher } from '../../agent/delivery/mqtt-publisher.ts';
import { topicsOf } from '../../agent/delivery/topics.ts';
import { publishedSchemas } from '../../agent/events/published.ts';
import { freePort, missing, openMosquitto } from '../support/broker.ts';

const without = missing('mosquitto');
const topics = topicsOf('a', 'b');
const channels: Record<string, { messages: Record<string, { contentType: string }> }> = JSON.parse(readFileSync('docs/asyncapi.json', 'utf8')).channels;

test.skipIf(without)(
  `every message has the content type of docs/asyncapi.json, including the will and those of doctor and selftest${without ? ` (left out: ${without})` : ''}`,
  async () => {
    const broker = await openMosquitto(mkdtempSync(join(tmpdir(), 'tocsin-content-')), await freePort());
    const reader = await connectAsync(broker.url, { protocolVersion: 5 });
    onTestFinished(async () => {
      await reader.endAsync(true);
      await broker.close();
    });
    const seen: [topic: string, text: string, contentType: string | undefined][] = [];
    reader.on('message', (topic, payload, { properties }) => seen.push([topic, payload.toString(), properties?.contentType]));
    await reader.subscribeAsync('#', { qos: 1 });
    const { mqtt } = checkConfig({ site: 'a', sensor: 'b', mqtt: { url: broker.url } }, 'test');
    const publisher = await mqttPublisher(mqtt, {}, 'tocsin_a_b')({ topic: topics.status, payload: 'will' }, new AbortController().signal);
    for (const topic of Object.values(topics)) await publisher.publish(topic, 'half', { retain: false });
    await publisher.close(false);
    const probe = await openMqttProbe(mqtt, {}, 'tocsin_a_b_doctor', 6000);
    for (const topic of [topics.event, topics.selftest]) await probe.publishUnchecked(topic, 'person');
    await probe.close();
    await vi.waitFor(() => expect(seen).toHaveLength(Object.keys(publishedSchemas).length + 3), 20_000);
    expect(new Set(seen.map(([, text]) => text))).toEqual(new Set(['half', 'will', 'person']));
    for (const [topic, text, contentType] of seen) {
      const kind = topic.split('/').at(-1) as string;
      expect(contentType, `${topic} (${text})`).toBe(channels[kind]?.messages[kind]?.contentType);
    }
  },
);
