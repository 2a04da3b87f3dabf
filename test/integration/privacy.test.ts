import { execFileSync, spawnSync } from 'node:child_process';
import { appendFileSync, chmodSync, chownSync, cpSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findMachine, type Machine } from '../../agent/cli/privacy/machine.ts';
import { listPackage } from '../../agent/cli/privacy/package-list.ts';
import { reportOf, type VerificationReport } from '../../agent/cli/privacy/report.ts';
import { verify as verifyMachine, verifyRunning } from '../../agent/cli/privacy/verify.ts';
import { openTranslate } from '../../agent/cli/translate.ts';
import { failing, findingOf, type Halves, openHalves, ours, sha256, without } from '../support/privacy.ts';

// Checks of files. For faults of processes see privacy-processes.test.ts.
let halves: Halves;

describe.skipIf(without)(`privacy verify on running processes${without ? ` (left out: ${without})` : ''}`, () => {
  beforeAll(async () => {
    halves = await openHalves();
  }, 180_000);
  afterAll(() => halves?.close(), 180_000);

  test('correctly started processes fail no check, what cannot be seen here is unchecked, and the outcome reaches the broker', async () => {
    const { stdout, stderr, status } = halves.tocsin(...halves.verifyArgs(), '--report', halves.at('report.html'));
    expect(stdout, stderr).not.toBe('');
    const report: VerificationReport = JSON.parse(stdout);
    expect(failing(report), JSON.stringify(report.checks.filter((line) => line.state === 'fail'))).toEqual([]);
    const unchecked = report.checks.filter((line) => ours(line) && line.state === 'unchecked').map(({ part, check }) => `${part}.${check}`);
    expect(unchecked).toEqual(['sensor.package', 'listener.unit', 'courier.unit']);
    expect([8, 9]).toContain(status); // 9, except on a machine with swap
    expect(new Set(report.checks.map(({ part, check }) => `${part}.${check}`)).size).toBe(42);
    for (const line of report.checks) for (const said of [line.what, line.how, line.found, line.byHand]) expect(said).not.toBe('');

    const last = () => JSON.parse(halves.seen.messages.findLast(({ topic }) => topic.endsWith('/privacy'))?.text ?? '{}');
    await halves.seen.until(() => last().verification?.digest === report.digest);
    const manifest = readFileSync(halves.at('manifest.json'), 'utf8');
    expect(last()).toMatchObject({ manifest: JSON.parse(manifest), manifestDigest: sha256(manifest) });
    const { digest, ...rest } = report;
    expect(sha256(JSON.stringify(rest))).toBe(digest);
    const page = readFileSync(halves.at('report.html'), 'utf8');
    for (const part of [digest, 'lang="fr"', 'lang="en"', 'Il tourne, et aucun processus étranger avec lui']) expect(page).toContain(part);
    expect(page).not.toMatch(/https?:\/\//);
  });

  test('each command shown for a check by hand runs and prints the digest that was found', async () => {
    const { checks } = await halves.verify();
    for (const { byHand, check, part, found } of checks) {
      if (check === 'unit' || check === 'package') continue; // needs systemd; needs an installed package
      const command = byHand.replaceAll('sudo ', '').replaceAll('tocsin privacy', `${halves.node} ${halves.program} privacy`);
      const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', command], { encoding: 'utf8', env: halves.environment });
      if (check === 'limits' || check === 'swap') continue; // the machine may have no such limits
      expect(stdout, `${part}.${check}: ${command}: ${stderr}`).not.toBe('');
      expect(stderr, `${part}.${check}: ${command}`).toBe('');
      const digest = /[0-9a-f]{64}/.exec(found)?.[0];
      if (digest) expect(stdout, `${part}.${check}`).toContain(digest);
    }
  });

  test('relative paths become absolute in the commands shown for a check by hand', async () => {
    const named = { configPath: relative('.', halves.at('tocsin.yaml')), packageList: 'release.sha256', publishedManifest: 'published.json' };
    const lines = await verifyMachine(await findMachine({ ...named, pids: { listener: 999_999_999, courier: 999_999_999 } }));
    const byHand = Object.fromEntries(lines.map((line) => [line.check, line.byHand]));
    expect(byHand.package).toContain(`sha256sum --check --quiet ${resolve('release.sha256')} `);
    expect(byHand.config).toContain(`--config '${halves.at('tocsin.yaml')}' | diff - ${resolve('published.json')} `);
  });

  test('an added column, an out-of-bounds row and an outbox readable by others each fail', async () => {
    const change = (...statements: string[]) => {
      const db = new Database(halves.at('data', 'outbox.db'), { timeout: 5000 });
      for (const statement of statements) db.exec(statement);
      db.close();
    };
    change('PRAGMA ignore_check_constraints = ON', "INSERT INTO gap VALUES (900, 900, 'a note')");
    expect(findingOf(await halves.verify(), 'sensor.outbox')).toMatchObject({ state: 'fail', finding: 'outbox.rows' });
    change('DELETE FROM gap');
    chmodSync(halves.at('data', 'outbox.db'), 0o664);
    expect(failing(await halves.verify())).toEqual(['sensor.access']);
    chmodSync(halves.at('data', 'outbox.db'), 0o660);
    change('ALTER TABLE gap ADD COLUMN note TEXT');
    const report = await halves.verify();
    expect(failing(report)).toEqual(['sensor.outbox']);
    expect(findingOf(report, 'sensor.outbox')?.found).toContain('gap');
    change('ALTER TABLE gap DROP COLUMN note');
    expect(failing(await halves.verify())).toEqual([]);
  });

  test('a package file that is changed, added or writable by others fails', async () => {
    const folder = halves.at('package');
    cpSync('agent', join(folder, 'agent'), { recursive: true });
    execFileSync('chmod', ['-R', 'go-w', folder]);
    const list = join(folder, 'tocsin.sha256');
    writeFileSync(list, listPackage(folder));
    execFileSync('sha256sum', ['--check', '--quiet', list], { cwd: folder });
    for (const typed of [`${folder}/`, `./${relative('.', folder)}`]) expect(listPackage(typed)).toBe(listPackage(folder));
    const check = async (packageDigest?: string) => {
      const lines = await verifyMachine({
        ...(await halves.machineNow()),
        halves: { listener: 'unknown', courier: 'unknown' }, // of which nothing is asked here
        installation: folder,
        packageList: list,
        ...(packageDigest ? { packageDigest } : {}),
      });
      return findingOf(reportOf(lines, { site: '', sensor: '', version: '', bootId: '', time: '' }, openTranslate('en')), 'sensor.package');
    };
    expect(await check()).toMatchObject({ state: 'pass', found: expect.stringContaining(sha256(readFileSync(list))) });
    const file = join(folder, 'agent/lib/sleep.ts');
    const before = readFileSync(file);
    appendFileSync(file, '// a line more\n');
    expect(await check()).toMatchObject({ finding: 'package.changed', found: expect.stringContaining('agent/lib/sleep.ts') });
    // an attacker who changes a file can change the list too, but not its digest, which is published elsewhere
    const published = sha256(readFileSync(list));
    writeFileSync(list, listPackage(folder));
    expect(await check()).toMatchObject({ finding: 'package.ok', found: expect.stringContaining('published') });
    expect(await check(published)).toMatchObject({ finding: 'package.list', state: 'fail', found: expect.stringContaining(published) });
    writeFileSync(file, before);
    writeFileSync(list, listPackage(folder));
    expect(await check(published)).toMatchObject({ finding: 'package.release', state: 'pass' });
    writeFileSync(join(folder, 'agent/lib/extra.ts'), '');
    expect(await check()).toMatchObject({ finding: 'package.added', found: expect.stringContaining('agent/lib/extra.ts') });
    rmSync(join(folder, 'agent/lib/extra.ts'));
    symlinkSync('/etc', join(folder, 'agent/elsewhere'));
    expect(await check()).toMatchObject({ finding: 'package.added', found: expect.stringContaining('agent/elsewhere') });
    rmSync(join(folder, 'agent/elsewhere'));
    for (const to of ['/nowhere', '/etc/hostname', file]) {
      symlinkSync(to, join(folder, 'agent/lib/link.ts'));
      expect(await check(), to).toMatchObject({ finding: 'package.added', found: expect.stringContaining('agent/lib/link.ts') });
      rmSync(join(folder, 'agent/lib/link.ts'));
    }
    rmSync(file);
    expect(await check()).toMatchObject({ finding: 'package.changed', found: expect.stringContaining('agent/lib/sleep.ts') });
    writeFileSync(file, before);
    chmodSync(file, 0o644);
    for (const [place, mode] of [
      [file, 0o646],
      [file, 0o664],
      [folder, 0o775],
    ] as const) {
      const usual = statSync(place).mode & 0o777;
      chmodSync(place, mode);
      expect(await check(), `${place} ${mode}`).toMatchObject({ finding: 'package.writable', found: expect.stringContaining(place) });
      chmodSync(place, usual);
    }
    expect(await check()).toMatchObject({ finding: 'package.ok' });
    chownSync(file, 64_009, 0); // owned by a person, who may write to it
    expect(await check()).toMatchObject({ finding: 'package.writable', found: expect.stringContaining(file) });
  });

  // from here on the files are younger than the processes, which is a finding too
  test('a configuration or model changed after the start, and a process that ended, fail', async () => {
    const text = readFileSync(halves.at('tocsin.yaml'), 'utf8');
    writeFileSync(halves.at('tocsin.yaml'), text.replace('sensor: post-1', 'sensor: post-1\nhealth: { intervalSeconds: 7 }'));
    const settings = await halves.verify();
    expect(failing(settings)).toEqual(['sensor.config', 'sensor.unchanged']);
    expect(findingOf(settings, 'sensor.config')?.found).toContain('healthIntervalSeconds');
    writeFileSync(halves.at('tocsin.yaml'), text);

    const manifest = halves.at('street', 'manifest.json');
    writeFileSync(manifest, `\uFEFF${readFileSync(manifest, 'utf8')}`); // the listener accepts the byte order mark
    expect(failing(await halves.verify())).toEqual(['sensor.unchanged']);

    const model = halves.at('street', 'model.onnx');
    const graph = readFileSync(model);
    graph[1000] = (graph[1000] ?? 0) ^ 1;
    writeFileSync(model, graph);
    expect(failing(await halves.verify())).toEqual(['sensor.model', 'sensor.unchanged']);

    const pid = halves.pidOf('listen');
    const before = await halves.machineNow();
    await halves.stop('listen');
    const machine = await findMachine({
      configPath: halves.at('tocsin.yaml'),
      packageList: '/nowhere',
      pids: { listener: pid, courier: halves.pidOf('deliver') },
    });
    const lines = (await verifyMachine(machine)).filter(({ part }) => part === 'listener');
    expect(lines.find(({ check }) => check === 'process')).toMatchObject({ state: 'fail', found: { key: 'privacy.process.down' } });
    expect(lines.filter(({ state }) => state === 'pass')).toEqual([]);

    // a process that ended between discovery and check: discovery is repeated, and only if it always ended, that is a
    // finding
    const looks = async (...machines: Machine[]) => {
      let found = 0;
      const { lines: said } = await verifyRunning(async () => machines[Math.min(found++, machines.length - 1)] as Machine, ['package']);
      return [found, said.some(({ found: { key } }) => key === 'privacy.gone')];
    };
    expect(await looks(before, machine)).toEqual([2, false]);
    expect(await looks(before)).toEqual([3, true]);
  });
});
