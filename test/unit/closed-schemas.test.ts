import { globSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { closedProbe, closedPublisher } from '../../agent/delivery/closed-publisher.ts';
import { toSummary } from '../../agent/delivery/summaries.ts';
import { toCloudEvent } from '../../agent/delivery/to-cloud-event.ts';
import { topicsOf } from '../../agent/delivery/topics.ts';
import { linkTest, soundEventSchema } from '../../agent/events/event.ts';
import type { Health } from '../../agent/events/health.ts';
import { publishedKinds } from '../../agent/events/privacy.ts';
import { closedForm, publishedSchemas } from '../../agent/events/published.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { bootId, fixedClock, hourSummary, limits, recordedEvent } from '../support/samples.ts';

interface Schema {
  readonly [key: string]: unknown;
}

/**
 * Lists the places where a JSON Schema allows free text or unnamed content: objects, strings, numbers or lists without
 * bounds.
 */
function openEnds(schema: Schema, path = '$'): string[] {
  if (schema.const !== undefined || Array.isArray(schema.enum)) return [];
  for (const kind of ['anyOf', 'oneOf', 'allOf'] as const)
    if (Array.isArray(schema[kind])) return (schema[kind] as Schema[]).flatMap((one, i) => openEnds(one, `${path}.${kind}[${i}]`));
  if (schema.type === 'boolean') return [];
  if (schema.type === 'integer' || schema.type === 'number') {
    const bounded = [schema.minimum ?? schema.exclusiveMinimum, schema.maximum ?? schema.exclusiveMaximum].every((bound) => Math.abs(Number(bound)) <= 1e15);
    return bounded ? [] : [`${path}: number without bounds`];
  }
  if (schema.type === 'string') return isBounded(String(schema.pattern ?? '')) ? [] : [`${path}: text`];
  if (schema.type === 'array') {
    const ends = typeof schema.maxItems === 'number' && schema.maxItems <= 16 ? [] : [`${path}: list without end`];
    return [...ends, ...(schema.items ? openEnds(schema.items as Schema, `${path}[]`) : [`${path}: anything in a list`])];
  }
  if (schema.type === 'object') {
    const ends = schema.additionalProperties === false && !schema.patternProperties ? [] : [`${path}: more properties`];
    return [...ends, ...Object.entries((schema.properties ?? {}) as Record<string, Schema>).flatMap(([name, one]) => openEnds(one, `${path}.${name}`))];
  }
  return [`${path}: anything`];
}

/**
 * Whether a pattern is anchored, without unbounded quantifiers, spaces and most punctuation. The longest, a model
 * name, allows 32 letters.
 */
function isBounded(pattern: string): boolean {
  const inside = /^\^([\s\S]+)\$$/.exec(pattern)?.[1];
  if (inside === undefined) return false;
  const plain = inside.replace(/\\[.\-/]/g, '').replace(/\[[^\]]*\]/g, (set) => (/[\s"]|\\[swSWD]|\^/.test(set) ? '*' : 'x'));
  return !/[*+]|\{\d+,\}|\.|\\[swSWD]/.test(plain);
}

test.each(globSync('docs/*.schema.json'))('%s has no room for free text', (path) => {
  expect(openEnds(JSON.parse(readFileSync(path, 'utf8')))).toEqual([]);
});

test('a schema that leaves room for free text or unbounded values is detected', () => {
  const object = (properties: Schema) => ({ type: 'object', properties, additionalProperties: false });
  for (const open of [
    object({ note: { type: 'string' } }),
    object({ note: { type: 'string', maxLength: 64 } }),
    object({ note: { type: 'string', pattern: '^[a-z]+$' } }),
    object({ note: { type: 'string', pattern: '^.{1,20}$' } }),
    object({ note: { type: 'string', pattern: '[a-z]{1,8}' } }),
    object({ note: { type: 'string', pattern: '^[a-z ]{1,64}$' } }),
    object({ level: { type: 'number', minimum: 0 } }),
    object({ levels: { type: 'array', items: { type: 'integer', minimum: 0, maximum: 9 } } }),
    object({ inner: { type: 'object', properties: {} } }),
    object({ any: {} }),
    { anyOf: [object({}), { type: 'string' }] },
  ])
    expect(openEnds(open), JSON.stringify(open)).not.toEqual([]);
});

test('each topic has exactly one schema, and a message that does not match its topic and schema is not published', () => {
  const topics = topicsOf('a', 'b');
  expect(Object.keys(publishedSchemas).sort()).toEqual(Object.keys(topics).sort());
  expect([...publishedKinds].sort()).toEqual(Object.keys(topics).sort());
  expect(globSync('docs/*.schema.json').length).toBe(publishedKinds.length);
  const form = closedForm(topics);
  const gap = JSON.stringify({ outbox: '0123456789abcdef', first: 1, last: 2, reason: 'too_old' });
  expect(form(topics.gap, gap)).toBe(gap);
  for (const [topic, payload] of [
    [topics.event, gap],
    [topicsOf('a', 'c').gap, gap],
    [topics.gap, 'no JSON'],
    [topics.gap, gap.replace('}', ',"note":"words"}')],
    [topics.gap, gap.replace('{', '{"outbox":"what was said in the street",')], // a duplicate key: the last one counts
    [topics.gap, gap.replace('{', '{ \t  \t')],
    [topics.gap, gap.replace(':1,', ':1.000,')],
  ] as const)
    expect(form(topic, payload), payload).toBeUndefined();
});

test('a message with reordered keys is sent in the key order of the schema', () => {
  const topics = topicsOf('a', 'b');
  const event = toCloudEvent({ ...recordedEvent(0), sequence: 1 }, sender, fixedClock());
  const turned = { ...Object.fromEntries(Object.entries(event).reverse()), data: Object.fromEntries(Object.entries(event.data).reverse()) };
  expect(JSON.stringify(turned)).not.toBe(JSON.stringify(event));
  expect(closedForm(topics)(topics.event, JSON.stringify(turned))).toBe(JSON.stringify(event));
});

test('a message with a number finer than the outbox stores is refused', () => {
  const topics = topicsOf('a', 'b');
  const form = closedForm(topics);
  const messages = {
    event: toCloudEvent({ ...recordedEvent(0, { soundPressureLevelDb: 90 }), sequence: 1 }, sender, fixedClock()),
    summary: toSummary({ ...hourSummary({ splAtFullScaleDb: 118.4 }), sequence: 1 }, sender.outboxId, fixedClock()),
    health,
  };
  const places = Object.entries(messages).flatMap(([kind, message]) => numbersOf(message).map((path) => [kind, path] as const));
  expect(places.length).toBeGreaterThan(25);
  for (const [kind, path] of places) {
    const topic = topics[kind as keyof typeof messages];
    const message = structuredClone(messages[kind as keyof typeof messages]) as Record<string, unknown>;
    expect(form(topic, JSON.stringify(message)), kind).toBe(JSON.stringify(message));
    const holder = path.slice(0, -1).reduce((inner, key) => inner[key] as Record<string, unknown>, message);
    holder[path.at(-1) as string] = Number(holder[path.at(-1) as string]) + 0.0123456789;
    expect(form(topic, JSON.stringify(message)), `${kind} ${path.join('.')}`).toBeUndefined();
  }
});

const sender = { outboxId: '0123456789abcdef', site: 'a', sensor: 'b', historicalAfterSeconds: 60 };
const health = {
  ...{ time: '2026-11-20T00:00:00.000Z', clock: 'synchronised', bootId, version: '0.1.0', uptimeSeconds: 60.1 },
  hearing: {
    ...{ state: 'listening', fault: 'none', suspicion: 'none', elapsedSeconds: 50.5, listenedSeconds: 50.4, notHeardSeconds: 0.1 },
    ...{ droppedSamples: 1, opens: 1, starts: 1, noiseFloorDb: -60, reportedSecondsAgo: 0.3 },
  },
  outbox: { id: '0123456789abcdef', pending: 1, oldestSeconds: 3.4, stored: 2, sent: 1, expired: 0, refused: 0, dropped: 0, unreadable: 0, faults: [] },
  link: { connections: 1, lastFault: 'none', eventsRefused: false, eventRefusal: 'none', certificateUntil: '2028-11-20T00:00:00.000Z' },
  board: {},
} satisfies Health;

/** Returns the paths of all numbers in a message. */
function numbersOf(value: object, path: readonly string[] = []): string[][] {
  return Object.entries(value).flatMap(([key, part]) =>
    typeof part === 'number' ? [[...path, key]] : part !== null && typeof part === 'object' ? numbersOf(part, [...path, key]) : [],
  );
}

test('the will message passes the schema gate before the connection opens', async () => {
  const wills: string[] = [];
  const topics = topicsOf('a', 'b');
  const open = closedPublisher(async ({ payload }) => {
    wills.push(payload);
    return { lost: new AbortController().signal, publish: async () => undefined, close: async () => undefined };
  }, closedForm(topics));
  const { signal } = new AbortController();
  const words = JSON.stringify({ state: 'offline', said: 'hello', bootId, version: '0.1.0' });
  await expect(open({ topic: topics.status, payload: words }, signal)).rejects.toThrow(/Expected a message of the closed schema/);
  await open({ topic: topics.status, payload: JSON.stringify({ version: '0.1.0', bootId, state: 'offline' }) }, signal);
  expect(wills).toEqual([JSON.stringify({ state: 'offline', bootId, version: '0.1.0' })]);
});

test('a test message sent by a command passes the schema gate: one that its topic does not allow is refused', async () => {
  const sent: string[] = [];
  const topics = topicsOf('a', 'b');
  const link = closedProbe(
    {
      publishUnchecked: async (_topic, payload) => sent.push(payload),
      subscribe: async () => 0,
      close: async () => undefined,
    },
    closedForm(topics),
  );
  const trial = JSON.stringify(linkTest(bootId));
  for (const [topic, payload] of [
    [topics.selftest, '{"said":"hello"}'],
    [topics.status, 'no JSON'],
    ['tocsin/v1/a/c/selftest', trial],
  ] as const)
    await expect(link.publish(topic, payload)).rejects.toThrow(/Expected a message of the closed schema/);
  await link.publish(topics.selftest, trial);
  expect(sent).toEqual([trial]);
});

test('SECURITY.md states how many bits of an event a hostile listener could choose', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-bits-')), 'outbox.db');
  openSqliteOutbox(path, limits).close();
  const db = new Database(path);
  const sql = db.prepare("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = 'event'").pluck().get() as string;
  const columns = db.prepare("SELECT name FROM pragma_table_info('event')").pluck().all() as string[];
  db.close();
  const values = new Map<string, number>();
  for (const [, name = '', low, high] of sql.matchAll(/CHECK \((\w+) BETWEEN (-?\d+) AND (\d+)\)/g)) values.set(name, Number(high) - Number(low) + 1);
  for (const [, name = '', list = ''] of sql.matchAll(/CHECK \((\w+) IN \(([^)]*)\)\)/g)) values.set(name, list.split(',').length);
  const { label, bootId: boot, model } = soundEventSchema.shape.data.shape;
  values.set('label', label.options.length).delete('onset_monotonic_ms'); // not published
  expect([...values.keys(), 'boot', 'model', 'onset_monotonic_ms'].sort(), 'every column counts').toEqual(columns.sort());

  type Text = { safeParse(text: string): { success: boolean } };
  const takes = (schema: Text, text: string) => schema.safeParse(text).success;
  const letters = Array.from({ length: 128 }, (_, code) => String.fromCharCode(code));
  const wordBits = (schema: Text) => {
    const longest = Array.from({ length: 100 }, (_, length) => length).findLast((length) => takes(schema, 'a'.repeat(length))) as number;
    return longest * Math.log2(letters.filter((letter) => takes(schema, letter)).length);
  };
  const hex = letters.filter((letter) => /[0-9a-f-]/.test(letter)); // as the boot table allows
  const bootBits = [...bootId].reduce(
    (bits, _, i) => bits + Math.log2(hex.filter((letter) => takes(boot, bootId.slice(0, i) + letter + bootId.slice(i + 1))).length),
    0,
  );
  const names = bootBits + wordBits(model.shape.name) + wordBits(model.shape.version);
  const others = [...values.values()].reduce((bits, count) => bits + Math.log2(count), 0);
  const security = readFileSync('SECURITY.md', 'utf8').replace(/\s+/g, ' ');
  expect(security).toContain(`Some ${10 * Math.round(others / 10)} bits of an event`);
  expect(security).toContain(`of ${Math.round(names)} more, in \`bootId\``);
  const perSecond = ((others + 64) * 33) / 60; // with the outbox id; 30 events a minute and a tenth
  expect(security).toContain(`That is ${10 * Math.round(perSecond / 10)} bits a second at most`);
});
