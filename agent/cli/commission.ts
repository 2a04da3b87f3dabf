import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { loadModel } from '../classify/model-manifest.ts';
import { rulesOf, thresholdsOf } from '../classify/rules.ts';
import { loadConfig } from '../config/load-config.ts';
import type { Config } from '../config/schema.ts';
import { type Clock, systemClock } from '../lib/clock.ts';
import { exitCodes, StoppedError, TocsinError } from '../lib/errors.ts';
import { ifPossible } from '../lib/if-possible.ts';
import { shellWord } from '../lib/shell-word.ts';
import { inspectOutbox, recallBoot } from '../outbox/view-outbox.ts';
import { addCommand, configOption, namedDevice, namedFile, version } from './command.ts';
import { commissionPage, verification } from './commission/page.ts';
import { openProgress } from './commission/progress.ts';
import { type Complete, commissionJson, type Subject, untried, verdictOf } from './commission/report.ts';
import { checkParent, openSigner, placeSealed } from './commission/seal.ts';
import { passed, runPrivacy, runSelftest, type StageName, type Stages, stageNames, triedAsMuch } from './commission/stages.ts';
import { runDoctor, showResult } from './doctor.ts';
import { wholeNumber } from './number-option.ts';
import { print, printJson, type Screen, screenOf, wrap } from './output.ts';
import { countOf } from './privacy/verify.ts';
import type { TrialOptions } from './selftest/trial.ts';
import { showStep } from './selftest.ts';
import type { Translate } from './translate.ts';

interface Options {
  config: string;
  out: string;
  speaker?: string | true;
  microphone: boolean;
  seconds: number;
  oneWay?: true;
  json?: true;
}

/** commission: doctor, selftest and privacy verify in one guided run, and a signed report for the file. */
export function addCommission(program: Command, signal: AbortSignal, t: Translate): void {
  addCommand(program, 'commission', 'doctor, selftest and privacy verify in one run, and a signed acceptance report', [
    'sudo tocsin commission',
    'sudo tocsin commission --out /root/reports --speaker',
    'sudo tocsin commission --no-microphone --json',
  ])
    .addOption(configOption())
    .option('--out <folder>', 'where to create the folder of the report', namedFile, '.')
    .option('--speaker [device]', 'play the test sound through aplay instead of asking for it', namedDevice)
    .addOption(new Option('--no-microphone', 'leave the microphone out: the report is incomplete').conflicts(['speaker', 'seconds']))
    .option('--seconds <count>', 'how long to wait for a sound', wholeNumber(1, 3600), 60)
    .option('--one-way', 'do not wait for the event to come back')
    .option('--json', 'the report as one JSON object')
    .action((options: Options, command: Command) => commission(options, resumingCommand(command), signal, t));
}

async function commission(options: Options, again: string, signal: AbortSignal, t: Translate): Promise<void> {
  const config = loadConfig(options.config);
  const configSha256 = hash('sha256', readFileSync(options.config));
  const signer = openSigner(config.mqtt);
  const parent = resolve(options.out);
  checkParent(parent);
  const clock = systemClock();
  const progress = openProgress(parent, config.sensor, configSha256, version, clock);
  const stages: Stages = { ...progress.kept };
  if (stages.selftest && !triedAsMuch(stages.selftest, config, trialOf(options))) delete stages.selftest;
  const screen = screenOf(process.stdout);
  const say = (line: string) => {
    if (!options.json) print(line);
  };
  const run: Run = { config, options, clock, signal, screen, say, t };
  say(`${screen.colours.bold(t('commission.title'))}\n${wrap(t('commission.intro'), screen.columns)}`);
  for (const [i, name] of stageNames.entries()) {
    say(`\n${screen.colours.bold(wrap(`${i + 1}. ${t(`commission.stage.${name}`)}`, screen.columns))}`);
    if (passed(stages, name)) {
      say(screen.colours.green(t('commission.kept')));
      continue;
    }
    let stopped = false;
    await runStage[name](stages, run).catch((error: unknown) => {
      if (!(error instanceof StoppedError)) throw error; // a listener that does not start again is told after a stop too
      stopped = true;
    });
    if (stopped || signal.aborted) throw new StoppedError(t('commission.stopped'), again);
    progress.keep(stages);
  }
  if (hash('sha256', readFileSync(options.config)) !== configSha256)
    throw new TocsinError(`Expected ${options.config} to stay as it was during the run, got another configuration`, again, exitCodes.failure);
  const whole = stages as Complete;
  const subject = describe(config, configSha256, clock);
  const report = commissionJson(whole, subject, signer, t);
  const files = { 'report.json': `${JSON.stringify(report, null, 2)}\n`, 'report.html': commissionPage(whole, subject, signer) };
  const folder = placeSealed(parent, `commission-${config.sensor}-${subject.time.replace(/[-:]|\..*/g, '')}Z`, files, signer);
  progress.forget();
  if (options.json) printJson(report);
  const verdict = verdictOf(whole);
  const paint = { accepted: screen.colours.green, incomplete: screen.colours.yellow, refused: screen.colours.red }[verdict];
  say(`\n${paint(wrap(t(`commission.verdict.${verdict}`), screen.columns))}\n${t('commission.written', { folder })}`);
  say(`${wrap(t('commission.signed'), screen.columns)}\n${screen.colours.dim(verification(signer, subject.time).replace(/^/gm, '  '))}`);
  conclude(whole, t);
}

/** One call of the command. */
interface Run {
  readonly config: Config;
  readonly options: Options;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly screen: Screen;
  readonly say: (line: string) => void;
  readonly t: Translate;
}

function trialOf({ seconds, oneWay, speaker, microphone }: Options): TrialOptions {
  return { seconds, oneWay, speaker, ask: microphone && !speaker };
}

/** Runs a stage, says what it finds and adds it to the stages. */
const runStage: Record<StageName, (stages: Stages, run: Run) => Promise<void>> = {
  async doctor(stages, { options, clock, signal, screen, say, t }) {
    stages.doctor = await runDoctor(options.config, clock, signal, (result) => say(showResult(result, t, screen)));
  },

  async selftest(stages, { config, options, clock, signal, screen, say, t }) {
    const outcome = await runSelftest(config, trialOf(options), clock, signal, {
      done: (step, what, ms) => say(showStep(step, what, ms, t, screen)),
      listener: (is) => say(screen.colours.dim(wrap(t(`commission.${is}`), screen.columns))),
    });
    stages.selftest = outcome;
    const { ok, brokeAt, reason = '', hint = '' } = outcome;
    if (ok || !brokeAt) return;
    say(screen.colours.red(wrap(t('selftest.broke', { link: t(`selftest.link.${brokeAt}`), reason: t.of(reason) }), screen.columns)));
    say(wrap(`${t('try')} ${t.of(hint)}`, screen.columns));
  },

  async privacy(stages, { options, signal, screen, say, t }) {
    const lines = await runPrivacy(options.config, signal);
    stages.privacy = lines;
    for (const { state, part, what, found } of lines)
      if (state === 'fail') say(screen.colours.red(wrap(t('commission.privacy.failed', { part: t(`privacy.part.${part}`), what, found }), screen.columns, 6)));
    const { pass, fail, unchecked } = countOf(lines);
    say(wrap(t('privacy.summary', { passed: pass, failed: fail, unchecked }), screen.columns));
  },
};

function describe(config: Config, configSha256: string, clock: Clock): Subject {
  const { manifest } = loadModel(config.model.path);
  const rules = rulesOf(manifest, config.model);
  // doctor does it, but may have been kept from an earlier run, and tells of an outbox that cannot be read
  ifPossible(() => recallBoot(inspectOutbox(config.outbox.path), clock));
  const { wallMs, synchronised } = clock.now();
  return {
    site: config.site,
    sensor: config.sensor,
    version,
    bootId: clock.bootId,
    time: new Date(wallMs).toISOString(),
    clockSynchronised: synchronised,
    model: { name: manifest.name, version: manifest.version, sha256: manifest.sha256 },
    thresholds: thresholdsOf(rules),
    configSha256,
  };
}

/**
 * The command as typed, quoted for a shell, with the configuration named by the environment, which sudo does not pass
 * on.
 */
function resumingCommand(command: Command): string {
  const typed = (command.parent as Command & { rawArgs: string[] }).rawArgs.slice(2);
  const config = command.getOptionValueSource('config') === 'env' ? ['--config', command.opts<Options>().config] : [];
  const quoted = [...typed, ...config].map(shellWord);
  return [...(process.getuid?.() === 0 ? ['sudo'] : []), 'tocsin', ...quoted].join(' ');
}

/** The exit code says the verdict; the report is there in any case. */
function conclude(stages: Complete, t: Translate): void {
  const verdict = verdictOf(stages);
  if (verdict === 'accepted') return;
  const names = stageNames.filter((name) => !passed(stages, name));
  if (verdict === 'refused') throw new TocsinError(t('commission.refused', { names: names.join(', ') }), t('commission.refused.try'), exitCodes.check);
  throw new TocsinError(t('commission.incomplete', { names: untried(stages).join(', ') }), t('commission.incomplete.try'), exitCodes.unchecked);
}
