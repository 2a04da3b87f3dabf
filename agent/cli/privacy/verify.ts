import { text } from '../translate.ts';
import { type Finding, fail, type HalfCheck, type Line, runCheck, type SensorCheck, type SensorCheckId, type State, unchecked } from './check.ts';
import { fileChecks } from './file-checks.ts';
import { hearingChecks } from './hearing-checks.ts';
import type { HalfName, Machine } from './machine.ts';
import { networkChecks } from './network-checks.ts';
import { processChecks } from './process-checks.ts';
import { sensorChecks } from './sensor-checks.ts';
import { unitChecks } from './unit-checks.ts';

export const halfChecks: readonly HalfCheck[] = [
  ...processChecks.slice(0, 2),
  ...networkChecks,
  ...fileChecks,
  ...hearingChecks,
  ...processChecks.slice(2),
  ...unitChecks,
];

/**
 * All lines of the report, in order: the sensor, then each half. Changes nothing on the sensor. `except` leaves out
 * slow checks.
 */
export async function verify(machine: Machine, except: readonly SensorCheckId[] = []): Promise<Line[]> {
  const lines: Line[] = [];
  for (const check of sensorChecks) if (!except.includes(check.id)) lines.push(await sensorLine(check, machine));
  for (const name of ['listener', 'courier'] as const)
    for (const check of halfChecks) if (check.only === undefined || check.only === name) lines.push(await halfLine(check, name, machine));
  return lines;
}

const looks = 3;
/** Findings that a process or socket that came or went during the check can also cause. */
const passing: readonly string[] = [
  'privacy.gone',
  'privacy.network.strangers',
  'privacy.network.left',
  'privacy.sockets.listener',
  'privacy.sockets.peer',
  'privacy.hearing.recording',
];

/**
 * Verifies a running sensor. Capture and connections may restart at any time. Where that may explain a finding, the
 * machine is found and checked again, three times at most in all.
 */
export async function verifyRunning(find: () => Promise<Machine>, except: readonly SensorCheckId[] = []): Promise<{ machine: Machine; lines: Line[] }> {
  for (let look = 1; ; look++) {
    const machine = await find();
    const lines = await verify(machine, except);
    if (look === looks || !lines.some(({ found }) => passing.includes(found.key))) return { machine, lines };
  }
}

async function sensorLine(check: SensorCheck, machine: Machine): Promise<Line> {
  const { id } = check;
  const finding = await runCheck(() => check.run(machine));
  return { check: id, part: 'sensor', ...finding, what: text(`privacy.what.${id}`), how: text(`privacy.how.${id}`), byHand: check.byHand(machine) };
}

async function halfLine(check: HalfCheck, name: HalfName, machine: Machine): Promise<Line> {
  const { id } = check;
  const half = machine.halves[name];
  // the one check of which each half has another
  const about = id === 'sockets' ? (`sockets.${name}` as const) : id;
  const [finding, byHand] =
    typeof half === 'string'
      ? [absent(half, id), `systemctl status tocsin-${name}`]
      : [await runCheck(() => check.run(half, machine)), check.byHand(half, machine)];
  return { check: id, part: name, ...finding, what: text(`privacy.what.${about}`), how: text(`privacy.how.${about}`), byHand };
}

function absent(why: 'down' | 'unknown', id: string): Finding {
  if (why === 'unknown') return unchecked('privacy.process.unknown');
  return id === 'process' ? fail('privacy.process.down') : unchecked('privacy.process.down');
}

export function countOf(lines: readonly Line[]): Record<State, number> {
  const of = (state: State) => lines.filter((line) => line.state === state).length;
  return { pass: of('pass'), fail: of('fail'), unchecked: of('unchecked') };
}
