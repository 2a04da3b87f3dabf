import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { expect, test } from 'vitest';

const order = ['lib', 'config', 'audio', 'classify', 'events', 'outbox', 'delivery', 'meter', 'pipeline.ts', 'cli', 'main.ts'];
const stages = ['audio', 'classify', 'events', 'outbox', 'delivery', 'meter'];
const files = globSync('agent/**/*.ts').map((path) => ({ path, place: path.split('/')[1] as string, text: readFileSync(path, 'utf8') }));
const imports = files.flatMap(({ path, place, text }) =>
  [...text.matchAll(/^(?:import|export)( type)?[^'\n]*(?:\n[^'\n]*)*? from '(\.[^']+)'/gm)].map(([, type, target]) => {
    const to = normalize(join(dirname(path), target as string)).split('/')[1] as string;
    return { path, place, to, type: type !== undefined };
  }),
);

test('imports run one way', () => {
  const wrong = imports.filter(({ place, to }) => order.indexOf(to) > order.indexOf(place));
  expect(wrong).toEqual([]);
  expect(imports.length).toBeGreaterThan(50);
});

test('a stage imports only types of the stages before it', () => {
  expect(imports.filter(({ place, to, type }) => stages.includes(place) && stages.includes(to) && place !== to && !type)).toEqual([]);
});

test.each(['node-web-audio-api', 'onnxruntime-node', 'better-sqlite3', 'mqtt', 'koffi'])('%s is imported by one file', (dependency) => {
  expect(files.filter(({ text }) => text.includes(`from '${dependency}'`) || text.includes(`import('${dependency}')`)).map(({ path }) => path)).toHaveLength(1);
});

test('nothing is published past the gate: neither the courier nor a trial by a person', () => {
  const uses = (pattern: RegExp) => files.flatMap(({ path, text }) => (path.startsWith('agent/delivery/') ? [] : (text.match(pattern) ?? [])));
  expect(uses(/.*publishUnchecked.*/g)).toEqual([]);
  expect(uses(/.*\bmqttPublisher\(.*/g).filter((line) => !line.includes('closedPublisher(mqttPublisher('))).toEqual([]);
  expect(files.filter(({ text }) => text.includes('publishUnchecked')).map(({ path }) => path)).toEqual([
    'agent/delivery/closed-publisher.ts',
    'agent/delivery/mqtt-publisher.ts',
  ]);
});

test('files are short and have no default exports or enums', () => {
  for (const { path, text } of files) {
    expect(text.split('\n').length, path).toBeLessThan(301);
    expect(text, path).not.toMatch(/^export default|^(export )?enum /m);
  }
});

test('what hears cannot speak: the modules of the listener reach no network, those of the courier no sound', () => {
  const closure = (start: string, seen = new Set<string>()): Set<string> => {
    if (seen.has(start)) return seen;
    seen.add(start);
    for (const [, target] of (files.find((f) => f.path === start)?.text ?? '').matchAll(/from '(\.[^']+)'/g))
      closure(normalize(join(dirname(start), target as string)), seen);
    return seen;
  };
  const text = (path: string) => files.find((f) => f.path === path)?.text ?? '';
  for (const start of ['agent/audio/microphone.ts', 'agent/classify/onnx-classifier.ts', 'agent/events/event-detector.ts', 'agent/outbox/sqlite-outbox.ts'])
    for (const path of closure(start)) expect(text(path), path).not.toMatch(/from '(mqtt|node:(net|tls|http|https|http2|dgram|dns))'/);
  // but for the meter's socket, which is made for a path, waits, and calls nobody; and the courier knows nothing of it
  const meter = files.filter(({ place, text }) => place === 'meter' && /from 'node:net'/.test(text));
  expect(meter.map(({ path }) => path)).toEqual(['agent/meter/socket.ts']);
  expect(meter[0]?.text).toMatch(/import \{ createServer, type Socket \} from 'node:net';/);
  expect(meter[0]?.text.match(/\.listen\([^)]*/g)).toEqual(['.listen({ path }, (']);
  for (const path of closure('agent/delivery/deliver.ts')) expect(path).not.toMatch(/meter\//);
  for (const path of closure('agent/delivery/deliver.ts')) expect(text(path), path).not.toMatch(/node-web-audio-api|arecord/);
});
