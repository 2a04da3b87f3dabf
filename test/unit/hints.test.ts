import { globSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { everyCommand } from '../../agent/cli/manual/command-tree.ts';
import { treeOf } from '../../agent/cli/manual.ts';
import { frenchErrors } from '../../agent/cli/messages/errors.ts';
import { buildProgram } from '../../agent/cli/program.ts';
import { catalogue } from '../../agent/cli/translate.ts';

const commands = everyCommand(treeOf(buildProgram(new AbortController().signal)));

/** What is wrong with the `tocsin ...` that a text tells a person to type: no such command, no such option. */
function wrong(text: string): string[] {
  return [...text.matchAll(/(?<![\w./-])tocsin ((?:--?)?[a-z][a-z-]*(?:[ =][\w./{}-]+)*)/g)].flatMap(([typed, rest = '']) => {
    const words = rest.split(/[ =]/);
    const command = commands.findLast(({ words: path }) => path.length > 0 && path.every((word, i) => words[i] === word)) ?? commands[0];
    if (command === commands[0] && !words[0]?.startsWith('-')) return words[0] === 'help' ? [] : [typed];
    const known = command?.options.flatMap(({ long, short }) => [long, short]) ?? [];
    return words.filter((word) => word.startsWith('-') && !known.includes(word)).map((option) => `${typed}: ${option}`);
  });
}

test('every command that a message, hint or example names exists, with its options', () => {
  const messages = Object.values(catalogue).flatMap(({ en, fr }) => [en, fr]);
  const hints = Object.entries(frenchErrors).flat();
  const examples = commands.flatMap(({ examples: shown }) => shown);
  // in prose the name is also that of the program
  const said = [...messages, ...hints].filter((text) => !/^Tocsin|tocsin_[A-Z]/.test(text));
  expect([...said, ...examples].flatMap(wrong)).toEqual([]);
  expect(examples.length).toBeGreaterThan(20);
});

test('so does every command in code font in the documents', () => {
  const spans = ['README.md', 'CONTRIBUTING.md', 'models/README.md', 'systemd/README.md', ...globSync('docs/*.md')].flatMap((path) =>
    [...readFileSync(path, 'utf8').matchAll(/`((?:sudo )?tocsin [^`]+)`/g)].map(([, typed]) => typed as string),
  );
  expect(spans.flatMap(wrong)).toEqual([]);
  expect(spans.length).toBeGreaterThan(10);
});

test('a command or option that does not exist is noticed', () => {
  expect(wrong('sudo tocsin cure')).toEqual(['tocsin cure']);
  expect(wrong('try: tocsin doctor --softly')).toEqual(['tocsin doctor --softly: --softly']);
  expect(wrong('tocsin events explain 17 --json')).toEqual([]);
});
