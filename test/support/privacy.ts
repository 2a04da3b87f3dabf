import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { stringify } from 'yaml';
import { findMachine, type Machine } from '../../agent/cli/privacy/machine.ts';
import { manifestText, privacyManifest } from '../../agent/cli/privacy/manifest.ts';
import { reportOf, type VerificationReport } from '../../agent/cli/privacy/report.ts';
import { verify as verifyMachine } from '../../agent/cli/privacy/verify.ts';
import { openTranslate } from '../../agent/cli/translate.ts';
import { loadConfig } from '../../agent/config/load-config.ts';
import { wavFile } from '../demo/synthesise-scene.ts';
import { missing, openEmbeddedBroker } from './broker.ts';
import { install } from './installation.ts';
import { openMessages } from './messages.ts';
import { seededRandom } from './random.ts';

const rate = 16_000;
// each test file has its own users: files run in parallel, and the listener of one could open the meter of another
const users = 64_100 + 10 * Number(process.env.VITEST_POOL_ID);
export const [listenerUid, courierUid, gid] = [users + 1, users + 2, users + 7];
export const without = missing('gcc', 'strace', 'ip') ?? (process.getuid?.() === 0 ? undefined : 'needs root to make namespaces');

/** The settings of sandbox.c for a process, in this order; a test omits some or adds faults. */
type Layers = Record<string, string>;
export type Plant = { change?: Layers; leftOut?: string[]; env?: NodeJS.ProcessEnv };
type Half = 'listen' | 'deliver';

/**
 * Real processes, restricted by sandbox.c as systemd would restrict them. There is no systemd, and so no control group
 * limits: a container that boots systemd checks those two lines.
 */
export async function openHalves() {
  const halves: Partial<Record<Half, ChildProcess>> = {};
  const base = mkdtempSync('/var/tmp/tocsin halves-'); // not under /tmp, which the processes do not see; the space checks the quoting of commands by hand
  const at = (...parts: string[]) => join(base, ...parts);
  chmodSync(base, 0o755);
  execFileSync('gcc', ['-O1', '-o', at('sandbox'), 'test/support/sandbox.c']);
  const installation = spawnSync('test', ['-r', 'agent/main.ts'], { uid: listenerUid, gid }).status === 0 ? resolve('.') : at('tocsin');
  if (installation === at('tocsin')) install(installation); // other users may not read this checkout
  cpSync('models/street', at('street'), { recursive: true });
  mkdirSync(at('data'));
  chownSync(at('data'), 0, gid);
  chmodSync(at('data'), 0o2770);
  const random = seededRandom(7);
  const second = Int16Array.from({ length: rate }, () => (random() - 0.5) * 300);
  writeFileSync(
    at('quiet.wav'),
    wavFile(
      Int16Array.from({ length: rate * 900 }, (_, i) => second[i % rate] as number),
      rate,
    ),
  );
  const broker = await openEmbeddedBroker();
  const seen = await openMessages(broker.url);
  const microphone = { adapter: 'file', file: at('quiet.wav'), sampleRateHz: rate };
  const settings = { site: 'test', sensor: 'post-1', microphone, model: { path: at('street') }, log: { level: 'warn' } };
  const privacy = { recordPath: at('record', 'verification.json') };
  writeFileSync(
    at('tocsin.yaml'),
    stringify({ ...settings, privacy, outbox: { path: at('data', 'outbox.db') }, mqtt: { url: broker.url, protocol: '3.1.1' } }),
  );
  execFileSync('chmod', ['-R', 'a+rX', at('street'), at('tocsin.yaml'), at('quiet.wav'), at('sandbox')]);
  writeFileSync(at('manifest.json'), manifestText(privacyManifest(loadConfig(at('tocsin.yaml')))));
  const node = join(installation, `node_modules/node-linux-${process.arch}/bin/node`);
  const environment = { PATH: `${process.env.PATH}:/usr/sbin:/sbin`, LANG: 'C' };
  function tocsin(...args: string[]) {
    return spawnSync(node, [join(installation, 'agent/main.ts'), ...args], { encoding: 'utf8', env: environment, maxBuffer: 1e8 });
  }
  const layersOf = (half: Half): Layers => ({
    'hide /tmp': '/tmp',
    'hide /run': '/run',
    'hide /dev/shm': '/dev/shm',
    devices: half === 'listen' ? 'sound' : 'none',
    ...(half === 'listen' ? { network: 'none', ipc: 'own' } : {}),
    keep: at('data'),
    core: '0',
    'no-new': 'yes',
    filtered: 'yes',
    bounded: 'yes',
    gid: String(gid),
    uid: String(half === 'listen' ? listenerUid : courierUid),
  });

  async function start(half: Half, change: Layers = {}, leftOut: string[] = [], env: NodeJS.ProcessEnv = {}): Promise<void> {
    await stop(half);
    if (half === 'listen') rmSync(at('data', 'meter.sock'), { force: true });
    const layers = layersOf(half);
    const more = Object.entries(change).filter(([name]) => !(name in layers));
    const options = [...more, ...Object.entries(layers).map(([name, value]) => [name, change[name] ?? value] as const)]
      .filter(([name]) => !leftOut.includes(name))
      .flatMap(([name, value]) => [name.split(' ')[0] as string, value]);
    const program = [node, join(installation, 'agent/main.ts'), half, '--config', at('tocsin.yaml')];
    const child = spawn(at('sandbox'), [...options, '--', ...program], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...environment, ...env } });
    child.stdout?.resume();
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-2000);
    });
    halves[half] = child;
    const open = () => descriptorsOf(child.pid).some((fd) => linkOf(`/proc/${child.pid}/fd/${fd}`).endsWith('outbox.db-shm'));
    for (const began = performance.now(); !open(); await new Promise((done) => setTimeout(done, 50)))
      if (child.exitCode !== null || performance.now() - began > 60_000) throw new Error(`${half} did not start: ${said}`);
    if (half === 'deliver') return;
    // the meter socket is beside the outbox here, and both processes share its group: its mode closes it to the
    // courier
    const meter = at('data', 'meter.sock');
    for (let i = 0; i < 200 && !(existsSync(meter) && (statSync(meter).mode & 0o777) === 0o660); i++) await new Promise((done) => setTimeout(done, 50));
    chmodSync(meter, 0o600);
  }
  async function stop(half: Half): Promise<void> {
    const child = halves[half];
    delete halves[half];
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((done) => child.once('exit', done)); // a planted child may keep its pipes open
    child.kill('SIGKILL');
    await gone;
  }

  /** Does not check the package files: privacy.test.ts does. */
  async function machineNow(): Promise<Machine> {
    const pids = { listener: halves.listen?.pid as number, courier: halves.deliver?.pid as number };
    const found = await findMachine({ configPath: at('tocsin.yaml'), publishedManifest: at('manifest.json'), packageList: '/nowhere', pids });
    return { ...found, installation };
  }
  async function verify(): Promise<VerificationReport> {
    const occasion = { site: 'test', sensor: 'post-1', version: '0', bootId: '', time: '' };
    return reportOf(await verifyMachine(await machineNow()), occasion, openTranslate('en'));
  }
  const verifyArgs = () => [
    ...['privacy', 'verify', '--json', '-c', at('tocsin.yaml'), '--manifest', at('manifest.json'), '--package-list', '/nowhere'],
    ...['--listener-pid', String(halves.listen?.pid), '--courier-pid', String(halves.deliver?.pid)],
  ];

  await Promise.all([start('deliver'), start('listen')]);
  return {
    at,
    node,
    program: join(installation, 'agent/main.ts'),
    environment,
    seen,
    tocsin,
    start,
    stop,
    machineNow,
    verify,
    verifyArgs,
    pidOf: (half: Half) => halves[half]?.pid as number,
    async close() {
      await stop('listen');
      await stop('deliver');
      await seen.close();
      await broker.close();
      rmSync(base, { recursive: true, force: true });
    },
  };
}
export type Halves = Awaited<ReturnType<typeof openHalves>>;

/** Control groups and swap depend on the machine, not on the sandbox. */
export const ours = ({ check }: VerificationReport['checks'][number]) => check !== 'limits' && check !== 'swap';
export const failing = (report: VerificationReport) =>
  report.checks.filter((line) => ours(line) && line.state === 'fail').map(({ part, check }) => `${part}.${check}`);
export const findingOf = (report: VerificationReport, line: string) => report.checks.find(({ part, check }) => `${part}.${check}` === line);

export function descriptorsOf(pid: number | undefined): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`);
  } catch {
    return [];
  }
}

export function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

export function sha256(content: string | Buffer): string {
  return spawnSync('sha256sum', { input: content, encoding: 'utf8' }).stdout.slice(0, 64);
}
