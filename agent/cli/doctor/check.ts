import type { Config } from '../../config/schema.ts';
import type { ClosedProbe } from '../../delivery/closed-publisher.ts';
import { messageOf } from '../../lib/errors.ts';
import { tenth } from '../../lib/rounding.ts';
import { stopIf } from '../../lib/stop.ts';
import type { Told } from '../last-told.ts';
import { catalogue, type MessageKey, type Text, text, type Value, type Values, type Wanted } from '../translate.ts';
import type { Handshake, Probes, SoundSample } from './probes.ts';

export type CheckId =
  | ('config' | 'board' | 'power' | 'clock' | 'microphone' | 'level' | 'model' | 'outbox' | 'disk')
  | ('network' | 'name' | 'port' | 'tls' | 'dates' | 'broker' | 'acl' | 'services' | 'privacy');
export type State = 'pass' | 'warn' | 'fail' | 'skip';

/** What a check says. `found` is a message whose key names the finding; a warning or failure has a `hint` beside it. */
export interface Finding {
  readonly state: State;
  readonly found: Text;
  readonly hint?: Text;
  /** What needs this check is not tried, though it has not failed. */
  readonly blocks?: true;
}

/** What earlier checks learned and later ones build on. */
export interface Facts {
  config?: Config;
  sound?: SoundSample | 'file' | 'listener';
  /** What the listener that has the microphone last reported of it. */
  told?: Told;
  /** The interface that leads out. */
  way?: string;
  handshake?: Handshake;
  link?: ClosedProbe;
  units?: Record<string, Record<string, string>>;
}

/** The configuration, for checks that need it. */
export function required(facts: Facts) {
  if (!facts.config) throw new Error('a check that needs the configuration ran without it');
  return facts.config;
}

/**
 * One check: a small function of the probes. It starts once all of `after` and `needs` are done; when one of `needs`
 * failed or was not tried, it is not tried either.
 */
export interface Check {
  readonly id: CheckId;
  readonly timeoutMs: number;
  readonly needs?: readonly CheckId[];
  readonly after?: readonly CheckId[];
  /** What to try when it is late, where that is no matter of the board. */
  readonly lateHint?: 'doctor.host.server.try' | 'doctor.timeout.link';
  /** What it means that this check is late, where that is no failure. */
  late?(facts: Facts, seconds: number): Finding | undefined;
  run(probes: Probes, facts: Facts, signal: AbortSignal): Promise<Finding> | Finding;
}

export interface Result extends Finding {
  readonly check: CheckId;
  readonly ms: number;
}

export const pass = <K extends MessageKey>(key: K, ...values: Values<K>): Finding => ({ state: 'pass', found: text(key, ...values) });
export const skip = <K extends MessageKey>(key: K, ...values: Values<K>): Finding => ({ state: 'skip', found: text(key, ...values) });
export const warn = <K extends MessageKey>(key: K, ...values: HintedValues<K>): Finding => withHint('warn', key, values[0] ?? {});
export const fail = <K extends MessageKey>(key: K, ...values: HintedValues<K>): Finding => withHint('fail', key, values[0] ?? {});

/** The values of a finding are those of its sentence and of its hint together. */
type Hinted<K extends MessageKey> = Wanted<K> | (`${K}.try` extends MessageKey ? Wanted<`${K}.try`> : never);
type HintedValues<K extends MessageKey> = [Hinted<K>] extends [never] ? [] : [Record<Hinted<K>, Value>];

function withHint(state: 'warn' | 'fail', key: MessageKey, values: Record<string, Value>): Finding {
  const hint = `${key}.try`;
  return { state, found: { key, values }, ...(hint in catalogue ? { hint: { key: hint as MessageKey, values } } : {}) };
}

const tickMs = 50;

/** `blockedBy` names the check, mostly a failed one, that what needs this one has to wait for. */
type Outcome = Result & { readonly blockedBy?: CheckId };

/**
 * Counts the time in which this process ran: while it stands still (a runtime is loaded from a slow card, it is stopped
 * by hand) no answer is late.
 */
function openPatience() {
  let ms = 0;
  let seen = performance.now();
  const waiting = new Set<() => void>();
  const timer = setInterval(() => {
    const now = performance.now();
    ms += Math.min(now - seen, 2 * tickMs);
    seen = now;
    for (const look of waiting) look();
  }, tickMs);
  return {
    ran: () => ms,
    /** Calls once so many have passed, until `signal` aborts. */
    after(count: number, call: () => void, signal: AbortSignal): void {
      const until = ms + count;
      const look = () => {
        if (ms >= until) call();
      };
      waiting.add(look);
      signal.addEventListener('abort', () => waiting.delete(look));
    },
    close: () => clearInterval(timer),
  };
}

/**
 * Runs all checks within `budgetMs`, each as soon as those it depends on are done. Yields the results in order. Throws
 * when stopped.
 */
export async function* runChecks(checks: readonly Check[], probes: Probes, signal: AbortSignal, budgetMs = 14_000): AsyncGenerator<Result> {
  const patience = openPatience();
  const facts: Facts = {};
  const running = new Map<CheckId, Promise<Outcome>>();
  try {
    for (const check of checks) running.set(check.id, runOne(check, running, probes, facts, signal, { patience, budgetMs }));
    for (const result of running.values()) {
      const { blockedBy: _, ...shown } = await result;
      stopIf(signal);
      yield shown;
    }
  } finally {
    await Promise.allSettled(running.values());
    patience.close();
    await facts.link?.close();
  }
}

async function runOne(
  check: Check,
  running: Map<CheckId, Promise<Outcome>>,
  probes: Probes,
  facts: Facts,
  signal: AbortSignal,
  { patience, budgetMs }: { patience: ReturnType<typeof openPatience>; budgetMs: number },
): Promise<Outcome> {
  await Promise.resolve(); // until all are in `running`: one may have to wait for another that is shown after it
  for (const id of check.after ?? []) await running.get(id);
  for (const id of check.needs ?? []) {
    const blockedBy = (await running.get(id))?.blockedBy;
    if (blockedBy) return { ...skip('doctor.needs', { check: text(`doctor.name.${blockedBy}`) }), check: check.id, ms: 0, blockedBy };
  }
  if (signal.aborted) return { ...skip('doctor.stopped'), check: check.id, ms: 0 };
  const began = performance.now();
  const done = new AbortController();
  const late = new Promise<Finding>((resolve) => {
    const allowedMs = Math.max(0, Math.min(check.timeoutMs, budgetMs - patience.ran()));
    const seconds = tenth(allowedMs / 1000);
    const finding = fail('doctor.timeout', { seconds });
    const found = () => check.late?.(facts, seconds) ?? (check.lateHint ? { ...finding, hint: text(check.lateHint) } : finding);
    patience.after(allowedMs, () => resolve(found()), done.signal);
    // what was stopped is never shown: nothing is waited for
    signal.addEventListener('abort', () => resolve(skip('doctor.stopped')), { signal: done.signal });
  });
  const work = (async () => check.run(probes, facts, AbortSignal.any([signal, done.signal])))().catch((error: unknown) =>
    fail('doctor.defect', { reason: messageOf(error) }),
  );
  const { blocks, ...finding } = await Promise.race([work, late]);
  done.abort();
  return { ...finding, check: check.id, ms: Math.round(performance.now() - began), ...(blocks || finding.state === 'fail' ? { blockedBy: check.id } : {}) };
}
