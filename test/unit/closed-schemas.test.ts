import { globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { closedProbe } from '../../agent/delivery/closed-publisher.ts';
import { topicsOf } from '../../agent/delivery/topics.ts';
import { linkTest } from '../../agent/events/event.ts';
import { publishedKinds } from '../../agent/events/privacy.ts';
import { isPublishable, publishedSchemas } from '../../agent/events/published.ts';
import { bootId } from '../support/samples.ts';

interface Schema {
  readonly [key: string]: unknown;
}

/** Where a JSON Schema leaves room for free text or for more than it names: an object, string, number or list without bounds. */
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

/** An anchored pattern without a quantifier that has no upper bound, and without spaces or most of punctuation. The longest, a model's name, holds 32 letters. */
function isBounded(pattern: string): boolean {
  const inside = /^\^([\s\S]+)\$$/.exec(pattern)?.[1];
  if (inside === undefined) return false;
  const plain = inside.replace(/\\[.\-/]/g, '').replace(/\[[^\]]*\]/g, (set) => (/[\s"]|\\[swSWD]|\^/.test(set) ? '*' : 'x'));
  return !/[*+]|\{\d+,\}|\.|\\[swSWD]/.test(plain);
}

test.each(globSync('docs/*.schema.json'))('%s has no room for free text', (path) => {
  expect(openEnds(JSON.parse(readFileSync(path, 'utf8')))).toEqual([]);
});

test('a schema that has room is seen', () => {
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

test('every topic has a schema, and every schema a topic; what has neither is not published', () => {
  const topics = topicsOf('a', 'b');
  expect(Object.keys(publishedSchemas).sort()).toEqual(Object.keys(topics).sort());
  expect([...publishedKinds].sort()).toEqual(Object.keys(topics).sort());
  expect(globSync('docs/*.schema.json').length).toBe(publishedKinds.length);
  const accepts = isPublishable(topics);
  const gap = JSON.stringify({ outbox: '0123456789abcdef', first: 1, last: 2, reason: 'too_old' });
  expect(accepts(topics.gap, gap)).toBe(true);
  expect(accepts(topics.event, gap)).toBe(false);
  expect(accepts(topicsOf('a', 'c').gap, gap)).toBe(false);
  expect(accepts(topics.gap, 'no JSON')).toBe(false);
  expect(accepts(topics.gap, gap.replace('}', ',"note":"words"}'))).toBe(false);
  expect(accepts(topics.gap, gap.replace('{', '{"outbox":"what was said in the street",'))).toBe(false); // a key twice: the last counts
  expect(accepts(topics.gap, gap.replace('{', '{ \t  \t'))).toBe(false);
  expect(accepts(topics.gap, gap.replace(':1,', ':1.000,'))).toBe(false);
});

test('a trial by a person passes the gate too: what its topic does not know is not sent', async () => {
  const sent: string[] = [];
  const topics = topicsOf('a', 'b');
  const link = closedProbe(
    {
      publishUnchecked: async (_topic, payload) => sent.push(payload),
      subscribe: async () => 0,
      close: async () => undefined,
    },
    isPublishable(topics),
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
