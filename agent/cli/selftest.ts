import { type Command, Option } from 'commander';
import { loadConfig } from '../config/load-config.ts';
import { systemClock } from '../lib/clock.ts';
import { ConfigError, exitCodes, TocsinError } from '../lib/errors.ts';
import { unlessStopped } from '../lib/stop.ts';
import { addCommand, configOption, namedDevice } from './command.ts';
import { wholeNumber } from './number-option.ts';
import { print, printJson, type Screen, screenOf, wrap } from './output.ts';
import { BrokenChain, type ChainLink } from './selftest/chain.ts';
import { type Latency, runTrial, type Step, wholeMs } from './selftest/trial.ts';
import type { Text, Translate } from './translate.ts';

interface Options {
  config: string;
  json?: true;
  speaker?: string | true;
  ask?: true;
  oneWay?: true;
  seconds: number;
}

/** The exit code of a chain that broke at a link. */
const exits: Record<ChainLink, number> = {
  speaker: exitCodes.audio,
  microphone: exitCodes.audio,
  model: exitCodes.model,
  outbox: exitCodes.outbox,
  broker: exitCodes.broker,
  acl: exitCodes.broker,
};

/** selftest: a test sound goes in, and its event comes back from the broker; or the place where the chain broke. */
export function addSelftest(program: Command, signal: AbortSignal, t: Translate): void {
  addCommand(program, 'selftest', 'test the whole chain, from a sound to its event back from the broker; says where it breaks', [
    'sudo tocsin selftest',
    'sudo tocsin selftest --speaker',
    'sudo tocsin selftest --ask --seconds 60',
  ])
    .addOption(configOption())
    .option('--speaker [device]', 'play the test sound through aplay and hear it with the microphone', namedDevice)
    .addOption(new Option('--ask', 'ask for a sound and hear it with the microphone').conflicts('speaker'))
    .option('--one-way', 'do not wait for the event to come back')
    .option('--seconds <count>', 'how long to wait for a sound', wholeNumber(1, 3600), 30)
    .option('--json', 'one JSON object: ok, brokeAt, reason, try, label, confidence, latencyMs')
    .action((options: Options, command: Command) => {
      if (command.getOptionValueSource('seconds') === 'cli' && !options.ask && !options.speaker)
        throw new TocsinError('Expected --seconds with --ask or --speaker, got --seconds alone', 'sudo tocsin selftest --ask --seconds 60', exitCodes.usage);
      return selftest(options, signal, t);
    });
}

async function selftest(options: Options, signal: AbortSignal, t: Translate): Promise<void> {
  const config = loadConfig(options.config);
  if (config.microphone.adapter === 'file' && (options.speaker || options.ask))
    throw new ConfigError(
      `Expected a microphone for ${options.ask ? '--ask' : '--speaker'}, got the file ${config.microphone.file}`,
      'set microphone.adapter and microphone.device, or leave the option out',
    );
  const screen = screenOf(process.stdout);
  const latencyMs: Latency = {};
  const done = (step: Step, what: Text, ms?: number) => {
    if (!options.json) print(showStep(step, what, ms, t, screen));
  };
  if (!options.json) print(`${screen.colours.bold(wrap(t('selftest.title'), screen.columns))}\n`);
  try {
    const event = await unlessStopped(signal, runTrial(config, options, systemClock(), signal, { done, latencyMs }));
    if (options.json) printJson({ ok: true, label: event.data.label, confidence: event.data.confidence, latencyMs });
    else print(`\n${screen.colours.green(wrap(t('selftest.whole', { ms: wholeMs(latencyMs) }), screen.columns))}`);
  } catch (error) {
    if (!(error instanceof BrokenChain)) throw error;
    const [reason, hint] = [t.of(error.reason), t.of(error.hint)];
    if (options.json) printJson({ ok: false, brokeAt: error.link, reason, try: hint, latencyMs });
    throw new TocsinError(t('selftest.broke', { link: t(`selftest.link.${error.link}`), reason }), hint, exits[error.link]);
  }
}

export function showStep(step: Step, what: Text, ms: number | undefined, t: Translate, { columns, colours }: Screen): string {
  const time = ms === undefined ? '' : ` (${ms < 10 ? t.measure(ms, 'ms', 1) : t.measure(Math.round(ms), 'ms')})`;
  return `${colours.green('ok')}  ${t(`selftest.step.${step}`).padEnd(10)}${wrap(t.of(what) + time, columns, 14)}`;
}
