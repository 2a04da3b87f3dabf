import type { Label } from '../../classify/model-manifest.ts';
import type { Config } from '../../config/schema.ts';
import type { Clock } from '../../lib/clock.ts';
import { unlessStopped } from '../../lib/stop.ts';
import type { Result } from '../doctor/check.ts';
import type { Line } from '../privacy/check.ts';
import { findMachine } from '../privacy/machine.ts';
import { verifyRunning } from '../privacy/verify.ts';
import { BrokenChain, broken, type ChainLink } from '../selftest/chain.ts';
import type { Trace } from '../selftest/trace.ts';
import { type Latency, runTrial, type TrialOptions, type TrialProgress } from '../selftest/trial.ts';
import type { Text } from '../translate.ts';
import { hearsAgain, withoutListener } from './listener.ts';

export interface SelftestOutcome {
  readonly ok: boolean;
  /** What made the sound: a person, a loudspeaker, or a file with the microphone left out. */
  readonly sound: 'person' | 'speaker' | 'file';
  readonly label?: Label;
  readonly confidence?: number;
  readonly latencyMs: Latency;
  readonly brokeAt?: ChainLink;
  readonly reason?: Text | string;
  readonly hint?: Text | string;
  readonly trace?: Trace;
}

/** What each stage found, as far as it was run. Plain data: it is kept over an abort. */
export interface Stages {
  doctor?: readonly Result[];
  selftest?: SelftestOutcome;
  privacy?: readonly Line[];
}
export type StageName = keyof Stages;
export const stageNames = ['doctor', 'selftest', 'privacy'] as const satisfies readonly StageName[];

/**
 * If the trial needs the microphone, the listener releases it meanwhile. A sensor that does not hear afterwards is not
 * accepted.
 */
export async function runSelftest(
  config: Config,
  options: TrialOptions,
  clock: Clock,
  signal: AbortSignal,
  on: { done: TrialProgress['done']; listener: (is: 'paused' | 'restarted' | 'resumed') => void },
): Promise<SelftestOutcome> {
  const latencyMs: Latency = {};
  let trace: Trace | undefined;
  const traced = (read: Trace) => {
    trace = read;
  };
  const needsMicrophone = takesMicrophone(options);
  const sound = isHeard(config, options) ? (options.ask ? 'person' : 'speaker') : 'file';
  const trial = () => runTrial(config, options, clock, signal, { done: on.done, latencyMs, traced });
  const seen = () => (trace ? { trace } : {});
  let stoppedMs = 0;
  let hears = true;
  const stopped = () => {
    stoppedMs = clock.monotonicMs();
    on.listener('paused');
  };
  const started = async () => {
    on.listener('restarted');
    hears = await hearsAgain(config.outbox.path, stoppedMs, clock, signal);
    if (hears) on.listener('resumed');
  };
  try {
    const event = needsMicrophone ? await withoutListener(trial, { stopped, started }) : await trial();
    if (!hears) throw broken('microphone', 'commission.unheard');
    const { label, confidence } = event.data;
    return { ok: true, sound, label, confidence, latencyMs, ...seen() };
  } catch (error) {
    if (!(error instanceof BrokenChain)) throw error;
    const { link, reason, hint } = error;
    return { ok: false, sound, latencyMs, brokeAt: link, reason, hint, ...seen() };
  }
}

type Asked = Pick<TrialOptions, 'ask' | 'speaker' | 'oneWay'>;
const takesMicrophone = ({ ask, speaker }: Asked) => ask || speaker !== undefined;
const isHeard = ({ microphone }: Config, asked: Asked) => microphone.adapter !== 'file' && takesMicrophone(asked);

/** Whether a selftest tried all that is asked for now: one kept over an abort may have been asked for less. */
export function triedAsMuch({ sound, latencyMs }: SelftestOutcome, config: Config, asked: Asked): boolean {
  return (sound !== 'file' || !isHeard(config, asked)) && (latencyMs.returned !== undefined || asked.oneWay === true);
}

export async function runPrivacy(configPath: string, signal: AbortSignal): Promise<Line[]> {
  const find = () => findMachine({ configPath });
  return (await unlessStopped(signal, verifyRunning(find))).lines;
}

/** Nothing failed in it; only such a stage is not run again after an abort. */
export function passed(stages: Stages, name: StageName): boolean {
  if (name === 'selftest') return stages.selftest?.ok ?? false;
  return stages[name]?.every(({ state }) => state !== 'fail') ?? false;
}
