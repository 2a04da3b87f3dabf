import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { missing } from '../support/broker.ts';
import { type Operator, openOperator } from '../support/operator.ts';
import { everything, openSensor, provisionedBy } from '../support/provision.ts';
import { mount, run } from '../support/small-disk.ts';

const without = missing('openssl');
describe.skipIf(without)(`provision: unusable keys${without ? ` (left out: ${without})` : ''}`, () => {
  let operator: Operator;
  beforeAll(() => {
    operator = openOperator('City Authority');
  });

  test('the hint for a missing folder names the folder of the configuration', async () => {
    const sensor = openSensor(operator);
    rmSync(sensor.credentials, { recursive: true });
    const { status, stderr } = await sensor.provision();
    expect(stderr).toContain(`Try: make the folder: sudo mkdir -m 700 -p ${sensor.credentials}\n`);
    expect(status).toBe(10);
    const apart = openSensor(operator, { keyFile: 'two words/sensor.key' });
    expect((await apart.provision()).stderr).toContain(`sudo mkdir -m 700 -p '${apart.at('two words')}'\n`);
  });

  const noMounts = process.getuid?.() !== 0 ? 'needs root to mount a small file system' : missing('mount');
  test.skipIf(noMounts)(`a full disk: key, request and certificate are there whole or not at all${noMounts ? ` (left out: ${noMounts})` : ''}`, async () => {
    const sensor = openSensor(operator);
    mount('-t', 'tmpfs', '-o', 'size=64k,mode=700', 'tmpfs', sensor.credentials);
    onTestFinished(() => void run('umount', '-l', sensor.credentials));
    const fill = (pages: number) => writeFileSync(sensor.at('fill'), Buffer.alloc(pages * 4096));
    const full = { status: 1, stderr: expect.stringMatching(/^Error: Expected to write the credentials, got: ENOSPC.*\nTry: make room there \(df -h\)\n$/) };
    fill(16);
    expect([await sensor.provision(), sensor.names()]).toEqual([{ ...full, stdout: '' }, ['fill']]);
    fill(15); // room for the key, none for the request
    expect([await sensor.provision(), sensor.names()]).toEqual([{ ...full, stdout: '' }, ['fill', 'sensor.key.new']]);
    const key = readFileSync(sensor.at('sensor.key.new'), 'utf8');
    fill(10);
    const cert = operator.sign((await sensor.provision()).stdout);
    const waiting = ['fill', 'sensor.csr', 'sensor.key.new'];
    for (const room of [0, 1]) {
      fill(14 - room); // the authority finds none where there is room for one file
      expect([await sensor.install(cert), sensor.names()]).toEqual([{ ...full, stdout: '' }, waiting]);
    }
    fill(12);
    expect(await sensor.install(cert)).toMatchObject({ status: 0 });
    expect([readFileSync(sensor.at('sensor.key'), 'utf8'), sensor.names()]).toEqual([key, ['ca.pem', 'fill', 'sensor.key', 'sensor.pem']]);
  });

  test('files that are replaced keep their owner and mode: outside of the credentials’ folder the courier reads them itself', async () => {
    const sensor = await provisionedBy(operator);
    const rights = () => ['ca.pem', 'sensor.key', 'sensor.pem'].map((name) => statSync(sensor.at(name))).map(({ mode, gid }) => [mode & 0o777, gid]);
    const gid = process.getuid?.() === 0 ? 29 : (process.getgid?.() as number);
    for (const name of sensor.names()) {
      chownSync(sensor.at(name), process.getuid?.() as number, gid);
      chmodSync(sensor.at(name), 0o640);
    }
    const before = everything(sensor);
    expect(await sensor.install(operator.sign((await sensor.provision('--renew')).stdout))).toMatchObject({ status: 0 });
    expect(everything(sensor)['sensor.key']).not.toBe(before['sensor.key']);
    expect(rights()).toEqual(Array(3).fill([0o640, gid]));
  });

  test('a path that was mistyped is to be checked; where no authority is known yet, one is to be named', async () => {
    const sensor = openSensor(operator);
    const cert = operator.sign((await sensor.provision()).stdout);
    const hint = async (...args: string[]) => /^Try: (.*)$/m.exec((await sensor.provision('--install', ...args)).stderr)?.[1];
    expect(await hint(`${cert}.none`, '--ca', operator.ca)).toMatch(/^check the path/);
    expect(await hint(cert, '--ca', `${operator.ca}.none`)).toMatch(/^check the path/);
    expect(await hint(cert)).toMatch(/^sudo tocsin provision --install sensor.pem --ca ca.pem$/);
  });

  test('a certificate saved in UTF-16 is refused as that, with the way to convert it', async () => {
    const sensor = openSensor(operator);
    const cert = operator.sign((await sensor.provision()).stdout);
    writeFileSync(cert, Buffer.from(`\ufeff${readFileSync(cert, 'utf8')}`, 'utf16le'));
    const { status, stderr } = await sensor.install(cert);
    expect(stderr).toBe(`Error: Expected text in UTF-8 in ${cert}, got UTF-16\nTry: save it as UTF-8, or here: iconv -f utf-16 -t utf-8 FILE > NEW-FILE\n`);
    expect(status).toBe(10);
  });

  test('a certificate whose hyphens a word processor made dashes of is refused with the hint to type them anew', async () => {
    const sensor = openSensor(operator);
    const cert = operator.sign((await sensor.provision()).stdout);
    writeFileSync(cert, readFileSync(cert, 'utf8').replaceAll('-----', '—–'));
    const { status, stderr } = await sensor.install(cert);
    expect(stderr).toBe(
      `Error: Expected a certificate (PEM) in ${cert}, got none\nTry: before and behind BEGIN CERTIFICATE stand five hyphens, no dashes: ask for the file itself, or type them anew\n`,
    );
    expect(status).toBe(10);
  });

  test('a defect is reported as one, and not as a disk that cannot be written', async () => {
    const sensor = openSensor(operator);
    const cert = operator.sign((await sensor.provision()).stdout);
    for (const defect of [new TypeError('planted'), Object.assign(new Error('planted'), { code: 'ERR_PLANTED' })]) {
      const clock = vi.spyOn(Date, 'now').mockImplementation(() => {
        throw defect;
      });
      const { status, stderr } = await sensor.install(cert).finally(() => clock.mockRestore());
      expect(stderr).toMatch(/^Error: (Type)?Error: planted\n.*\nTry: report this/s);
      expect(status).toBe(1);
    }
  });

  test.skipIf(process.getuid?.() !== 0)('an unreadable key or file is not reported as absent (needs root)', async () => {
    const sensor = await provisionedBy(operator);
    const folder = join(sensor.credentials, '..');
    chmodSync(folder, 0o755);
    const cert = join(folder, 'answer.pem');
    copyFileSync(sensor.at('sensor.pem'), cert);
    copyFileSync(operator.ca, join(folder, 'ca.pem'));
    for (const path of [cert, join(folder, 'ca.pem')]) chmodSync(path, 0o644);
    for (const [what, ...ca] of [['private key', '--ca', join(folder, 'ca.pem')], ['file']]) {
      const { status, stderr } = spawnSync(
        process.execPath,
        [resolve('agent/main.ts'), 'provision', '-c', join(folder, 'tocsin.yaml'), '--install', cert, ...ca],
        { uid: 65_534, gid: 65_534, encoding: 'utf8', env: { PATH: process.env.PATH, LC_ALL: 'C' } },
      );
      expect(stderr).toMatch(new RegExp(`^Error: Expected a ${what} at ${sensor.credentials}.*, got: EACCES: .*\nTry: run it again with sudo\n`));
      expect(status).toBe(10);
    }
  });

  test.skipIf(process.getuid?.() !== 0)('an undeletable request gives the error of the system with its path, in both languages (needs root)', async () => {
    const sensor = openSensor(operator, { keyFile: 'clé.key' });
    await sensor.provision();
    for (const path of [join(sensor.credentials, '..'), sensor.credentials]) chmodSync(path, 0o755);
    const discard = (lang: string) =>
      spawnSync(process.execPath, [resolve('agent/main.ts'), 'provision', '-c', join(sensor.credentials, '../tocsin.yaml'), '--discard', '--lang', lang], {
        uid: 65_534,
        gid: 65_534,
        encoding: 'utf8',
      });
    const key = sensor.at('clé.key.new');
    expect(discard('en').stderr).toBe(
      `Error: Expected to write the credentials, got: EACCES: permission denied, unlink '${key}'\nTry: run it again with sudo\n`,
    );
    expect(discard('fr').stderr).toContain(`${key}\u00a0: accès refusé (EACCES)\n`);
  });

  test.skipIf(process.getuid?.() !== 0)('a command in a hint quotes a configuration path with spaces (needs root)', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tocsin two words-'));
    chmodSync(folder, 0o755);
    const config = join(folder, 'tocsin.yaml');
    writeFileSync(config, '', { mode: 0o600 });
    const { stderr } = spawnSync(process.execPath, [resolve('agent/main.ts'), 'config', 'check', '-c', config], { uid: 65_534, gid: 65_534, encoding: 'utf8' });
    expect(stderr).toContain(`sudo chgrp tocsin '${config}'; sudo chmod 640 '${config}'\n`);
  });

  test('a missing openssl is reported in both languages', async () => {
    const sensor = openSensor(operator);
    vi.stubEnv('PATH', join(sensor.credentials, 'nothing'));
    onTestFinished(() => void vi.unstubAllEnvs());
    const said = async (lang: string) => (await sensor.provision('--lang', lang)).stderr;
    expect(await said('en')).toBe('Error: Expected openssl to sign the request, got: spawnSync openssl ENOENT\nTry: sudo apt install openssl\n');
    expect(await said('fr')).toContain('n’a pas pu signer la demande\u00a0: programme openssl absent\n');
  });

  test('a damaged key gives a hint to make another: --renew for the installed key, --discard for the waiting one', async () => {
    const sensor = await provisionedBy(operator);
    const cert = operator.sign((await sensor.provision('--renew')).stdout);
    const wrong = async (run: ReturnType<typeof sensor.provision>, hint: string) =>
      expect(await run).toMatchObject({
        status: 10,
        stderr: expect.stringMatching(`Expected a private key at .*\nTry: sudo tocsin provision .*${hint} makes another`),
      });
    writeFileSync(sensor.at('sensor.key.new'), 'damaged');
    await wrong(sensor.install(cert), '--discard');
    await wrong(sensor.provision(), '--discard');
    const discarded = await sensor.provision('--discard');
    expect(discarded.status, discarded.stderr).toBe(0);
    rmSync(sensor.at('sensor.key.new'));
    writeFileSync(sensor.at('sensor.key'), 'damaged');
    await wrong(sensor.install(cert), '--renew');
    rmSync(sensor.at('sensor.pem')); // as a power cut may leave it
    await wrong(sensor.provision(), '--renew');
    const renewed = await sensor.provision('--renew');
    expect(renewed.status, renewed.stderr).toBe(0);
    expect(await sensor.install(operator.sign(renewed.stdout))).toMatchObject({ status: 0 });
    expect(Object.keys(everything(sensor))).toEqual(['ca.pem', 'sensor.key', 'sensor.pem']);
  });
});
