import { type Command, Option } from 'commander';
import type { AudioSource } from '../audio/frame.ts';
import { openOnnxClassifier } from '../classify/onnx-classifier.ts';
import { rulesOf } from '../classify/rules.ts';
import { bundledModel } from '../config/load-config.ts';
import { unlessStopped } from '../lib/stop.ts';
import { hear } from '../pipeline.ts';
import { addCommand } from './command.ts';
import { wholeNumber } from './number-option.ts';
import { print, printJson, screenOf, wrap } from './output.ts';
import type { Translate } from './translate.ts';

/** bench: what a second of sound costs on this board, from samples to events, on synthetic noise. */
export function addBench(program: Command, signal: AbortSignal, t: Translate): void {
  addCommand(program, 'bench', 'measure the cost of recognition on this machine', ['tocsin bench', 'tocsin bench --seconds 600 --json'])
    .option('--seconds <count>', 'seconds of sound', wholeNumber(1, 86_400), 900)
    .addOption(new Option('--model <folder>', 'model folder').default(bundledModel, 'models/street'))
    .option('--json', 'one JSON object: secondsOfSound, cpuMsPerSecond, timesRealTime, residentMegabytes')
    .action(async (options: { seconds: number; model: string; json?: true }) => {
      const { seconds } = options;
      const classifier = await openOnnxClassifier(options.model);
      const rules = rulesOf(classifier.manifest, { operatingPoint: 'balanced', open: {} });
      const hearNoise = (length: number) => unlessStopped(signal, hear(noise(classifier.sampleRate, length), classifier, rules, {}, signal));
      await hearNoise(60); // until the code is compiled and the memory has grown: some tenth more else
      const cpu = process.cpuUsage();
      const began = performance.now();
      await hearNoise(seconds);
      const elapsed = performance.now() - began;
      const { user, system } = process.cpuUsage(cpu);
      await classifier.close();
      const result = {
        secondsOfSound: seconds,
        cpuMsPerSecond: Math.round((user + system) / 10 / seconds) / 100,
        timesRealTime: Math.round((seconds * 1000) / elapsed),
        residentMegabytes: Math.round(process.memoryUsage.rss() / 1e6),
      };
      if (options.json) printJson(result);
      else {
        const { cpuMsPerSecond: cost, timesRealTime: times, residentMegabytes: megabytes } = result;
        print(wrap(t('bench.cost', { cost, times, megabytes }), screenOf(process.stdout).columns));
      }
    });
}

/** Steady noise in frames of 0.1 s: ten frames, made before the measurement and repeated. */
export function noise(sampleRate: number, seconds: number): AudioSource {
  const length = Math.round(sampleRate / 10); // whole samples: frames that do not join are gaps, and recognition would begin afresh at each
  let state = 1;
  const frame = () =>
    Float32Array.from({ length }, () => {
      state = (state * 48271) % 2147483647;
      return (state / 2147483647 - 0.5) * 0.02;
    });
  const made = Array.from({ length: 10 }, frame);
  async function* frames(signal: AbortSignal) {
    for (let i = 0; i < seconds * 10 && !signal.aborted; i++) yield { samples: (made[i % 10] as Float32Array).slice(), firstSample: i * length };
  }
  return { sampleRate, dropped: 0, frames };
}
