import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { stringify } from 'yaml';
import { loadConfig } from '../config/load-config.ts';
import { redact } from '../config/secrets.ts';
import { print, printJson } from './output.ts';
import { addCommand, configOption } from './program.ts';
import type { Translate } from './translate.ts';

export function addConfig(program: Command, t: Translate): void {
  const config = addCommand(program, 'config', 'check, show or begin a configuration file', [
    'tocsin config example > tocsin.yaml',
    'tocsin config check --config tocsin.yaml',
    'tocsin config show --json',
  ]);
  addCommand(config, 'check', 'report every problem at once', ['tocsin config check --config tocsin.yaml'])
    .addOption(configOption())
    .action(({ config: path }: { config: string }) => {
      loadConfig(path);
      print(t('config.right', { path }));
    });
  addCommand(config, 'show', 'all values in force, defaults included, secrets redacted', ['tocsin config show'])
    .addOption(configOption())
    .option('--json', 'one JSON object')
    .action(({ config: path, json }: { config: string; json?: true }) => {
      const shown = redact(loadConfig(path));
      if (json) printJson(shown);
      else process.stdout.write(stringify(shown));
    });
  addCommand(config, 'example', 'print a commented example', ['tocsin config example > tocsin.yaml']).action(() => {
    process.stdout.write(readFileSync(new URL('../../deploy/tocsin.example.yaml', import.meta.url), 'utf8'));
  });
}
