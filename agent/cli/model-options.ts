import { type Command, Option } from 'commander';
import { bundledModel, loadConfig } from '../config/load-config.ts';
import { type Config, configSchema } from '../config/schema.ts';
import { namedFile } from './command.ts';

/** Of a command that hears recordings. */
export interface ModelOptions {
  config?: string;
  model?: string;
  operatingPoint?: 'balanced' | 'strict';
}

export function addModelOptions(command: Command): Command {
  return command
    .option('-c, --config <file>', 'take model and thresholds from this configuration', namedFile)
    .option('--model <folder>', 'model folder', namedFile)
    .addOption(new Option('--operating-point <name>', 'thresholds of the manifest').choices(['balanced', 'strict']));
}

/** What the options name, else the configuration, else the bundled model; `open` of the configuration in any case. */
export function modelSettings({ config, model, operatingPoint }: ModelOptions): Config['model'] {
  const settings = config !== undefined ? loadConfig(config).model : configSchema.shape.model.parse({ path: bundledModel });
  return { ...settings, ...(model !== undefined && { path: model }), ...(operatingPoint !== undefined && { operatingPoint }) };
}
