import type { Argument, Command, Option } from 'commander';

/** What a value is, as its placeholder says: `<file>` and `<id>` may name a file, `<folder>` and `<dir>` a folder. */
type ValueKind = 'file' | 'folder' | 'text';

export interface OptionShape {
  readonly short?: string;
  readonly long: string;
  readonly description: string;
  /** Absent for a switch. */
  readonly value?: { readonly kind: ValueKind; readonly name: string; readonly optional: boolean; readonly choices: readonly string[] };
  readonly default?: string;
  readonly environment?: string;
}

export interface ArgumentShape {
  readonly name: string;
  readonly kind: ValueKind;
  readonly description: string;
  readonly required: boolean;
  readonly variadic: boolean;
  readonly choices: readonly string[];
}

/** One command as completion, man page and field card need it; the root has no words. */
export interface CommandShape {
  readonly words: readonly string[];
  readonly description: string;
  readonly usage: string;
  readonly options: readonly OptionShape[];
  readonly arguments: readonly ArgumentShape[];
  readonly examples: readonly string[];
  readonly commands: readonly CommandShape[];
}

/** The command line as data, in the order of its help and in its language. `examples` gives those of a command. */
export function commandTree(command: Command, examples: (command: Command) => readonly string[], words: readonly string[] = []): CommandShape {
  const help = command.createHelp();
  const shown = help.visibleCommands(command).filter((child) => child.name() !== 'help');
  return {
    words,
    description: command.description(),
    usage: command.usage(),
    options: help.visibleOptions(command).map(optionShape),
    arguments: command.registeredArguments.map(argumentShape),
    examples: examples(command),
    commands: shown.map((child) => commandTree(child, examples, [...words, child.name()])),
  };
}

/** The command and all below it, parents first. */
export function everyCommand(root: CommandShape): CommandShape[] {
  return [root, ...root.commands.flatMap(everyCommand)];
}

/** What may follow `help` and the words of a command that has others below it. */
export function helpTopics(root: CommandShape): { words: string; below: string[] }[] {
  const groups = everyCommand(root).filter(({ commands }) => commands.length > 0);
  return groups.map(({ words, commands }) => ({ words: words.join(' '), below: commands.map((child) => child.words.at(-1) as string) }));
}

/** Throws when there is no such command: what names one here would otherwise outlive it. */
export function commandAt(root: CommandShape, words: string): CommandShape {
  const found = everyCommand(root).find((command) => command.words.join(' ') === words);
  if (!found) throw new Error(`expected a command "${words}", got none`);
  return found;
}

function optionShape(option: Option): OptionShape {
  const { short, long, flags, description, defaultValue, defaultValueDescription, envVar, required, optional, argChoices } = option;
  const name = /[<[]([^>\]]+)[>\]]/.exec(flags)?.[1] ?? '';
  return {
    ...(short === undefined ? {} : { short }),
    long: long ?? flags,
    description,
    ...(required || optional ? { value: { kind: kindOf(name), name, optional, choices: argChoices ?? [] } } : {}),
    ...(defaultValue === undefined ? {} : { default: defaultValueDescription ?? String(defaultValue) }),
    ...(envVar === undefined ? {} : { environment: envVar }),
  };
}

function argumentShape(argument: Argument): ArgumentShape {
  const { description, required, variadic, argChoices } = argument;
  return { name: argument.name(), kind: kindOf(argument.name()), description, required, variadic, choices: argChoices ?? [] };
}

function kindOf(placeholder: string): ValueKind {
  if (/^(folder|dir)$/.test(placeholder)) return 'folder';
  return /^(file|id)$/.test(placeholder) ? 'file' : 'text';
}
