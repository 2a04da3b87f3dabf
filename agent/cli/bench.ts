import { type Command, Option } from 'commander';
import type { AudioSource } from '../audio/frame.ts';
import { openOnnxClassifier } from '../classify/onnx-classifier.ts';
import { unlessStopped } from '../lib/stop.ts';
import { hear, rulesOf } from '../pipeline.ts';
import { wholeNumber } from './number-option.ts';
import { print, printJson, screenOf, wrap } from './output.ts';
import { addCommand } from './program.ts';
import type { Translate } from './translate.ts';

/** bench: what a second of sound costs on this board, from samples to events, on synthetic noise. */
export function addBench(program: Command, signal: AbortSignal, t: Translate): void {
  addCommand(program, 'bench', 'measure the cost of recognition on this machine', ['tocsin bench', 'tocsin bench --seconds 600 --json'])
    .option('--seconds <count>', 'seconds of sound', wholeNumber(1, 86_400), 300)
    .addOption(new Option('--model <folder>', 'model folder').default(new URL('../../models/street', import.meta.url).pathname, 'models/street'))
    .option('--json', 'one JSON object')
    .action(async (options: { seconds: number; model: string; json?: true }) => {
      const { seconds } = options;
      const classifier = await openOnnxClassifier(options.model);
      const rules = rulesOf(classifier.manifest, { operatingPoint: 'balanced', open: {} });
      const hearNoise = (length: number) => unlessStopped(signal, hear(noise(classifier.sampleRate, length), classifier, rules, {}, signal));
      await hearNoise(10);
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

/** Steady noise: one second of it, made before the clock runs and handed out again and again. */
function noise(sampleRate: number, seconds: number): AudioSource {
  const length = sampleRate / 10;
  let state = 1;
  const second = Float32Array.from({ length: sampleRate }, () => {
    state = (state * 48271) % 2147483647;
    return (state / 2147483647 - 0.5) * 0.02;
  });
  async function* frames(signal: AbortSignal) {
    for (let first = 0; first < seconds * sampleRate && !signal.aborted; first += length)
      yield { samples: second.slice(first % sampleRate, (first % sampleRate) + length), firstSample: first };
  }
  return { sampleRate, dropped: 0, frames };
}
