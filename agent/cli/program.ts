import { Command, Option } from 'commander';
import { exitCodes } from '../lib/errors.ts';
import { addBench } from './bench.ts';
import { addCalibrate } from './calibrate.ts';
import { version } from './command.ts';
import { addCommission } from './commission.ts';
import { addConfig } from './config.ts';
import { addDevices } from './devices.ts';
import { addDoctor } from './doctor.ts';
import { addEvaluate } from './evaluate.ts';
import { addEvents } from './events.ts';
import { addManual } from './manual.ts';
import { type Language, languages } from './message.ts';
import { addMeter } from './meter.ts';
import { addModel } from './model.ts';
import { screenOf, wrap } from './output.ts';
import { addPrivacy } from './privacy.ts';
import { addProvision } from './provision.ts';
import { addReplay } from './replay.ts';
import { addRun } from './run.ts';
import { addSelftest } from './selftest.ts';
import { addStatus } from './status.ts';
import { catalogue, type MessageKey, openTranslate, type Translate, translateHelp } from './translate.ts';
import { noBreak } from './typography.ts';
import { usageError } from './usage.ts';

/** The headings of the help, in the order of a visit. */
const groups: Readonly<Record<string, readonly string[]>> = {
  'On the ladder:': ['provision', 'doctor', 'meter', 'selftest', 'calibrate', 'commission'],
  'To look:': ['status', 'events', 'outbox', 'devices', 'config', 'model', 'privacy'],
  'The agent:': ['run', 'listen', 'deliver'],
  'On recordings, and the rest:': ['replay', 'evaluate', 'bench', 'completion', 'man', 'field-card', 'help'],
};

/** The whole command line; `config` as `configNamedBy` tells. Commands throw; main.ts reports. Long ones stop when the signal aborts. */
export function buildProgram(signal: AbortSignal, language: Language = 'en', config?: string): Command {
  const t = openTranslate(language, config);
  const program = new Command('tocsin')
    .description('Recognises breaking glass, shouting and bangs on the device, forgets the sound, publishes only anonymous events.')
    .version(version, '-V, --version', t('help.version'))
    .exitOverride();
  addProvision(program, t);
  addDoctor(program, signal, t);
  addMeter(program, signal, t);
  addSelftest(program, signal, t);
  addCalibrate(program, signal, t);
  addCommission(program, signal, t);
  addStatus(program, t);
  addEvents(program, signal, t);
  addDevices(program, t);
  addConfig(program, t);
  addModel(program, t);
  addPrivacy(program, t);
  addRun(program, signal);
  addReplay(program, signal, t);
  addEvaluate(program, signal, t);
  addBench(program, signal, t);
  addManual(program, t);
  program.addHelpText('after', () => `\n${wrap(exitCodeLine(t), screenOf(process.stdout).columns)}\n`);
  for (const [title, names] of Object.entries(groups)) for (const command of program.commands) if (names.includes(command.name())) command.helpGroup(title);
  speak(program, t);
  return program;
}

/** Puts the help of every command in the language, and adds --lang to all of them. */
function speak(command: Command, t: Translate): void {
  const inBrackets = (line: string) =>
    (['(default:', ', default:', '(choices:', '(env:', ', env:'] as const).reduce((said, part) => said.replace(part, t(`help.${part}`)), line);
  command
    .description(translateHelp(command.description(), t.language))
    .addOption(new Option('--lang <language>', t('help.lang')).choices(languages))
    .helpOption('-h, --help', t('help.help'))
    .configureOutput({ outputError: () => undefined }) // main.ts reports it once, as every other error
    .exitOverride((error) => {
      throw error.exitCode === 0 || error.code === 'commander.help' ? error : usageError(error, command, t);
    })
    .configureHelp({
      minWidthToWrap: 20,
      boxWrap: (said, columns) => wrap(said, columns), // commander's own breaks at a no-break space
      subcommandTerm: (child) =>
        [
          child.name(),
          ...child.registeredArguments.map((argument) =>
            argument.required ? `<${argument.name()}${argument.variadic ? '...' : ''}>` : `[${argument.name()}]`,
          ),
        ].join(' '),
      styleOptionDescription: inBrackets,
      styleArgumentDescription: inBrackets,
      styleTitle: (title) => {
        const key = `help.${title}`;
        return key in catalogue ? t.of({ key: key as MessageKey, values: {} }) : title;
      },
    });
  if (command.commands.length > 0) {
    const help = new Command('help').argument('[command...]').description(t('help.help'));
    command.helpCommand(false); // commander's own looks at the first word alone
    command.addCommand(help.action((words: string[]) => showHelp(command, words)));
    if (!command.parent) help.helpGroup('On recordings, and the rest:');
  }
  for (const part of [...command.options, ...command.registeredArguments]) part.description = translateHelp(part.description, t.language);
  for (const child of command.commands) speak(child, t);
}

/** The help of the command that the words name, below the one where help was asked for. */
function showHelp(command: Command & { unknownCommand?: () => void }, [word, ...words]: readonly string[]): void {
  if (word === undefined) command.help();
  const child = command.commands.find((below) => below.name() === word);
  if (child) showHelp(child, words);
  command.args = [word];
  command.unknownCommand?.(); // says it and what may have been meant; commander's types leave it out
}

function exitCodeLine(t: Translate): string {
  const codes = Object.entries(exitCodes).map(([name, code]) => `${code}${noBreak}${t(`exit.${name as keyof typeof exitCodes}`)}`);
  return `${t('help.exitCodes')} 0${noBreak}${t('exit.done')}, ${codes.join(', ')}`;
}
