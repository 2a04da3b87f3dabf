// What every command is made with.
import { type Command, InvalidArgumentError, Option } from 'commander';
import { serviceConfig } from '../config/load-config.ts';
import { exitCodes, TocsinError } from '../lib/errors.ts';
import type { Translate } from './translate.ts';

export const version = '0.1.0';

/** The --config option that most commands share. */
export function configOption(): Option {
  return new Option('-c, --config <file>', 'configuration file').default(serviceConfig).env('TOCSIN_CONFIG').argParser(namedFile);
}

/** A variable of the shell that is empty names no file or folder. */
export function namedFile(path: string): string {
  if (path === '') throw new InvalidArgumentError('expected a path');
  return path;
}

/** Nor does it name a device: the option would be taken for absent, and the microphone left out. */
export function namedDevice(name: string): string {
  if (name === '') throw new InvalidArgumentError('expected the name of a device');
  return name;
}

const examplesByCommand = new WeakMap<Command, readonly string[]>();

/** Adds a command with its examples; errors of usage are thrown, not exited on. */
export function addCommand(program: Command, name: string, description: string, examples: readonly string[]): Command {
  const command = program.command(name).description(description).exitOverride();
  examplesByCommand.set(command, examples);
  return command.addHelpText('after', () => `\n${command.createHelp().styleTitle('Examples:')}\n${examples.map((e) => `  ${e}`).join('\n')}\n`);
}

export function examplesOf(command: Command): readonly string[] {
  return examplesByCommand.get(command) ?? [];
}

/**
 * Commander also accepts an option of the parent command after this one. Refuses those that are neither its own nor
 * `taken`, instead of ignoring them.
 */
export function refuseOthers(command: Command, t: Translate, taken: readonly string[] = []): void {
  const { parent } = command;
  const known = new Set([...command.options.map((option) => option.attributeName()), ...taken]);
  const given = parent?.options.find((option) => !known.has(option.attributeName()) && parent.getOptionValueSource(option.attributeName()) === 'cli');
  if (given === undefined) return;
  const what = `'${command.name()}', '${given.flags}'`;
  throw new TocsinError(t('usage.conflictingOption', { what }), `tocsin ${parent?.name()} ${command.name()} --help`, exitCodes.usage);
}
