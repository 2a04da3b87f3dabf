import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect } from 'vitest';
import { stringify } from 'yaml';
import { type CheckId, type Result, runChecks, type State } from '../../agent/cli/doctor/check.ts';
import { machineProbes, type Probes } from '../../agent/cli/doctor/probes.ts';
import { allChecks, showResult } from '../../agent/cli/doctor.ts';
import { openTranslate, text } from '../../agent/cli/translate.ts';
import { systemClock } from '../../agent/lib/clock.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { limits, recordedEvent } from './samples.ts';

export const signal = new AbortController().signal;
export const scene = resolve('test/demo/scene.flac');
const machineClock = systemClock();
const olderMs = 86_400_000; // the boot that is examined, so that hours of it can be told on a machine that has just started
const monotonicMs = () => machineClock.monotonicMs() + olderMs;
export const clock = {
  ...machineClock,
  monotonicMs,
  synchronised: () => true,
  now: () => ({ ...machineClock.now(), monotonicMs: monotonicMs(), synchronised: true }),
};

type Overrides = { microphone?: object; model?: object; outbox?: object; mqtt?: object; site?: string };
export interface Planted extends Overrides {
  readonly url?: string;
  readonly probes?: Partial<Probes>;
  /** Changes the configured sensor before the examination; may return a function that undoes it. */
  readonly plant?: (path: string) => (() => void) | undefined;
}
/** One fault, and the finding that `doctor` must report. */
export type Row = [name: string, plant: () => Promise<Planted> | Planted, check: CheckId, state: State, finding: string];

/** Creates sensors to be examined, each in its own folder below the folder of the bench. */
export function openDoctorBench() {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-doctor-'));
  const undo: (() => Promise<unknown> | unknown)[] = [];
  let count = 0;
  function writeConfig({ mqtt, ...overrides }: Overrides, url: string): string {
    const home = join(folder, String(++count));
    mkdirSync(home);
    const path = join(home, 'tocsin.yaml');
    openSqliteOutbox(join(home, 'outbox.db'), limits).close();
    const config = { site: 'test', sensor: 'post-1', microphone: { adapter: 'file', file: scene }, outbox: { path: join(home, 'outbox.db') }, ...overrides };
    writeFileSync(path, stringify({ ...config, mqtt: { url, ...mqtt } }));
    return path;
  }
  /**
   * A program in place of arecord, since no device can be broken on purpose: it prints and writes what arecord would.
   */
  function standIn(script: string): () => void {
    const bin = mkdtempSync(join(folder, 'bin-'));
    writeFileSync(join(bin, 'arecord'), `#!/bin/sh\n${script}\n`);
    chmodSync(join(bin, 'arecord'), 0o755);
    const { PATH } = process.env;
    process.env.PATH = `${bin}:${PATH}`;
    return () => {
      process.env.PATH = PATH;
    };
  }
  function standing(script: string): () => Planted {
    return () => {
      const back = standIn(script);
      return { ...alsa(), plant: () => back };
    };
  }
  return {
    folder,
    writeConfig,
    standIn,
    standing,
    /** What to close at the end. */
    undo,
    async close() {
      for (const step of undo) await step();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
export type DoctorBench = ReturnType<typeof openDoctorBench>;

export async function examine(path: string, change: Partial<Probes> = {}): Promise<Result[]> {
  const results: Result[] = [];
  for await (const result of runChecks(allChecks, { ...machineProbes(path, clock), ...change }, signal)) results.push(result);
  return results;
}

/**
 * Examines a sensor with a fault: the fault is named, first of all failures, and all texts fit 60 columns in both
 * languages.
 */
export async function expectNamed({ writeConfig }: DoctorBench, [, plant, check, state, finding]: Row, usualUrl: string): Promise<void> {
  const { url, probes, plant: act, ...overrides } = await plant();
  const path = writeConfig(overrides, url ?? usualUrl);
  const back = act?.(path);
  const results = await examine(path, probes).finally(() => back?.());
  const named = results.find((result) => result.check === check);
  expect({ state: named?.state, finding: named?.found.key }).toEqual({ state, finding: `doctor.${finding}` });
  // the first failure in the order of the data path is the fault itself
  if (state === 'fail') expect(results.find((result) => result.state === 'fail')?.check).toBe(check);
  else expect(results.filter((result) => result.state === 'fail')).toEqual([]);
  for (const result of results) if (result.state === 'warn' || result.state === 'fail') expect(result.hint, result.found.key).toBeDefined();
  for (const language of ['en', 'fr'] as const)
    for (const line of results.flatMap((result) => showResult(result, openTranslate(language), narrow).split('\n')))
      if (line.trim().includes(' ') && !/\/tmp|tocsin\/v1/.test(line)) expect(line.length, line).toBeLessThanOrEqual(60);
}

const narrow = { columns: 60, colours: { green: String, yellow: String, red: String, dim: String, cyan: String, bold: String } as never };

/** The machine's files, some of them replaced. */
export const files = (replaced: Record<string, string>): Partial<Probes> => ({
  read: (path) => replaced[path] ?? machineProbes('', clock).read(path),
});
export const cool: Partial<Probes> = { temperature: () => 40 };
/**
 * The output of `systemctl show` for the two services and their target, and the journal of the listener. It cannot show
 * what systemd does with them.
 */
export const systemctl = (listener: object, courier: object, journal = '', target: object = {}): Partial<Probes> => ({
  command: async (name, args) => {
    const unit = (id: string, change: object) => {
      const shown = { Id: id, LoadState: 'loaded', ActiveState: 'active', SubState: 'running', NRestarts: 0, UnitFileState: 'enabled', ...change };
      return Object.entries(shown)
        .map(([key, value]) => `${key}=${value}\n`)
        .join('');
    };
    const shown = [unit('tocsin-listener.service', listener), unit('tocsin-courier.service', courier), unit('tocsin.target', target)];
    const stdout = shown.join('\n');
    if (name === 'journalctl') return { code: 0, stdout: args.includes('_SYSTEMD_UNIT=tocsin-listener.service') ? journal : '' };
    return name === 'systemctl' ? { code: 0, stdout } : { code: 127, stdout: '' };
  },
  ...verified('pass'),
});
/** The single line requested from `privacy verify`; its own tests show its findings on real processes. */
export function verified(state: 'pass' | 'fail' | 'unchecked'): Partial<Probes> {
  const found = { pass: text('privacy.network.ok', { namespace: 'net:[1]' }), fail: text('privacy.network.shared'), unchecked: text('privacy.notAllowed') }[
    state
  ];
  const line = { check: 'network', part: 'listener', what: text('privacy.what.network'), how: text('privacy.how.network'), byHand: 'ip link' } as const;
  return { verifyPrivacy: async () => [{ ...line, state, found }] };
}
export const alsa = (device = 'default') => ({ microphone: { adapter: 'alsa', device, sampleRateHz: 16000 } });
const pcm = (perl: string) => `exec perl -MTime::HiRes=time,sleep -e '$|=1; ${perl}'`;
/** Writes 16 kHz in both channels in real time, as a sound card does: a pause of the machine is caught up. */
export const paced = (samples: string, share = 1, channels: 1 | 2 = 1) =>
  pcm(
    `$t = time; for (1..200) { print map { $_ x ${2 / channels} } unpack("(a${2 * channels})*", ${samples}); $t += ${0.1 / share}; $rest = $t - time; sleep($rest) if $rest > 0; }`,
  );
export const routed: Partial<Probes> = { ...files({ '/proc/net/route': 'Iface Destination Gateway Flags\neth0 00000000 010200C0 0003\n' }) };
export function outboxOf(path: string): string {
  return join(path, '..', 'outbox.db');
}
export function store(path: string, expired = false, onsetWallMs = Date.now() - 3_600_000): undefined {
  const outbox = openSqliteOutbox(outboxOf(path), limits);
  for (let i = 0; i < 3; i++) outbox.append(recordedEvent(i, { onsetWallMs }));
  if (expired) outbox.expire({ ...systemClock(), monotonicMs: 0, wallMs: Date.now() }, 1000);
  outbox.close();
}
