import type { Command } from 'commander';
import { type Clock, systemClock } from '../lib/clock.ts';
import { exitCodes, TocsinError } from '../lib/errors.ts';
import { addCommand, configOption } from './command.ts';
import { brokerChecks } from './doctor/broker-checks.ts';
import { type CheckId, type Result, runChecks, type State } from './doctor/check.ts';
import { linkChecks } from './doctor/link-checks.ts';
import { machineChecks, serviceChecks } from './doctor/machine-checks.ts';
import { machineProbes } from './doctor/probes.ts';
import { isCommand, print, printJson, type Screen, screenOf, wrap } from './output.ts';
import type { Translate } from './translate.ts';
import { fixed } from './typography.ts';

/** Every check, in the order of the data's way. */
export const allChecks = [...machineChecks, ...linkChecks, ...brokerChecks, ...serviceChecks];

/** doctor: does this sensor hear, understand and report, and if not, what to do. */
export function addDoctor(program: Command, signal: AbortSignal, t: Translate): void {
  addCommand(program, 'doctor', 'check this sensor step by step, from power supply to platform', [
    'sudo tocsin doctor',
    'tocsin doctor --lang fr',
    'tocsin doctor --json',
  ])
    .addOption(configOption())
    .option('--json', 'one JSON object: healthy, checks: [{check, state, finding, found, try, ms}]')
    .action((options: { config: string; json?: true }) => doctor(options, signal, t));
}

async function doctor({ config, json }: { config: string; json?: true }, signal: AbortSignal, t: Translate): Promise<void> {
  const screen = screenOf(process.stdout);
  const began = performance.now();
  if (!json) print(`${screen.colours.bold(wrap(t('doctor.title'), screen.columns))}\n`);
  const results = await runDoctor(config, systemClock(), signal, (result) => {
    if (!json) print(showResult(result, t, screen));
  });
  const count = (state: State) => results.filter((result) => result.state === state).length;
  const failed = results.filter((result) => result.state === 'fail');
  if (json) printJson({ healthy: failed.length === 0, checks: results.map((result) => toJson(result, t)) });
  else {
    const counts = { pass: count('pass'), warn: count('warn'), fail: count('fail'), skip: count('skip') };
    const seconds = fixed((performance.now() - began) / 1000, 1);
    print(`\n${wrap(t('doctor.summary', { ...counts, seconds }), screen.columns)}`);
    if (failed.length === 0 && counts.warn === 0) print(screen.colours.green(t('doctor.healthy')));
  }
  const [first] = failed;
  if (first)
    throw new TocsinError(
      t('doctor.failed', { fail: failed.length, all: results.length, names: failed.map(({ check }) => nameOf(check, t)).join(', ') }),
      first.hint ? t.of(first.hint) : t('doctor.defect.try'),
      exitCodes.check,
    );
}

/** Every check on this machine; `show` is called with each result in order. */
export async function runDoctor(configPath: string, clock: Clock, signal: AbortSignal, show: (result: Result) => void): Promise<Result[]> {
  const results: Result[] = [];
  for await (const result of runChecks(allChecks, machineProbes(configPath, clock), signal)) {
    results.push(result);
    show(result);
  }
  return results;
}

/** `finding` is stable and the same in every language; `found` and `try` are sentences. */
export function toJson({ check, state, found, hint, ms }: Result, t: Translate) {
  return { check, state, finding: found.key.replace(/^doctor\./, ''), found: t.of(found), ...(hint ? { try: t.of(hint) } : {}), ms };
}

const stateWidth = 7;
const nameWidth = 12;

export function showResult({ check, state, found, hint }: Result, t: Translate, { columns, colours }: Screen): string {
  const colour = { pass: colours.green, warn: colours.yellow, fail: colours.red, skip: colours.dim }[state];
  const indent = stateWidth + nameWidth;
  const head = `${colour(t(`doctor.state.${state}`).padEnd(stateWidth))}${nameOf(check, t).padEnd(nameWidth)}`;
  const line = head + wrap(t.of(found), columns, indent);
  if (!hint) return line;
  const label = `${t('try')} `;
  return `${line}\n${' '.repeat(stateWidth)}${colours.cyan(label)}${isCommand(t.of(hint)) ? t.of(hint) : wrap(t.of(hint), columns, stateWidth + label.length)}`;
}

function nameOf(check: CheckId, t: Translate): string {
  return t(`doctor.name.${check}`);
}
