import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { vi } from 'vitest';
import { stringify } from 'yaml';
import { reportError } from '../../agent/cli/output.ts';
import { buildProgram } from '../../agent/cli/program.ts';
import { languageOf } from '../../agent/cli/translate.ts';
import type { Operator } from './operator.ts';

/**
 * Runs a command line as main.ts does, in this process: separate processes would take most of a minute on a busy
 * machine.
 */
async function runHere(...args: string[]) {
  const argv = ['node', 'tocsin', ...args];
  const language = languageOf(argv, {});
  const said = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      said[name] += text;
      return true;
    }),
  );
  let status = 0;
  try {
    const program = await buildProgram(new AbortController().signal, language, undefined, argv[2]);
    await program.parseAsync(argv);
  } catch (error) {
    status = reportError(error, language);
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
  return { status, ...said };
}

/** A sensor without credentials. */
export function openSensor(operator: Operator, names: { keyFile?: string; certFile?: string; caFile?: string } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-provision-'));
  const credentials = join(folder, 'credentials');
  mkdirSync(credentials, { mode: 0o700 });
  const at = (name: string) => join(credentials, name);
  const { keyFile = 'sensor.key', certFile = 'sensor.pem', caFile = 'ca.pem' } = names;
  const mqtt = { url: 'mqtts://broker.example.org', keyFile: at(keyFile), certFile: at(certFile), caFile: at(caFile) };
  const config = join(folder, 'tocsin.yaml');
  writeFileSync(config, stringify({ site: 'old-port', sensor: 'lamp-post-12', mqtt }));
  const provision = (...args: string[]) => runHere('provision', '-c', config, ...args);
  const install = (cert: string, ca = operator.ca) => provision('--install', cert, '--ca', ca);
  return { at, credentials, provision, install, names: () => readdirSync(credentials).sort() };
}
export type Sensor = ReturnType<typeof openSensor>;

/** A sensor with an installed key and certificate of the operator. */
export async function provisionedBy(operator: Operator): Promise<Sensor> {
  const sensor = openSensor(operator);
  const installed = await sensor.install(operator.sign((await sensor.provision()).stdout));
  if (installed.status !== 0) throw new Error(installed.stderr);
  return sensor;
}

export const everything = (sensor: Sensor) => Object.fromEntries(sensor.names().map((name) => [name, readFileSync(sensor.at(name), 'utf8')]));
