import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { checkConfig, loadConfig, meterSocketPath } from '../config/load-config.ts';
import { redacted, shownUrl } from '../config/problems.ts';
import type { Config } from '../config/schema.ts';
import { redact } from '../config/secrets.ts';
import { ConfigError } from '../lib/errors.ts';
import { addCommand, configOption } from './command.ts';
import { type Field, print, printJson, printWrapped, screenOf, showFields, wrap } from './output.ts';
import type { Translate } from './translate.ts';

export function addConfig(program: Command, t: Translate): void {
  const config = addCommand(program, 'config', 'check or show a configuration file, or print an example', [
    'tocsin config example > tocsin.yaml',
    'tocsin config check --config tocsin.yaml',
    'tocsin config show --json',
  ]);
  addCommand(config, 'check', 'report every problem; contradictions between keys once each key is valid', [
    'tocsin config check --config tocsin.yaml',
    'tocsin config check --json',
  ])
    .addOption(configOption())
    .option('--json', 'one JSON object: ok, problems')
    .action(({ config: path, json }: { config: string; json?: true }) => {
      const { sensor, site, microphone, mqtt } = json ? checked(path, t) : loadConfig(path);
      if (json) return printJson({ ok: true, problems: [] });
      const { columns, colours } = screenOf(process.stdout);
      print(colours.green(wrap(t('config.right', { path }), columns)));
      const device = microphone.adapter === 'file' ? (microphone.file as string) : microphone.device;
      printWrapped(t('config.ofSensor', { sensor, site, adapter: microphone.adapter, device, url: shownUrl(mqtt.url) }));
    });
  addCommand(config, 'show', 'all values in force, defaults included, secrets redacted', ['tocsin config show'])
    .addOption(configOption())
    .option('--json', 'one JSON object')
    .action(({ config: path, json }: { config: string; json?: true }) => {
      const config = loadConfig(path);
      const shown = redact({ ...config, meter: { socket: meterSocketPath(config) } });
      if (json) printJson(shown);
      else print(showFields(sections(shown, path, t), screenOf(process.stdout)));
    });
  addCommand(config, 'example', 'print a commented example', ['tocsin config example > tocsin.yaml']).action(() => {
    process.stdout.write(readFileSync(new URL('../../deploy/tocsin.example.yaml', import.meta.url), 'utf8'));
  });
}

/** Throws the ConfigError as well: exit code and words for a person stay the same. */
function checked(path: string, t: Translate): Config {
  try {
    return loadConfig(path);
  } catch (error) {
    if (error instanceof ConfigError) printJson({ ok: false, problems: error.problems.map(t.of) });
    throw error;
  }
}

/** A field for each section: what differs from the defaults, and behind it what does not. */
function sections(config: Config, path: string, t: Translate): Field[] {
  const { site, sensor } = config;
  const defaults = checkConfig({ site, sensor, mqtt: { url: 'mqtts://broker' } }, path);
  const shown = (value: unknown) => (value === redacted ? t('config.redacted') : typeof value === 'string' ? value : JSON.stringify(value));
  return [
    { name: t('config.file'), value: path },
    ...Object.entries(config).flatMap(([name, section]): Field[] => {
      if (typeof section === 'string') return [{ name, value: section }];
      const normal = defaults[name as keyof Config] as Record<string, unknown>;
      const isDefault = ([key, value]: [string, unknown]) => key !== 'url' && shown(normal[key]) === (key === 'path' ? resolve(shown(value)) : shown(value));
      const said = (entries: [string, unknown][]) => entries.map(([key, value]) => `${key} ${shown(value)}`).join(', ');
      const values: [string, unknown][] = Object.entries(section).filter(([, value]) => shown(value) !== '{}');
      if (values.length === 0) return [];
      const same = said(values.filter(isDefault));
      const set = said(values.filter((entry) => !isDefault(entry)));
      return [{ name, value: set, note: same && t('config.defaults', { values: same }) }];
    }),
  ];
}
