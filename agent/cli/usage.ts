import type { Command, CommanderError } from 'commander';
import { exitCodes, TocsinError } from '../lib/errors.ts';
import { shellWord } from '../lib/shell-word.ts';
import { catalogue, type MessageKey, type Translate, translateError } from './translate.ts';

/** What commander says of a wrong call, in the language, with the help of that very command as the hint. */
export function usageError(error: CommanderError, refusing: Command, t: Translate): TocsinError {
  const command = /Argument$|conflictingOption$/.test(error.code) ? named(refusing) : refusing;
  const [first] = command.args;
  const excess = error.code === 'commander.excessArguments' && command.registeredArguments.length === 0;
  const config = excess && first !== undefined && /\.ya?ml$/.test(first) && command.options.some(({ long }) => long === '--config');
  // a command that does something itself takes a misspelt one below it for an argument
  const misspelt = excess && !config && command.commands.length > 0 && first;
  const said = misspelt ? t('usage.unknownCommand', { what: `'${first}'` }) : usageMessage(error, command, t);
  const meant = /\(Did you mean (?:one of )?(.+?)\?\)/.exec(error.message)?.[1];
  const option = hyphenated(command.args);
  const known = option ? [option] : misspelt ? command.commands.map((below) => below.name()).filter((name) => name !== 'help') : (meant?.split(', ') ?? []);
  const whole = known.length === 0 ? said : `${said}${t('usage.meant', { meant: known.map((name) => `'${name}'`).join(', ') })}`;
  const only = known.length === 1 && !option && (misspelt || error.code === 'commander.unknownCommand') ? ` ${known[0]}` : '';
  const hint = config ? `${pathOf(command)} -c ${shellWord(first)}` : `${pathOf(command)}${only} --help`;
  return new TocsinError(whole, hint, exitCodes.usage);
}

/** The option that a word was before a word processor made a dash of its hyphens, as in –c. */
function hyphenated(words: readonly string[]): string | undefined {
  const [, name] = words.flatMap((word) => /^(?!-)\p{Pd}+(.+)$/u.exec(word) ?? []);
  return name && `${name.length === 1 ? '-' : '--'}${name}`;
}

/**
 * The command that was typed. Commander refuses a shared option at the topmost command that has it, before looking at
 * subcommands.
 */
function named(refusing: Command): Command {
  let root: Command & { rawArgs?: string[] } = refusing; // what was typed is kept there; commander's types leave it out
  while (root.parent) root = root.parent;
  const typed = root.rawArgs ?? [];
  const below = (command: Command, at: number): Command => {
    const i = typed.findIndex((word, i) => i >= at && !/^--[^=]+$/.test(typed[i - 1] ?? '') && command.commands.some((child) => child.name() === word));
    const child = command.commands.find((child) => child.name() === typed[i]);
    return child ? below(child, i + 1) : command;
  };
  const found = below(root, 0);
  return pathOf(found).startsWith(pathOf(refusing)) ? found : refusing;
}

function pathOf(command: Command): string {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name();
}

/** Commander's own messages: their kind is in the code, and what they speak of stands between quotes. */
function usageMessage(error: CommanderError, { args, registeredArguments }: Command, t: Translate): string {
  const key = `usage.${error.code.replace('commander.', '')}`;
  const plain = error.message.replace(/^error: /, '').replace(/\n?\(Did you mean .*\)$/s, '');
  const quoted = plain.match(/'[^']*'/g);
  if (error.code === 'commander.invalidArgument') {
    const values = refusal(plain, t);
    return values ? t('usage.invalidArgument', values) : plain;
  }
  if (!(key in catalogue) || quoted === null) return plain;
  const what = error.code === 'commander.conflictingOption' ? quoted.join(', ') : (quoted[0] as string);
  return t.of({ key: key as MessageKey, values: { what, got: `'${args[registeredArguments.length]}'` } });
}

/**
 * Commander says `option 'X' argument 'Y' is invalid. WHY`, `option 'X' value 'Y' from env 'Z' is invalid. WHY`, or
 * `command-argument value 'Y' is invalid for argument 'X'. WHY`.
 */
function refusal(said: string, { language }: Translate): Record<'what' | 'expected' | 'got', string> | undefined {
  const [, option, value, argument, why] =
    /^(?:option '(.+?)' (?:argument|value)|command-argument value) '(.*?)'(?: from env '\w+')? is invalid(?: for argument '(.+)')?\. (.+)$/s.exec(said) ?? [];
  const what = option ?? argument;
  if (what === undefined || value === undefined || why === undefined) return undefined;
  return { what, expected: translateError(why.replace(/^Allowed choices are (.*)\.$/, 'expected one of $1'), language), got: `'${value}'` };
}
