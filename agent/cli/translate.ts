import { printable, redacted } from '../config/problems.ts';
import { shellWord } from '../lib/shell-word.ts';
import type { Language } from './message.ts';
import { calibrate } from './messages/calibrate.ts';
import { frenchCauses } from './messages/causes.ts';
import { commission } from './messages/commission.ts';
import { doctor } from './messages/doctor.ts';
import { doctorLink } from './messages/doctor-link.ts';
import { doctorSound } from './messages/doctor-sound.ts';
import { frenchErrors } from './messages/errors.ts';
import { frenchHelp } from './messages/help.ts';
import { manual } from './messages/manual.ts';
import { meter } from './messages/meter.ts';
import { privacy } from './messages/privacy.ts';
import { privacyFound } from './messages/privacy-found.ts';
import { privacyReport } from './messages/privacy-report.ts';
import { provision } from './messages/provision.ts';
import { recordings } from './messages/recordings.ts';
import { selftest } from './messages/selftest.ts';
import { shared } from './messages/shared.ts';
import { state } from './messages/state.ts';
import { thresholds } from './messages/thresholds.ts';
import { type Fixed, formatNumber, noBreak, typeset, withComma } from './typography.ts';

/** Every message of the commands in both languages; `{name}` is a placeholder. A test compares the two. */
export const catalogue = {
  ...shared,
  ...doctor,
  ...doctorLink,
  ...doctorSound,
  ...selftest,
  ...calibrate,
  ...meter,
  ...thresholds,
  ...state,
  ...manual,
  ...commission,
  ...privacy,
  ...privacyFound,
  ...privacyReport,
  ...provision,
  ...recordings,
};
export type MessageKey = keyof typeof catalogue;

type Placeholders<T extends string> = T extends `${string}{${infer Name}}${infer Rest}` ? Name | Placeholders<Rest> : never;
export type Wanted<K extends MessageKey> = Placeholders<(typeof catalogue)[K]['en']>;
export type Values<K extends MessageKey> = [Wanted<K>] extends [never] ? [] : [Record<Wanted<K>, Value>];

/** A message with its values, before a language is chosen. Its key is the stable name that `--json` carries. */
export interface Text {
  readonly key: MessageKey;
  readonly values: Record<string, Value>;
}
/** A value may be a message itself, put in the same language, and numbers are written as the language does. */
export type Value = string | number | Fixed | Text;

export function text<K extends MessageKey>(key: K, ...[values]: Values<K>): Text {
  return { key, values: values ?? {} };
}

export interface Translate {
  <K extends MessageKey>(key: K, ...values: Values<K>): string;
  readonly language: Language;
  /** A message put together elsewhere, or what an error said. */
  readonly of: (said: Text | string) => string;
  /** A number as the language writes it; without `decimals`, as many as it has. */
  readonly number: (value: number, decimals?: number) => string;
  /** A number with its unit, which stays on the same line in French. */
  readonly measure: (value: number, unit: string, decimals?: number) => string;
  /** Things one after another, apart even where the decimal sign is a comma. */
  readonly list: (items: readonly string[]) => string;
  /** Clauses of one sentence, with a semicolon between them. */
  readonly clauses: (parts: readonly string[]) => string;
}

/** `named`: a configuration named in place of the usual one; commands that a message suggests then name it too. */
export function openTranslate(language: Language, named?: string): Translate {
  const say = (value: Value): string => {
    if (typeof value === 'string') return printable(translateError(value, language)); // it may be the name of a file, which a terminal would obey
    if (typeof value === 'number') return formatNumber(value, language);
    return 'key' in value ? of(value) : formatNumber(value.value, language, value.decimals);
  };
  const of = (said: Text | string): string => {
    if (typeof said === 'string') return withConfig(say(said), named);
    const values = Object.fromEntries(Object.entries(said.values).map(([name, value]) => [name, say(value)]));
    return withConfig(fill(typeset(catalogue[said.key][language], language), values), named);
  };
  return Object.assign(<K extends MessageKey>(key: K, ...[values]: Values<K>) => of({ key, values: values ?? {} }), {
    language,
    of,
    number: (value: number, decimals?: number) => formatNumber(value, language, decimals),
    measure: (value: number, unit: string, decimals?: number) => typeset(`${formatNumber(value, language, decimals)} ${unit}`, language),
    list: (items: readonly string[]) => items.join(typeset(language === 'fr' ? ' ; ' : ', ', language)),
    clauses: (parts: readonly string[]) => parts.join(typeset(language === 'fr' ? ' ; ' : '; ', language)),
  });
}

/** `--lang` wins; then LC_ALL, LC_MESSAGES and LANG in the order of POSIX; English where none says French. */
export function languageOf(argv: readonly string[], env: NodeJS.ProcessEnv): Language {
  const flag = argv.findLast((arg, i) => arg.startsWith('--lang=') || argv[i - 1] === '--lang')?.replace('--lang=', '');
  const locale = flag ?? (env.LC_ALL || env.LC_MESSAGES || env.LANG || '');
  return /^fr(?![a-z])/i.test(locale) ? 'fr' : 'en';
}

/** `-c` or `--config` wins over TOCSIN_CONFIG, which a sudo forgets; undefined where neither is set. */
export function configNamedBy(argv: readonly string[], env: NodeJS.ProcessEnv): string | undefined {
  const isPath = (arg: string, i: number) => ['-c', '--config'].includes(argv[i - 1] ?? '') || /^(--config=|-c.)/.test(arg);
  const flag = argv.findLast(isPath)?.replace(/^(--config=|-c(?=.))/, '');
  return (flag ?? env.TOCSIN_CONFIG) || undefined;
}

const takeConfig =
  'calibrate( thresholds)?|commission|config (check|show)|deliver|devices|doctor|events( explain)?|listen|meter|outbox|privacy (manifest|verify)|provision|run|selftest|status';
const typed = new RegExp(`(?<![\\w./-])tocsin (?:${takeConfig})(?![\\w-])(?! (?:explain|thresholds))(?![^\\n;]* (?:-c|--config[ =]))`, 'g');

/** Adds the named configuration to the commands that a text tells to type. */
export function withConfig(said: string, named: string | undefined): string {
  if (named === undefined) return said;
  return said.replace(typed, (command) => `${command} -c ${shellWord(named)}`);
}

/** Help texts are written once, in English, beside their options; the French stands in messages/help.ts. */
export function translateHelp(english: string, language: Language): string {
  return language === 'fr' ? typeset(frenchHelp[english] ?? english, language) : english;
}

/** The form that says most comes first: a shorter one may match as well. */
const patternsOf = (forms: Record<string, string>) =>
  Object.entries(forms)
    .toSorted(([a], [b]) => said(b) - said(a))
    .map(([english, french]) => ({ pattern: patternOf(english), french: typeset(french, 'fr') }));
const errorPatterns = patternsOf(frenchErrors);
const causePatterns = patternsOf(frenchCauses);

/** Errors are thrown in English by layers that know no language; a line that matches a known form is put in French. */
export function translateError(english: string, language: Language): string {
  if (language === 'en') return english;
  return inFrench(english, errorPatterns, (value) => translateCause(value, english)) ?? translateCause(english, '');
}

function inFrench(english: string, forms: typeof errorPatterns, sayValue = (value: string) => value): string | undefined {
  for (const { pattern, french } of forms) {
    const match = pattern.exec(english);
    if (match) return withComma(fill(french, Object.fromEntries(match.slice(1).map((value, i) => [String(i + 1), sayValue(value)]))));
  }
  return undefined;
}

/** Translates system messages, and lines of the form `key: expected what, got what`; leaves anything else. */
function translateCause(value: string, english: string): string {
  const [, code, said = value, path] = /^([A-Z]+): ([^,]+), \w+(?: '(.*)')?$/s.exec(value) ?? [];
  const french = inFrench(said, causePatterns);
  if (french && code === undefined) return french;
  if (french) return path === undefined || english.split(path).length > 2 ? `${french} (${code})` : `${path}${noBreak}: ${french} (${code})`;
  return value.replace(
    /^( *\S+): (expected .+), got (.*)$/gm,
    (_, key: string, expected: string, got: string) =>
      `${key}${noBreak}: ${translateError(expected, 'fr')}, obtenu ${got === 'nothing' ? 'rien' : got.replaceAll(redacted, catalogue['config.redacted'].fr)}`,
  );
}

function said(form: string): number {
  return form.replace(/\{\d\}/g, '').length;
}

/** `{1}`, `{2}`... stand for what the error fills in. */
function patternOf(form: string): RegExp {
  const literal = form.split(/\{\d\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${literal.join('([\\s\\S]*?)')}$`);
}

function fill(form: string, values: Record<string, string | number>): string {
  return form.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}
