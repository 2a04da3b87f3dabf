import Table from 'cli-table3';
import type { Command } from 'commander';
import { labels } from '../classify/model-manifest.ts';
import { openOnnxClassifier } from '../classify/onnx-classifier.ts';
import { print, printJson } from './output.ts';
import { addCommand } from './program.ts';

/** model: opens a model folder as the listener would and shows what it promises. */
export function addModel(program: Command): void {
  addCommand(program, 'model', 'check a model folder and show its manifest', ['tocsin model', 'tocsin model /opt/models/other --json'])
    .argument('[folder]', 'model folder', new URL('../../models/street', import.meta.url).pathname)
    .option('--json', 'the manifest as one JSON object')
    .action(async (folder: string, options: { json?: true }) => {
      const classifier = await openOnnxClassifier(folder);
      const { manifest } = classifier;
      await classifier.push(new Float32Array(manifest.windowSamples));
      await classifier.close();
      if (options.json) return printJson(manifest);
      print(`${manifest.name} ${manifest.version}, ${manifest.licence}, sha256 ${manifest.sha256.slice(0, 16)}... verified`);
      print(`${manifest.sampleRate} Hz, a score every ${manifest.frameSeconds * 1000} ms, thresholds: ${manifest.thresholdsChosenOn}`);
      const table = new Table({ head: ['operating point', 'false alarms/h', ...labels] });
      for (const [name, point] of Object.entries(manifest.operatingPoints))
        table.push([name, `<= ${point.falseAlarmsPerHour}`, ...labels.map((label) => point.labels[label].open.toFixed(2))]);
      print(table.toString());
    });
}
