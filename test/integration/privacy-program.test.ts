// Which program runs, with what settings and code. A copy of Node with a program that only waits stands in for an
// installation.
import { copyFileSync, linkSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Finding } from '../../agent/cli/privacy/check.ts';
import type { Half, Machine } from '../../agent/cli/privacy/machine.ts';
import { processChecks } from '../../agent/cli/privacy/process-checks.ts';
import { missing } from '../support/broker.ts';
import { halfOf, started } from '../support/started.ts';

const without = process.getuid?.() === 0 ? missing('unshare') : 'needs root to make namespaces';

describe.skipIf(without)(`privacy verify: the program of a process${without ? ` (left out: ${without})` : ''}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-program-'));
  const at = (...parts: string[]) => join(folder, ...parts);
  const [installation, node, settings] = [at('tocsin'), at('tocsin', 'node'), at('tocsin.yaml')];
  const script = join(installation, 'agent', 'main.ts');
  const machine = { installation, config: { model: { path: at('street') }, mqtt: {} }, configPath: settings } as unknown as Machine;

  beforeAll(() => {
    for (const name of ['tocsin/agent', 'street', 'other', 'lib']) mkdirSync(at(name), { recursive: true });
    copyFileSync(realpathSync(process.execPath), node);
    linkSync(node, at('other', 'node'));
    for (const name of [script, join(installation, 'agent', 'other.ts')]) writeFileSync(name, 'console.log(); setInterval(() => 0, 1000);');
    for (const name of [settings, at('other.yaml')]) writeFileSync(name, '');
  });

  const program = (half: Half) => processChecks[1].run(half, machine) as Finding;
  const run = (...command: string[]) => started('env', '-i', `PATH=${process.env.PATH}`, ...command); // this process may have such variables itself
  const asked = async (...command: string[]) => {
    const { state, found } = program(halfOf('listener', await run(...command)));
    return state === 'pass' ? 'pass' : found.key.replace('privacy.program.', '');
  };
  const inMounts = (mount: string, ...command: string[]) => ['unshare', '-m', 'sh', '-c', `${mount} && exec "$@"`, 'sh', ...command];
  const listen = [node, script, 'listen', '-c', settings];

  test('passes with its settings named in any of the ways', async () => {
    expect(await asked(...listen)).toBe('pass');
    expect(await asked(node, script, 'listen', '--config', settings)).toBe('pass');
    expect(await asked(node, script, 'listen', `--config=${settings}`)).toBe('pass');
    expect(await asked('env', `TOCSIN_CONFIG=${settings}`, node, script, 'listen')).toBe('pass');
    expect(await asked('env', '-C', folder, 'NODE_ENV=production', node, 'tocsin/agent/main.ts', 'listen', '-c', 'tocsin.yaml')).toBe('pass');
  });

  test.each<[string, () => string[], string]>([
    ['of another folder', () => [at('other', 'node'), script, 'listen', '-c', settings], 'exe'],
    ['with another file mounted in its place', () => inMounts(`cp ${node} ${at('node')} && mount --bind ${at('node')} ${node}`, ...listen), 'exe'],
    ['with another script', () => [node, script.replace('main', 'other'), 'listen', '-c', settings], 'arguments'],
    ['with the command of the courier', () => [node, script, 'deliver', '-c', settings], 'arguments'],
    ['with the command of both', () => [node, script, 'run', '-c', settings], 'arguments'],
    ['with an option of Node', () => [node, '--inspect=127.0.0.1:0', script, 'listen', '-c', settings], 'arguments'],
    ['with an argument more', () => [...listen, '--debug'], 'arguments'],
    ['with another option', () => [node, script, 'listen', '--debug', settings], 'arguments'],
    ['with one argument that names no settings', () => [node, script, 'listen', '--debug'], 'arguments'],
    ['with another model mounted over its own', () => inMounts(`mount --bind ${at('other')} ${at('street')}`, ...listen), 'mounted'],
    ['with other settings', () => [node, script, 'listen', '-c', at('other.yaml')], 'config'],
    ['with other settings in its environment', () => ['env', `TOCSIN_CONFIG=${at('other.yaml')}`, node, script, 'listen'], 'config'],
    ['with other settings mounted over its own', () => inMounts(`mount --bind ${at('other.yaml')} ${settings}`, ...listen), 'config'],
  ])('fails %s', async (_what, command, finding) => {
    expect(await asked(...command())).toBe(finding);
  });

  test.each([
    ...['NODE_PATH', 'NODE_OPTIONS', 'LD_LIBRARY_PATH', 'SSLKEYLOGFILE', 'ALSA_CONFIG_PATH', 'GCONV_PATH', 'MALLOC_PERTURB_', 'GLIBC_TUNABLES'],
    ...['OPENSSL_CONF', 'SSL_CERT_FILE', 'SSL_CERT_DIR', 'MQTTJS_SOCKS_PROXY', 'LADSPA_PATH', 'XDG_CONFIG_HOME'],
  ])('fails with %s in its environment, or in that of its recorder', async (name) => {
    const [meddled, plain, recorder] = [
      await run('env', `${name}=`, ...listen),
      await run(...listen),
      await run('env', `${name}=`, 'sh', '-c', 'echo; exec sleep 60'),
    ];
    const said = { state: 'fail', found: { key: 'privacy.program.environment', values: { what: name } } };
    expect(program(halfOf('listener', meddled))).toMatchObject(said);
    await expect.poll(() => program(halfOf('listener', plain, recorder))).toMatchObject(said); // while it becomes the program, it has none
  });

  test('fails with code from elsewhere in a process of its own, also from a folder that is named like one of the system', async () => {
    copyFileSync('/bin/sleep', at('lib', 'sleep'));
    const [half, recorder] = [await run(...listen), await run('sh', '-c', 'echo; exec "$0" 60', at('lib', 'sleep'))];
    const what = at('lib', 'sleep');
    await expect
      .poll(() => program(halfOf('listener', half, recorder)))
      .toMatchObject({ state: 'fail', found: { key: 'privacy.program.code', values: { what } } });
  });

  test('a program at a path of the system fails that its process alone sees, and passes once it was removed, as by an upgrade', async () => {
    const place = '/usr/libexec/tocsin-recorder';
    const mount = `mount -t tmpfs none /usr/libexec && cp /bin/sleep ${place}`;
    const [half, recorder] = [await run(...listen), await run(...inMounts(mount, 'sh', '-c', `echo; exec ${place} 60`))];
    const found = () => program(halfOf('listener', half, recorder));
    await expect.poll(found).toMatchObject({ state: 'fail', found: { key: 'privacy.program.code', values: { what: place } } });
    rmSync(`/proc/${recorder}/root${place}`);
    expect(found()).toMatchObject({ state: 'pass' });
  });
});
