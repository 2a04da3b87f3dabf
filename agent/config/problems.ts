import type { z } from 'zod';

/** What is wrong with a value, one line for each key: `key: expected what, got what`. `root` is the whole that was read. */
export function problemsOf(issue: z.core.$ZodIssue, root: unknown): string[] {
  const named = (path: readonly PropertyKey[]) => path.map((key) => (holdsKey(String(key)) ? redacted : String(key))).join('.');
  const path = named(issue.path);
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => `${named([...issue.path, key])}: expected no such key, got ${show(valueAt(root, [...issue.path, key]), key)}`);
  return [`${path || '(file)'}: expected ${expectedOf(issue)}, got ${show(valueAt(root, issue.path))}`];
}

const kinds: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a group of keys',
  array: 'a list',
  record: 'a group of keys',
};

function expectedOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type') return kinds[issue.expected] ?? issue.expected;
  if (issue.code === 'too_small' && issue.origin !== 'string') return `${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}`;
  if (issue.code === 'too_small') return 'some text';
  if (issue.code === 'too_big') return issue.origin === 'string' ? `at most ${issue.maximum} characters` : `at most ${issue.maximum}`;
  if (issue.code === 'invalid_format' && issue.message.startsWith('Invalid'))
    return `text of the form ${issue.format === 'regex' ? issue.pattern : issue.format}`;
  const choices = issue.code === 'invalid_value' ? issue.values : issue.code === 'invalid_union' ? issue.errors.flat().flatMap(valuesOf) : [];
  if (choices.length > 0) return `one of ${choices.map((choice) => JSON.stringify(choice)).join(', ')}`;
  return issue.message.replace(/^expected /, ''); // of the schema's own
}

function valuesOf(issue: z.core.$ZodIssue): readonly unknown[] {
  return issue.code === 'invalid_value' ? issue.values : [];
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key], root);
}

/** What a file holds may be shown on a terminal, which would obey its control characters. */
export function printable(text: string): string {
  return text.replace(/(?![\n\t])\p{Cc}/gu, '?');
}

/** The same for what is to stay on its line. */
export function printableLine(text: string): string {
  return text.replace(/\p{Cc}/gu, '?');
}

/** `name`: its key. A secret has no place in the file, and where one stands there it must not reach the journal as well. */
export function show(value: unknown, name = ''): string {
  return value === undefined ? 'nothing' : printable(JSON.stringify(withoutSecret(name, value), withoutSecret).slice(0, 80));
}

export const redacted = '(redacted)';

/** Whether a text looks like a key, whole or a line of it: PEM, or base64 as long as no name is, but for a digest. */
export function holdsKey(text: string): boolean {
  return /-----BEGIN|(?![0-9a-f]{40}|[0-9A-F]{40})[A-Za-z0-9+/]{40}/.test(text);
}

function withoutSecret(name: string, value: unknown): unknown {
  if (/(password|passwd|passphrase|secret|token)$/i.test(name)) return redacted;
  if (typeof value === 'object' && value !== null && Object.keys(value).some(holdsKey)) return redacted;
  if (typeof value !== 'string') return value;
  return shownUrl(value);
}

/** A broker's address, or what stands in its place, without a user, a query and a fragment: there may be a password or a token in them. */
export function shownUrl(url: string): string {
  if (holdsKey(url)) return redacted;
  // of user?word@host or host?token=a@b nothing tells which it is
  if (/:\/\/[^?#]*[?#].*@/s.test(url)) return url.replace(/(?<=:\/\/).*/s, redacted);
  return url.replace(/(?<=:\/\/).*(?=@)/s, redacted).replace(/(?<=:\/\/[^?#]*[?#]).+/s, redacted);
}
