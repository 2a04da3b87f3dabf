import { Argument, type Command } from 'commander';
import { labels } from '../classify/model-manifest.ts';
import { openOnnxClassifier } from '../classify/onnx-classifier.ts';
import { bundledModel, loadConfig } from '../config/load-config.ts';
import { printableLine } from '../config/problems.ts';
import { exitCodes, TocsinError } from '../lib/errors.ts';
import { tenth } from '../lib/rounding.ts';
import { addCommand, namedFile } from './command.ts';
import { print, printJson, screenOf, showFields } from './output.ts';
import { ownThresholds } from './status.ts';
import type { Translate } from './translate.ts';

/** model: opens a model folder as the listener would and shows what it promises. */
export function addModel(program: Command, t: Translate): void {
  addCommand(program, 'model', 'check a model folder and show its manifest', [
    'tocsin model',
    'tocsin model /opt/models/other --json',
    'tocsin model --config /etc/tocsin/tocsin.yaml',
  ])
    .addArgument(new Argument('[folder]', 'model folder').default(bundledModel, 'models/street').argParser(namedFile))
    .option('-c, --config <file>', 'take model and thresholds from this configuration', namedFile)
    .option('--json', 'the manifest as one JSON object')
    .action(async (folder: string, options: { json?: true; config?: string }, command: Command) => {
      if (options.config !== undefined && command.args.length > 0)
        throw new TocsinError(t('usage.conflictingOption', { what: `'[folder]', '-c, --config <file>'` }), 'tocsin model --help', exitCodes.usage);
      const config = options.config === undefined ? undefined : loadConfig(options.config);
      const classifier = await openOnnxClassifier(config?.model.path ?? folder);
      const { manifest } = classifier;
      await classifier.push(new Float32Array(manifest.windowSamples));
      await classifier.push(Float32Array.from({ length: manifest.windowSamples }, (_, i) => Math.sin(i * i) * 0.1)); // noise, for scores other than those of silence
      await classifier.close();
      if (options.json) return printJson(manifest);
      const fields = [
        { name: t('field.model'), value: `${manifest.name} ${manifest.version}` },
        { name: t('field.licence'), value: printableLine(manifest.licence) },
        { name: t('field.digest'), value: t('model.verified', { digest: manifest.sha256.slice(0, 16) }), state: 'ok' as const },
        { name: t('field.input'), value: t('model.input', { rate: manifest.sampleRate, ms: tenth(manifest.frameSeconds * 1000) }) },
        ...Object.entries(manifest.operatingPoints).map(([name, point], i) => ({
          name: i === 0 ? t('field.thresholds') : '',
          value: `${t('model.point', { name, alarms: point.falseAlarmsPerHour })}\n${t.list(labels.map((label) => `${t(`label.${label}`)} ${t.number(point.labels[label].open, 4)}`))}`,
        })),
        ...(config ? [{ name: t('model.inForce'), value: ownThresholds(config, t) }] : []),
        { name: '', value: t('model.chosen', { where: printableLine(manifest.thresholdsChosenOn) }) },
      ];
      print(showFields(fields, screenOf(process.stdout)));
    });
}
