import { Command, Option } from 'commander';
import { addBench } from './bench.ts';
import { addConfig } from './config.ts';
import { addDevices } from './devices.ts';
import { addEvaluate } from './evaluate.ts';
import { addModel } from './model.ts';
import { addReplay } from './replay.ts';
import { addRun } from './run.ts';
import { addStatus } from './status.ts';

export const version = '0.1.0';

/** The whole command line. Commands throw; main.ts reports. Long ones stop when the signal aborts. */
export function buildProgram(signal: AbortSignal): Command {
  const program = new Command('tocsin')
    .description('Recognises breaking glass, shouting and bangs on the device, forgets the sound, publishes only anonymous events.')
    .version(version)
    .showHelpAfterError('Try: tocsin --help')
    .exitOverride();
  addRun(program, signal);
  addReplay(program, signal);
  addEvaluate(program, signal);
  addDevices(program);
  addStatus(program);
  addConfig(program);
  addModel(program);
  addBench(program, signal);
  program.addHelpText('after', '\nExit codes: 0 done, 1 defect, 2 usage, 3 configuration, 4 sound, 5 model, 6 outbox, 7 broker\n');
  return program;
}

/** The --config option that most commands share. */
export function configOption(): Option {
  return new Option('-c, --config <file>', 'configuration file').default('/etc/tocsin/tocsin.yaml').env('TOCSIN_CONFIG');
}

/** Adds a command with its examples; errors of usage are thrown, not exited on. */
export function addCommand(program: Command, name: string, description: string, examples: string[]): Command {
  return program
    .command(name)
    .description(description)
    .exitOverride()
    .addHelpText('after', `\nExamples:\n${examples.map((e) => `  ${e}`).join('\n')}\n`);
}
