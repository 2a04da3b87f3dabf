import { printableLine } from '../../config/problems.ts';
import { hasCode, isDenied, messageOf } from '../../lib/errors.ts';
import { type MessageKey, type Text, text, type Values } from '../translate.ts';
import type { Half, HalfName, Machine } from './machine.ts';

export type SensorCheckId = 'package' | 'model' | 'outbox' | 'access' | 'config' | 'unchanged';
type HalfCheckId =
  | ('process' | 'program' | 'network' | 'sockets' | 'calls' | 'meter' | 'files' | 'writable' | 'devices' | 'reach' | 'hearing')
  | ('unit' | 'limits' | 'core' | 'swap' | 'privileges' | 'capabilities' | 'seccomp' | 'identity' | 'traced');
type CheckId = SensorCheckId | HalfCheckId;
type Part = HalfName | 'sensor';

/** `unchecked` is not a pass: it could not be found out here, and `found` says why. */
export type State = 'pass' | 'fail' | 'unchecked';

export interface Finding {
  readonly state: State;
  readonly found: Text;
}

/** One line of the report. `byHand` is a shell command that shows the same to anyone with root on the sensor. */
export interface Line extends Finding {
  readonly check: CheckId;
  readonly part: Part;
  readonly what: Text;
  readonly how: Text;
  readonly byHand: string;
}

export interface SensorCheck {
  readonly id: SensorCheckId;
  byHand(machine: Machine): string;
  run(machine: Machine): Finding | Promise<Finding>;
}

export interface HalfCheck {
  readonly id: HalfCheckId;
  /** Where the two halves are held to different rules, each has a check of its own under the same name. */
  readonly only?: HalfName;
  byHand(half: Half, machine: Machine): string;
  run(half: Half, machine: Machine): Finding | Promise<Finding>;
}

export const pass = <K extends MessageKey>(key: K, ...values: Values<K>): Finding => ({ state: 'pass', found: text(key, ...values) });
export const fail = <K extends MessageKey>(key: K, ...values: Values<K>): Finding => ({ state: 'fail', found: text(key, ...values) });
export const unchecked = <K extends MessageKey>(key: K, ...values: Values<K>): Finding => ({ state: 'unchecked', found: text(key, ...values) });

/** A file or folder of each process under /proc, for a command by hand. */
export function procPaths(processes: readonly number[], name: string): string {
  return processes.map((pid) => `/proc/${pid}/${name}`).join(' ');
}

/** A list as one value of a message, cut where it would fill the screen; what another has named stays on its line. */
export function listed(items: readonly string[]): string {
  const shown = [...new Set(items.map(printableLine))];
  return shown.length > 6 ? `${shown.slice(0, 6).join(', ')} (+${shown.length - 6})` : shown.join(', ');
}

/** Runs a check; what the machine does not let us see is unchecked, and a process that has gone is a failure. */
export async function runCheck(run: () => Finding | Promise<Finding>): Promise<Finding> {
  try {
    return await run();
  } catch (error) {
    if (isDenied(error)) return unchecked('privacy.notAllowed');
    if (hasCode(error, /^ESRCH$/) || (hasCode(error, /^ENOENT$/) && /\/proc\/\d+/.test(messageOf(error)))) return fail('privacy.gone');
    return fail('privacy.broke', { reason: messageOf(error) });
  }
}
