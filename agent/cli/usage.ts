import type { Command, CommanderError } from 'commander';
import { exitCodes, TocsinError } from '../lib/errors.ts';
import { catalogue, type MessageKey, type Translate, translateError } from './translate.ts';

/** What commander says of a wrong call, in the language, with the help of that very command as the hint. */
export function usageError(error: CommanderError, command: Command, t: Translate): TocsinError {
  const [first] = command.args;
  // a command that does something itself takes a misspelt one below it for an argument
  const misspelt = error.code === 'commander.excessArguments' && command.registeredArguments.length === 0 && command.commands.length > 0 && first;
  const said = misspelt ? t('usage.unknownCommand', { what: `'${first}'` }) : usageMessage(error, t);
  const meant = /\(Did you mean (?:one of )?(.+?)\?\)/.exec(error.message)?.[1];
  const known = misspelt ? command.commands.map((below) => below.name()).filter((name) => name !== 'help') : (meant?.split(', ') ?? []);
  const whole = known.length === 0 ? said : `${said}${t('usage.meant', { meant: known.map((name) => `'${name}'`).join(', ') })}`;
  const only = known.length === 1 && (misspelt || error.code === 'commander.unknownCommand') ? ` ${known[0]}` : '';
  const hint = `${pathOf(command)}${only} --help`;
  return new TocsinError(whole, hint, exitCodes.usage);
}

function pathOf(command: Command): string {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name();
}

/** Commander's own messages: their kind is in the code, and what they speak of stands between quotes. */
function usageMessage(error: CommanderError, t: Translate): string {
  const key = `usage.${error.code.replace('commander.', '')}`;
  const plain = error.message.replace(/^error: /, '').replace(/\n?\(Did you mean .*\)$/s, '');
  const quoted = plain.match(/'[^']*'/g);
  if (!(key in catalogue) || quoted === null) return plain;
  const one = error.code === 'commander.conflictingOption' ? quoted.join(', ') : quoted[0];
  const detail = error.code === 'commander.invalidArgument' ? inWords(plain, t) : one;
  return t.of({ key: key as MessageKey, values: { what: detail } });
}

/** `option 'X' argument 'Y' is invalid. WHY`: only the reason is in words. */
function inWords(said: string, { language }: Translate): string {
  if (language === 'en') return said;
  const [, what = said, why = ''] = /^(.*?) is invalid(?: for argument '[^']*')?\. (.*)$/s.exec(said) ?? [];
  return why ? `${what.replace(/^(option|command-argument value) /, '').replace(" argument '", " '")} (${translateError(why, language)})` : what;
}
