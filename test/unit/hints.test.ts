import { globSync, readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { expect, test } from 'vitest';
import type { Result } from '../../agent/cli/doctor/check.ts';
import { showResult } from '../../agent/cli/doctor.ts';
import { everyCommand } from '../../agent/cli/manual/command-tree.ts';
import { treeOf } from '../../agent/cli/manual.ts';
import { frenchErrors } from '../../agent/cli/messages/errors.ts';
import { screenOf } from '../../agent/cli/output.ts';
import { buildProgram } from '../../agent/cli/program.ts';
import { catalogue, configNamedBy, openTranslate, text, withConfig } from '../../agent/cli/translate.ts';
import { messageOf } from '../../agent/lib/errors.ts';

class Reached extends Error {}
const program = (await buildProgram(new AbortController().signal)).hook('preAction', () => {
  throw new Reached();
});
const silence = (command: Command): void => {
  command.configureOutput({ writeOut: () => undefined, writeErr: () => undefined });
  command.commands.forEach(silence);
};
silence(program);

const commands = everyCommand(treeOf(program));

/** Returns why the command line refuses these words, or undefined. Runs no command. */
function refused(words: readonly string[]): string | undefined {
  try {
    program.parse(words, { from: 'user' });
  } catch (error) {
    const shown = (error as { exitCode?: unknown }).exitCode === 0; // a help
    return error instanceof Reached || shown ? undefined : messageOf(error);
  }
  return 'does nothing';
}

/**
 * Returns what is wrong with each `tocsin ...` command in a text. Prose may follow a command: the command is right if
 * the command line accepts the words up to its last option, or some more of them.
 */
function wrong(text: string): string[] {
  return [...text.matchAll(/(?<![\w./-])tocsin ((?:-{1,2})?[a-z](?:[^;,:()"`»>|?!\n]|:(?=\S))*)/g)].flatMap(([, rest = '']) => {
    const words = rest
      .trim()
      .replace(/\.$/, '')
      .replaceAll('"', '')
      .replace(/\{\w+\}/g, '5')
      .split(/[\s\u00a0]+/);
    const named = Math.max(...commands.map(({ words: path }) => (path.every((word, i) => words[i] === word) ? path.length : 0)));
    const least = Math.max(1, named, words.findLastIndex((word) => word.startsWith('-')) + 1);
    const takes = words.some((_, i) => i + 1 >= least && refused(words.slice(0, i + 1)) === undefined);
    return takes ? [] : [`tocsin ${words.join(' ')}: ${refused(words)}`];
  });
}

const examples = commands.flatMap(({ examples: shown }) => shown);
const messages = Object.values(catalogue).flatMap(({ en, fr }) => [en, fr]);
const hints = Object.entries(frenchErrors).flat();
// in prose "Tocsin" also names the program
const said = [...messages, ...hints, ...examples].filter((text) => !/^Tocsin|tocsin_[A-Z]/.test(text));

test('the command line accepts every command in messages, hints and examples, with its options and values', () => {
  expect(said.flatMap(wrong)).toEqual([]);
  expect(examples.length).toBeGreaterThan(20);
  expect(said.filter((text) => / ?tocsin [a-z]/.test(text)).length).toBeGreaterThan(100);
});

test('the command line accepts every command in code font in the documents', () => {
  const spans = ['README.md', 'CONTRIBUTING.md', 'models/README.md', 'systemd/README.md', ...globSync('docs/*.md')].flatMap((path) =>
    [...readFileSync(path, 'utf8').matchAll(/`((?:sudo )?tocsin [^`]+)`/g)].map(([, typed]) => typed as string),
  );
  // these name a command without its argument, or an option without its value
  expect(spans.flatMap(wrong).filter((why) => !/: (missing required argument|the option .* needs a value)/.test(why))).toEqual([]);
  expect(spans.length).toBeGreaterThan(10);
});

test('an unknown command, option or value is detected, also with prose after it', () => {
  expect(wrong('sudo tocsin cure')).toEqual(["tocsin cure: unknown command 'cure'"]);
  expect(wrong('tocsin doctor --softly says more')).toEqual([expect.stringContaining("unknown option '--softly'")]);
  expect(wrong('see: tocsin events -n many')).toEqual([expect.stringContaining("expected a whole number from 1 to 1000000, got 'many'")]);
  expect(wrong('essayez : tocsin man --lang de')).toEqual([expect.stringContaining('expected one of en, fr')]);
  expect(wrong('tocsin privacy verfiy')).toEqual([expect.stringContaining('verfiy')]);
  expect(wrong('tocsin calibrate thresholds, again')).toEqual([expect.stringContaining('--budget')]);
  expect(wrong('tocsin events explain 17 --json; tocsin devices lists what can be opened, then tocsin model {folder}')).toEqual([]);
});

test('commands in messages name the configuration file if it is not the default', () => {
  const takers = commands.filter(({ options }) => options.some(({ environment }) => environment === 'TOCSIN_CONFIG'));
  for (const { words } of takers)
    expect(withConfig(`sudo tocsin ${words.join(' ')} says more`, '/a.yaml')).toBe(`sudo tocsin ${words.join(' ')} -c /a.yaml says more`);
  expect(takers.length).toBeGreaterThan(10);
  expect(withConfig('tocsin model {folder}; then tocsin doctor-like things', '/a.yaml')).not.toContain('-c');
  for (const named of ['tocsin doctor -c {path}', 'tocsin commission --out . --config /a.yaml', 'tocsin commission --out . -c /a.yaml --one-way'])
    expect(withConfig(named, '/a.yaml')).toBe(named);
  expect(withConfig('tocsin status', "/it's here.yaml")).toBe("tocsin status -c '/it'\\''s here.yaml'");
  expect(openTranslate('fr', '/a.yaml')('doctor.forbidden.try')).toBe('sudo tocsin doctor -c /a.yaml');
  expect(openTranslate('fr')('doctor.forbidden.try')).toBe('sudo tocsin doctor');
  expect(openTranslate('fr', '/a.yaml').of('sudo tocsin doctor says more')).toBe('sudo tocsin doctor -c /a.yaml en dit plus');
  expect(configNamedBy(['tocsin', 'status', '-c', 'b.yaml'], { TOCSIN_CONFIG: 'c.yaml' })).toBe('b.yaml');
  expect(configNamedBy(['tocsin', 'status', '--config=b.yaml'], {})).toBe('b.yaml');
  expect(configNamedBy(['tocsin', 'status', '-cb.yaml'], {})).toBe('b.yaml');
  const twice = withConfig(withConfig('tocsin events explain event.json; tocsin calibrate thresholds', '/a.yaml'), '/a.yaml');
  expect(twice).toBe('tocsin events explain -c /a.yaml event.json; tocsin calibrate thresholds -c /a.yaml');
  expect(configNamedBy(['tocsin', 'status'], { TOCSIN_CONFIG: 'c.yaml' })).toBe('c.yaml');
  expect(configNamedBy(['tocsin', 'status'], {})).toBeUndefined();
});

test('a hint that is a command stays on one line, so that it can be copied', () => {
  const config = `/etc/${'long/'.repeat(20)}tocsin.yaml`;
  const result: Result = { check: 'tls', state: 'fail', found: text('doctor.tls.ca'), hint: text('doctor.forbidden.try'), ms: 0 };
  expect(showResult(result, openTranslate('en', config), screenOf(process.stdout)).split('\n').at(-1)).toContain(`sudo tocsin doctor -c ${config}`);
});

test('an AggregateError is shown as the messages of all its errors', () => {
  expect(messageOf(new AggregateError([new Error('ETIMEDOUT 192.0.2.1'), new Error('ENETUNREACH 2001:db8::1')]))).toBe(
    'ETIMEDOUT 192.0.2.1; ENETUNREACH 2001:db8::1',
  );
  expect(messageOf(new AggregateError([], 'none of them'))).toBe('none of them');
});

test('what only root may do is told with sudo', () => {
  const forRoot = /(?<!sudo )\b(?:systemctl (?:start|stop|restart|mask)|timedatectl set-ntp|mount -o|journalctl --vacuum|fuser -v|apt install)/;
  const hints = said.filter((text) => !/^Expected |: sortie|a échoué/.test(text));
  expect(hints.filter((text) => forRoot.test(text))).toEqual([]);
});
