import type { z } from 'zod';

/**
 * Describes what is wrong with a value, one line for each key: `key: expected what, got what`. `root` is the whole
 * value that was read.
 */
export function problemsOf(issue: z.core.$ZodIssue, root: unknown): string[] {
  const named = (path: readonly PropertyKey[]) => path.map((key) => (holdsKey(String(key)) ? redacted : withBlanks(String(key)))).join('.');
  const path = named(issue.path);
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => `${named([...issue.path, key])}: expected no such key, got ${show(valueAt(root, [...issue.path, key]), key)}`);
  const value = valueAt(root, issue.path);
  return [`${path || '(file)'}: expected ${expectedOf(issue, value)}, got ${show(value)}`];
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

function expectedOf(issue: z.core.$ZodIssue, value: unknown): string {
  if (issue.code === 'invalid_type' && issue.expected === 'string' && /number|boolean/.test(typeof value)) return 'text, between quotes';
  if (issue.code === 'invalid_type') return kinds[issue.expected] ?? issue.expected;
  if (issue.code === 'too_small' && issue.origin !== 'string') return `${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}`;
  if (issue.code === 'too_small') return 'some text';
  if (issue.code === 'too_big') return issue.origin === 'string' ? `at most ${issue.maximum} characters` : `at most ${issue.maximum}`;
  if (issue.code === 'invalid_format' && issue.message.startsWith('Invalid'))
    return `text of the form ${issue.format === 'regex' ? issue.pattern : issue.format}`;
  const choices = issue.code === 'invalid_value' ? issue.values : issue.code === 'invalid_union' ? issue.errors.flat().flatMap(valuesOf) : [];
  if (choices.length > 0) return `one of ${choices.map((choice) => JSON.stringify(choice)).join(', ')}`;
  return issue.message.replace(/^expected /, ''); // the schema's own message
}

function valuesOf(issue: z.core.$ZodIssue): readonly unknown[] {
  return issue.code === 'invalid_value' ? issue.values : [];
}

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | undefined)?.[key], root);
}

const mostListed = 20;

/** How many problems a file has, and the first of them one a line, for a person. */
export function problemList(path: string, problems: readonly string[]): string {
  const lines = problems.slice(0, mostListed).map((problem) => `  ${printable(problem)}`);
  const more = problems.length > mostListed ? ['  ...'] : [];
  return [`${path} has ${problems.length} problem${problems.length === 1 ? '' : 's'}:`, ...lines, ...more].join('\n');
}

/**
 * Replaces characters that end a line, that a terminal would obey, or that turn the order in which a line is read: text
 * from a file may be shown to a person.
 */
export function printable(text: string): string {
  return text.replace(/(?![\n\t])[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu, '?');
}

/** The same for text that must stay on one line. */
export function printableLine(text: string): string {
  return printable(text).replace(/[\n\t]/g, '?');
}

/**
 * Shows a value whose key is `name`. Secrets do not belong in the file; one that is there must not reach the journal as
 * well.
 */
export function show(value: unknown, name = ''): string {
  if (value === undefined || value === null) return 'nothing';
  if (typeof value === 'number' && !namesSecret(name)) return String(value); // JSON has neither NaN nor Infinity, which 1e400 is
  try {
    return withBlanks(printable(JSON.stringify(withoutSecret(name, value), withoutSecret).slice(0, 80)));
  } catch {
    return Array.isArray(value) ? '[...]' : '{...}'; // nested too deeply for the stack
  }
}

/** Shows blanks that look like a space, or like nothing at all, as JSON might: `\u00a0`. */
function withBlanks(text: string): string {
  return text.replace(/(?! )[\p{Zs}\p{Cf}]/gu, (blank) => `\\u${blank.codePointAt(0)?.toString(16).padStart(4, '0')}`);
}

/** Whether a text has blanks (shown or not), quotes or dashes that a word processor puts in the place of plain ones. */
export function isPasted(text: string): boolean {
  return /(?![ -])[\p{Zs}\p{Cf}\p{Pi}\p{Pf}\p{Pd}„‚]|\\u(?!00[01])/u.test(text);
}

export const redacted = '(redacted)';

/** Whether a text looks like a key or a line of one: PEM, or base64 longer than any name, except a digest. */
export function holdsKey(text: string): boolean {
  return /-----BEGIN|(?![0-9a-f]{40}|[0-9A-F]{40})[A-Za-z0-9+/]{40}/.test(text);
}

function namesSecret(key: string): boolean {
  return /(pass(word|wd|phrase)?|pwd|pin|secret|token)\P{L}*$/iu.test(key);
}

function withoutSecret(name: string, value: unknown): unknown {
  if (namesSecret(name)) return redacted;
  if (typeof value === 'object' && value !== null && Object.keys(value).some(holdsKey)) return redacted;
  if (typeof value !== 'string') return value;
  return shownUrl(value);
}

/**
 * A broker's address, or whatever is in its place, without user, query and fragment, which may hold a password or a
 * token.
 */
export function shownUrl(url: string): string {
  if (holdsKey(url)) return redacted;
  // nothing tells user?word@host from host?token=a@b
  if (/:\/\/[^?#]*[?#].*@/s.test(url)) return url.replace(/(?<=:\/\/).*/s, redacted);
  return url.replace(/(?<=:\/\/).*(?=@)/s, redacted).replace(/(?<=:\/\/[^?#]*[?#]).+/s, redacted);
}
