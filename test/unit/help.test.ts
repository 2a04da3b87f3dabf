import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { examplesOf } from '../../agent/cli/command.ts';
import { languages } from '../../agent/cli/message.ts';
import { buildProgram } from '../../agent/cli/program.ts';

function everyOne(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyOne)];
}

test.each(languages)('the help of every command fits 60 columns, in %s', async (language) => {
  const wide: string[] = [];
  const commands = everyOne(await buildProgram(new AbortController().signal, language));
  for (const command of commands) {
    const help = command.configureHelp({ ...command.configureHelp(), helpWidth: 60 }).helpInformation();
    const examples = examplesOf(command).map((example) => `  ${example}`);
    wide.push(...[...help.split('\n'), ...examples].filter((line) => line.length > 60));
    expect(examples.join(''), command.name()).not.toContain('\n');
    if (language === 'fr') expect(help).not.toMatch(/default:|choices:|env:/);
  }
  expect(wide).toEqual([]);
  expect(commands.length).toBeGreaterThan(25);
});

// the longest option leaves 12 columns
test.each(languages)('the help of every command breaks no line within a word at 40 columns, in %s', async (language) => {
  for (const command of everyOne(await buildProgram(new AbortController().signal, language))) {
    const help = command.configureHelp({ ...command.configureHelp(), helpWidth: 40 }).helpInformation();
    const wide = help.split('\n').filter((line) => line.length > 40);
    const several = wide.filter((line) => !/^Usage/.test(line) && / /.test(line.split(/ {2,}/).at(-1) as string));
    expect(several, command.name()).toEqual([]);
  }
});
