import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { chownSync, copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { basename, join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { verification } from '../../agent/cli/commission/page.ts';
import { openProgress } from '../../agent/cli/commission/progress.ts';
import { checkParent, openSigner, placeSealed, type Signer } from '../../agent/cli/commission/seal.ts';
import { loadConfig } from '../../agent/config/load-config.ts';
import { configSchema } from '../../agent/config/schema.ts';
import { type Clock, systemClock } from '../../agent/lib/clock.ts';
import { exitCodes, TocsinError } from '../../agent/lib/errors.ts';
import { missing } from '../support/broker.ts';
import { openOperator } from '../support/operator.ts';
import { openSensor } from '../support/provision.ts';
import { fixedClock } from '../support/samples.ts';
import { mount, run } from '../support/small-disk.ts';

const signer: Signer = { publicKey: 'public', publicKeySha256: '', sign: () => Buffer.from('signed') };
const seal = (parent: string, size: number) => placeSealed(parent, 'commission-post-1', { 'report.json': 'x'.repeat(size) }, signer);
function thrownBy(work: () => unknown): unknown {
  try {
    return work() && undefined;
  } catch (error) {
    return error;
  }
}
/** A progress kept in this folder, with the stage of doctor passed. */
function keepIn(folder: string) {
  const open = () => openProgress(folder, 'post-1', 'digest', '0', systemClock());
  const found = 'x'.repeat(100_000);
  open().keep({ doctor: [{ check: 'config', state: 'pass', finding: 'config.valid', found, ms: 0 } as never] });
  return { ...open(), again: open };
}

const withoutOpenssl = missing('openssl');
test.skipIf(withoutOpenssl)(
  `the printed commands verify a report signed through an intermediate authority, also with an expired certificate${withoutOpenssl ? ` (left out: ${withoutOpenssl})` : ''}`,
  async () => {
    const operator = openOperator('City Authority');
    const district = openOperator('District Authority', undefined, operator);
    const sensor = openSensor(operator);
    // a certificate that is valid in ten days stands for one that was valid and has expired
    const atDay = (day: number) => new Date(Date.now() + day * 86_400_000).toISOString();
    const [from, to] = [atDay(10), atDay(25)].map((time) => `${time.replace(/[-T:]|\..*/g, '')}Z`) as [string, string];
    const cert = district.sign((await sensor.provision()).stdout, { from, to });
    renameSync(sensor.at('sensor.key.new'), sensor.at('sensor.key'));
    writeFileSync(sensor.at('sensor.pem'), readFileSync(cert, 'utf8') + readFileSync(district.ca, 'utf8'));
    const own = openSigner(loadConfig(sensor.at('../tocsin.yaml')).mqtt);
    const folder = placeSealed(sensor.at('..'), 'commission-post-1', { 'report.json': '{}', 'report.html': '<html>' }, own);
    copyFileSync(operator.ca, join(folder, 'ca.pem'));
    const { stdout, stderr } = spawnSync('sh', ['-c', verification(own, atDay(20))], { cwd: folder, encoding: 'utf8' });
    expect(stdout + stderr).toBe('sensor.pem: OK\nVerified OK\nVerified OK\n');
  },
);

describe('the commissioning report', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tocsin-sealed-'));
  });
  /** A path below a file, which root cannot create either. */
  const noFolder = () => {
    writeFileSync(join(folder, 'file'), '');
    return join(folder, 'file');
  };

  test('is written completely, with its signature and public key', () => {
    checkParent(folder);
    expect(readdirSync(seal(folder, 1)).toSorted()).toEqual(['report.json', 'report.json.sig', 'sensor.pub']);
    expect(readdirSync(folder)).toEqual(['commission-post-1']);
    const modes = readdirSync(join(folder, 'commission-post-1')).map((name) => statSync(join(folder, 'commission-post-1', name)).mode & 0o777);
    expect(modes).toEqual([0o644, 0o644, 0o644]); // root writes it, and others check it
  });

  test.skipIf(withoutOpenssl)('signed with an RSA key verifies as well', () => {
    const keyFile = join(folder, 'rsa.key');
    writeFileSync(keyFile, generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const config = configSchema.parse({ site: 'a', sensor: 'post-1', mqtt: { url: 'mqtt://127.0.0.1:1', keyFile, certFile: 'none.pem' } });
    const { certFile: _, ...mqtt } = config.mqtt; // this one has none yet
    const rsa = openSigner(mqtt);
    const sealed = placeSealed(folder, 'commission-post-1', { 'report.json': '{}', 'report.html': '<html>' }, rsa);
    const { stdout, stderr } = spawnSync('sh', ['-c', verification(rsa, new Date().toISOString())], { cwd: sealed, encoding: 'utf8' });
    expect(stdout + stderr).toBe('Verified OK\nVerified OK\n');
  });

  test.skipIf(missing('strace'))('is synced to disk before it is announced (needs strace)', () => {
    const trace = join(folder, 'trace');
    const script = `import { placeSealed } from './agent/cli/commission/seal.ts';
placeSealed(${JSON.stringify(folder)}, 'commission-post-1', { 'report.json': '{}' }, { publicKey: 'public', sign: () => 'signed' });`;
    const strace = ['-f', '-y', '-e', 'trace=fsync,rename', '-o', trace];
    const env = { ...process.env, NODE_COMPILE_CACHE: undefined }; // Node renames what it keeps there
    const { status, stderr } = spawnSync('strace', [...strace, process.execPath, '--input-type=module', '-e', script], { env, encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const calls = readFileSync(trace, 'utf8').match(/rename\(.*|fsync\(\d+<[^>]*/g) ?? [];
    expect(calls.map((call) => call.replace(/^fsync.*\//, ''))).toEqual([
      ...['sensor.pub', 'report.json', 'report.json.sig'],
      ...[expect.stringMatching(/^rename.*commission-post-1"/), basename(folder)],
    ]);
  });

  test.skipIf(missing('strace'))('changes the mode of no name, in whose place another user could put a link (needs strace)', () => {
    const trace = join(folder, 'trace');
    const script = `import { placeSealed } from './agent/cli/commission/seal.ts';
import { writePage } from './agent/cli/output.ts';
placeSealed(${JSON.stringify(folder)}, 'commission-post-1', { 'report.json': '{}' }, { publicKey: 'public', sign: () => 'signed' });
for (const page of ['first', 'second']) writePage(${JSON.stringify(join(folder, 'page.html'))}, page);`;
    const strace = ['-f', '-e', 'trace=chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat', '-o', trace];
    const { status, stderr } = spawnSync('strace', [...strace, process.execPath, '--input-type=module', '-e', script], { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const calls = readFileSync(trace, 'utf8').match(/\bf?ch(mod|own)\w*\([^)]*/g) ?? [];
    expect(calls.filter((call) => !/^fch(mod|own)\(\d/.test(call))).toEqual([]);
    expect(calls.length).toBeGreaterThanOrEqual(3);
    expect(statSync(join(folder, 'commission-post-1')).mode & 0o777).toBe(0o755);
  });

  test('in a folder that does not exist gives an error with a hint', () => {
    const sealed = thrownBy(() => seal(noFolder(), 1));
    expect(sealed).toBeInstanceOf(TocsinError);
    expect(sealed).toMatchObject({ message: expect.stringContaining('Expected to write the report into'), tryHint: expect.stringContaining('--out') });
    expect(thrownBy(() => checkParent(noFolder()))).toMatchObject({ exitCode: exitCodes.usage, tryHint: expect.stringContaining('--out') });
  });

  test('keeps the stages that passed where it can write, and continues where it cannot', () => {
    const kept = keepIn(folder);
    expect(Object.keys(kept.kept)).toEqual(['doctor']);
    kept.forget();
    expect(readdirSync(folder)).toEqual([]);
    expect(keepIn(noFolder()).kept).toEqual({});
    keepIn(noFolder()).forget();
  });

  test('reuses stages only of the same boot, release and configuration, for at most half an hour', () => {
    const begun = fixedClock();
    const later = (minutes: number) => fixedClock({ monotonicMs: () => begun.monotonicMs() + minutes * 60_000 });
    const keptBy = (version: string, clock: Clock, config = 'digest') => Object.keys(openProgress(folder, 'post-1', config, version, clock).kept);
    openProgress(folder, 'post-1', 'digest', '1', begun).keep({ doctor: [{ state: 'pass' } as never] });
    expect([keptBy('1', later(29)), keptBy('1', later(31))]).toEqual([['doctor'], []]);
    expect([keptBy('2', begun), keptBy('1', fixedClock({ bootId: 'ffffffff-0000-4000-8000-000000000000' }))]).toEqual([[], []]);
    expect([keptBy('1', begun), keptBy('1', begun, 'other')]).toEqual([['doctor'], []]);
  });

  const noRoot = userInfo().uid !== 0 ? 'needs root' : undefined;
  test.skipIf(noRoot)(`ignores stages kept by another user, and follows no symbolic link${noRoot ? ` (left out: ${noRoot})` : ''}`, () => {
    const { again } = keepIn(folder);
    const path = join(folder, 'commission-post-1.partial.json');
    chownSync(path, 65534, 65534);
    expect(again().kept).toEqual({});
    chownSync(path, 0, 0);
    expect(Object.keys(again().kept)).toEqual(['doctor']);
    const aim = join(folder, 'aim');
    renameSync(path, aim);
    const before = readFileSync(aim, 'utf8');
    symlinkSync(aim, path);
    expect(again().kept).toEqual({});
    again().keep({});
    expect(readFileSync(aim, 'utf8')).toBe(before);
  });

  const noMounts = userInfo().uid !== 0 ? 'needs root to mount a small file system' : spawnSync('mount', ['--version']).error ? 'needs mount' : undefined;
  describe.skipIf(noMounts)(`on a small disk${noMounts ? ` (left out: ${noMounts})` : ''}`, () => {
    const small = (...options: string[]) => {
      mount('-t', 'tmpfs', '-o', options.join(), 'tmpfs', folder);
      onTestFinished(() => void run('umount', '-l', folder));
    };

    test('that is full leaves no files behind', () => {
      small('size=64k');
      expect(thrownBy(() => seal(folder, 100_000))).toMatchObject({ name: 'TocsinError', exitCode: 1, tryHint: expect.stringContaining('make room') });
      expect(thrownBy(() => checkParent(folder))).toMatchObject({ exitCode: exitCodes.failure, tryHint: expect.stringContaining('make room') });
      expect(keepIn(folder).kept).toEqual({});
      expect(readdirSync(folder)).toEqual([]);
    });

    test('without free inodes removes its probe', () => {
      small('nr_inodes=2'); // for the folder and for the probe
      expect(thrownBy(() => checkParent(folder))).toMatchObject({ exitCode: exitCodes.failure });
      expect(readdirSync(folder)).toEqual([]);
    });

    test('that became read-only gives an error', () => {
      small('size=1m');
      const kept = keepIn(folder);
      mount('-o', 'remount,ro', folder);
      expect(thrownBy(() => seal(folder, 1))).toMatchObject({ name: 'TocsinError', message: expect.stringContaining('EROFS') });
      kept.keep({});
      kept.forget();
      expect(existsSync(join(folder, 'commission-post-1.partial.json'))).toBe(true);
    });
  });
});
