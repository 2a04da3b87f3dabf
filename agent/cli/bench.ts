import { type Command, Option } from 'commander';
import type { AudioSource } from '../audio/frame.ts';
import { openOnnxClassifier } from '../classify/onnx-classifier.ts';
import { rulesOf } from '../classify/rules.ts';
import { bundledModel } from '../config/load-config.ts';
import { tenth } from '../lib/rounding.ts';
import { unlessStopped } from '../lib/stop.ts';
import { hear } from '../pipeline.ts';
import { addCommand, namedFile } from './command.ts';
import { wholeNumber } from './number-option.ts';
import { printJson, printWrapped } from './output.ts';
import type { Translate } from './translate.ts';

/** bench: what a second of sound costs on this board, from samples to events, on synthetic noise. */
export function addBench(program: Command, signal: AbortSignal, t: Translate): void {
  addCommand(program, 'bench', 'measure the cost of recognition on this machine', ['tocsin bench', 'tocsin bench --seconds 600 --json'])
    .option('--seconds <count>', 'seconds of sound', wholeNumber(1, 86_400), 900)
    .addOption(new Option('--model <folder>', 'model folder').default(bundledModel, 'models/street').argParser(namedFile))
    .option('--json', 'one JSON object: secondsOfSound, cpuMsPerSecond, timesRealTime, residentMegabytes')
    .action(async (options: { seconds: number; model: string; json?: true }) => {
      const classifier = await openOnnxClassifier(options.model);
      const rules = rulesOf(classifier.manifest, { operatingPoint: 'balanced', open: {} });
      /** Ends after `longestMs` as well: a model slower than real time would take hours. Returns the seconds heard. */
      const hearNoise = async (seconds: number, longestMs: number) => {
        const source = noise(classifier.sampleRate, seconds, performance.now() + longestMs);
        return (await unlessStopped(signal, hear(source, classifier, rules, {}, signal))).secondsHeard;
      };
      await hearNoise(60, 5000); // until the code is compiled and the memory has grown: some tenth more else
      const cpu = process.cpuUsage();
      const began = performance.now();
      const heard = await hearNoise(options.seconds, Math.max(60_000, options.seconds * 100)); // a tenth of real time
      const elapsed = performance.now() - began;
      const { user, system } = process.cpuUsage(cpu);
      const resident = process.memoryUsage.rss(); // before the model is closed
      await classifier.close();
      const times = (heard * 1000) / elapsed;
      const result = {
        secondsOfSound: tenth(heard),
        cpuMsPerSecond: Math.round((user + system) / 10 / heard) / 100,
        timesRealTime: times < 10 ? Number(times.toPrecision(2)) : Math.round(times),
        residentMegabytes: Math.round(resident / 1e6),
      };
      if (options.json) return printJson(result);
      const { cpuMsPerSecond: cost, timesRealTime, residentMegabytes: megabytes } = result;
      printWrapped(t('bench.cost', { cost, times: timesRealTime, megabytes }));
      if (times < 2) printWrapped(t('bench.slow'));
    });
}

/** Steady noise in frames of 0.1 s: ten frames, made before the measurement and repeated. Ends at `untilMs` as well. */
export function noise(sampleRate: number, seconds: number, untilMs = Number.POSITIVE_INFINITY): AudioSource {
  const length = Math.round(sampleRate / 10); // whole samples: frames that do not join are gaps, and recognition would begin afresh at each
  let state = 1;
  const frame = () =>
    Float32Array.from({ length }, () => {
      state = (state * 48271) % 2147483647;
      return (state / 2147483647 - 0.5) * 0.02;
    });
  const made = Array.from({ length: 10 }, frame);
  async function* frames(signal: AbortSignal) {
    for (let i = 0; i < seconds * 10 && !signal.aborted && performance.now() < untilMs; i++)
      yield { samples: (made[i % 10] as Float32Array).slice(), firstSample: i * length };
  }
  return { sampleRate, dropped: 0, frames };
}
