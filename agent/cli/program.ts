import { Command, Option } from 'commander';
import { exitCodes } from '../lib/errors.ts';
import { version } from './command.ts';
import { type Language, languages } from './message.ts';
import { screenOf, wrap } from './output.ts';
import { catalogue, type MessageKey, openTranslate, type Translate, translateHelp } from './translate.ts';
import { noBreak } from './typography.ts';
import { usageError } from './usage.ts';

interface Definition {
  readonly names: readonly string[];
  /** Whether it looks at the others. */
  readonly ofAll?: true;
  readonly add: (program: Command, signal: AbortSignal, t: Translate) => Promise<void>;
}

/**
 * A command's modules are loaded when it is called. So `listen` loads none that reaches a network, and `deliver` none
 * that hears (decision 74).
 */
const definitions: readonly Definition[] = [
  { names: ['provision'], add: async (program, _, t) => (await import('./provision.ts')).addProvision(program, t) },
  { names: ['doctor'], add: async (program, signal, t) => (await import('./doctor.ts')).addDoctor(program, signal, t) },
  { names: ['meter'], add: async (program, signal, t) => (await import('./meter.ts')).addMeter(program, signal, t) },
  { names: ['selftest'], add: async (program, signal, t) => (await import('./selftest.ts')).addSelftest(program, signal, t) },
  { names: ['calibrate'], add: async (program, signal, t) => (await import('./calibrate.ts')).addCalibrate(program, signal, t) },
  { names: ['commission'], add: async (program, signal, t) => (await import('./commission.ts')).addCommission(program, signal, t) },
  { names: ['status', 'outbox'], add: async (program, _, t) => (await import('./status.ts')).addStatus(program, t) },
  { names: ['events'], add: async (program, signal, t) => (await import('./events.ts')).addEvents(program, signal, t) },
  { names: ['devices'], add: async (program, _, t) => (await import('./devices.ts')).addDevices(program, t) },
  { names: ['config'], add: async (program, _, t) => (await import('./config.ts')).addConfig(program, t) },
  { names: ['model'], add: async (program, _, t) => (await import('./model.ts')).addModel(program, t) },
  { names: ['privacy'], add: async (program, signal, t) => (await import('./privacy.ts')).addPrivacy(program, signal, t) },
  { names: ['run', 'listen', 'deliver'], add: async (program, signal) => (await import('./run.ts')).addRun(program, signal) },
  { names: ['replay'], add: async (program, signal, t) => (await import('./replay.ts')).addReplay(program, signal, t) },
  { names: ['evaluate'], add: async (program, signal, t) => (await import('./evaluate.ts')).addEvaluate(program, signal, t) },
  { names: ['bench'], add: async (program, signal, t) => (await import('./bench.ts')).addBench(program, signal, t) },
  { names: ['completion', 'man', 'field-card'], ofAll: true, add: async (program, _, t) => (await import('./manual.ts')).addManual(program, t) },
];

/** The headings of the help, in the order of a visit. */
const groups: Readonly<Record<string, readonly string[]>> = {
  'At the sensor:': ['provision', 'doctor', 'meter', 'selftest', 'calibrate', 'commission'],
  'State and settings:': ['status', 'events', 'outbox', 'devices', 'config', 'model', 'privacy'],
  'The agent:': ['run', 'listen', 'deliver'],
  'Recordings and other tools:': ['replay', 'evaluate', 'bench', 'completion', 'man', 'field-card', 'help'],
};

/**
 * Builds the command line: only the command `called`, if that is the name of one, otherwise all. `config`: see
 * `configNamedBy`. Commands throw and main.ts reports. Long ones stop when the signal aborts.
 */
export async function buildProgram(signal: AbortSignal, language: Language = 'en', config?: string, called?: string): Promise<Command> {
  const t = openTranslate(language, config);
  const program = new Command('tocsin')
    .description('Recognises breaking glass, shouting and bangs on the device, forgets the sound, publishes only anonymous events.')
    .version(version, '-V, --version', t('help.version'))
    .exitOverride();
  const alone = definitions.find(({ names, ofAll }) => called !== undefined && names.includes(called) && !ofAll);
  for (const { add } of alone ? [alone] : definitions) await add(program, signal, t);
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
      minWidthToWrap: 10,
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
    if (!command.parent) help.helpGroup('Recordings and other tools:');
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
