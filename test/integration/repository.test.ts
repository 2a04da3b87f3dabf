import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { appendFileSync, chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { missing } from '../support/broker.ts';

const without = missing('apt-get', 'apt-ftparchive', 'gpg', 'gpgv', 'dpkg-deb');

// Real apt with folders of its own. The packages are empty; test/system builds and installs the real one.
describe.skipIf(without)(`the apt repository of the operator${without ? ` (left out: ${without})` : ''}`, { timeout: 60_000 }, () => {
  const base = mkdtempSync(join(tmpdir(), 'tocsin-repository-'));
  const at = (...parts: string[]) => join(base, ...parts);
  const env = { ...process.env, GNUPGHOME: at('gnupg'), LC_ALL: 'C' };
  let architecture: string;

  beforeAll(() => {
    mkdirSync(at('gnupg'), { mode: 0o700 });
    architecture = execFileSync('dpkg', ['--print-architecture'], { encoding: 'utf8' }).trim();
    for (const name of ['operator', 'stranger']) {
      execFileSync('gpg', ['--batch', '--passphrase', '', '--quick-generate-key', `${name}@example.org`, 'ed25519', 'sign', '1y'], { env, stdio: 'ignore' });
      writeFileSync(at(`${name}.asc`), execFileSync('gpg', ['--armor', '--export', `${name}@example.org`], { env }));
    }
    publish('repository', 'operator', '1.0.0');
  }, 60_000);

  function publish(name: string, key: string, version: string, days = '30', more: NodeJS.ProcessEnv = {}): void {
    const folder = at(`package-${version}`);
    mkdirSync(join(folder, 'DEBIAN'), { recursive: true });
    chmodSync(join(folder, 'DEBIAN'), 0o755); // dpkg-deb refuses what a umask of 077 makes
    const fields = { Package: 'tocsin', Version: version, Architecture: architecture, Maintainer: 'Nobody <nobody@example.org>', Description: 'empty' };
    writeFileSync(
      join(folder, 'DEBIAN/control'),
      Object.entries(fields)
        .map(([field, value]) => `${field}: ${value}\n`)
        .join(''),
    );
    const deb = at(`tocsin_${version}_${architecture}.deb`);
    execFileSync('dpkg-deb', ['--root-owner-group', '-b', folder, deb], { stdio: 'ignore' });
    execFileSync('deploy/apt/publish.sh', [at(name), `${key}@example.org`, deb], {
      env: { ...env, TOCSIN_VALID_DAYS: days, ...more },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  }
  /** The apt of a sensor that knows only the operator's key and the repository. */
  function sensor(repository: string, key = 'operator') {
    const home = mkdtempSync(at('sensor-'));
    for (const folder of ['lists/partial', 'cache/archives/partial', 'parts', 'apt.conf.d']) mkdirSync(join(home, folder), { recursive: true });
    writeFileSync(join(home, 'status'), '');
    const source = readFileSync('deploy/apt/tocsin.sources', 'utf8');
    const settled = source.replace(/^URIs: .*$/m, `URIs: file:${at(repository)}`).replace(/^Signed-By: .*$/m, `Signed-By: ${at(`${key}.asc`)}`);
    writeFileSync(join(home, 'parts/tocsin.sources'), settled);
    cpSync('deploy/apt/52tocsin', join(home, 'apt.conf.d/52tocsin'));
    const places = {
      'Dir::Etc::sourcelist': '/dev/null',
      'Dir::Etc::sourceparts': join(home, 'parts'),
      'Dir::Etc::parts': join(home, 'apt.conf.d'),
      'Dir::Etc::preferencesparts': '/dev/null',
      'Dir::State::lists': join(home, 'lists'),
      'Dir::State::status': join(home, 'status'),
      'Dir::Cache': join(home, 'cache'),
      'APT::Sandbox::User': 'root',
    };
    return (...args: string[]) => {
      const { status, stdout, stderr } = spawnSync('apt-get', [...Object.entries(places).flatMap(([key, value]) => ['-o', `${key}=${value}`]), ...args], {
        cwd: home,
        env,
        encoding: 'utf8',
      });
      return { status, said: stdout + stderr };
    };
  }
  const update = (apt: ReturnType<typeof sensor>) => apt('-o', 'APT::Update::Error-Mode=any', 'update');
  function copyOf(name: string): string {
    const copy = `copy-of-${name}-${Math.random().toString(36).slice(2)}`;
    cpSync(at(name), at(copy), { recursive: true });
    return copy;
  }

  test('a sensor downloads its package, and upgrades once the next version is published', () => {
    const apt = sensor('repository');
    expect(update(apt)).toMatchObject({ status: 0 });
    expect(apt('download', 'tocsin')).toMatchObject({ status: 0 });
    publish('repository', 'operator', '1.0.1');
    expect(update(apt)).toMatchObject({ status: 0 });
    expect(apt('install', '--simulate', 'tocsin').said).toContain('Inst tocsin (1.0.1');
  });

  test('a package or index changed after signing is refused', () => {
    const changed = copyOf('repository');
    const apt = sensor(changed);
    expect(update(apt)).toMatchObject({ status: 0 });
    appendFileSync(at(changed, `pool/tocsin_1.0.1_${architecture}.deb`), 'x');
    expect(apt('download', 'tocsin=1.0.1')).toMatchObject({ status: 100, said: expect.stringMatching(/unexpected size|Hash Sum mismatch/) });
    for (const { parentPath, name } of readdirSync(at(changed, `dists/stable/main/binary-${architecture}`), { recursive: true, withFileTypes: true }))
      if (!/^(by-hash|SHA512)$/.test(name)) appendFileSync(join(parentPath, name), '\n');
    expect(update(sensor(changed))).toMatchObject({ status: 100 });
  });

  test('a repository with another key, without a signature, or expired is refused', () => {
    publish('foreign', 'stranger', '9.0.0');
    expect(update(sensor('foreign'))).toMatchObject({ status: 100, said: expect.stringMatching(/NO_PUBKEY|not signed/) });
    const unsigned = copyOf('repository');
    const signed = readFileSync(at(unsigned, 'dists/stable/InRelease'), 'utf8');
    const release = signed.replace(/^-----BEGIN PGP SIGNED[\s\S]*?\n\n/, '').replace(/-----BEGIN PGP SIGNATURE[\s\S]*/, '');
    writeFileSync(at(unsigned, 'dists/stable/InRelease'), release);
    expect(update(sensor(unsigned))).toMatchObject({ status: 100 });
    publish('old', 'operator', '1.0.0', '-1');
    expect(update(sensor('old'))).toMatchObject({ status: 100, said: expect.stringContaining('expired') });
  });

  test('a key that was extended is refused by a sensor whose copy has ended, and accepted with a new copy', () => {
    const gpg = (...args: string[]) => execFileSync('gpg', ['--batch', '--passphrase', '', ...args], { env, encoding: 'utf8', stdio: 'pipe' });
    const threeDaysAgo = new Date(Date.now() - 3 * 86_400_000).toISOString().slice(0, 19).replace(/[-:]/g, '');
    gpg('--faked-system-time', threeDaysAgo, '--quick-generate-key', 'ended@example.org', 'ed25519', 'sign', '2d');
    writeFileSync(at('ended.asc'), gpg('--armor', '--export', 'ended@example.org'));
    expect(() => publish('ended', 'ended', '1.0.0')).toThrow('Unusable secret key');
    const [, fingerprint = ''] = /^fpr:+(\w+):/m.exec(gpg('--with-colons', '--list-keys', 'ended@example.org')) ?? [];
    const extend = /`(gpg --quick-set-expire KEY \w+)`/.exec(readFileSync('deploy/apt/README.md', 'utf8'))?.[1] ?? '';
    gpg(...extend.replace('KEY', fingerprint).split(' ').slice(1));
    writeFileSync(at('extended.asc'), gpg('--armor', '--export', 'ended@example.org'));
    publish('ended', 'ended', '1.0.0');
    expect(update(sensor('ended', 'ended'))).toMatchObject({ status: 100, said: expect.stringMatching(/EXPKEYSIG|not live|not signed/) });
    expect(update(sensor('ended', 'extended'))).toMatchObject({ status: 0 });
  });

  const withoutFrench = existsSync('/usr/share/i18n/locales/fr_FR') ? missing('localedef') : 'needs the package locales';
  test.skipIf(withoutFrench)(`a repository published under a French locale is accepted${withoutFrench ? ` (left out: ${withoutFrench})` : ''}`, () => {
    execFileSync('localedef', ['-i', 'fr_FR', '-f', 'UTF-8', at('fr_FR.UTF-8')]);
    publish('french', 'operator', '1.0.0', '30', { LOCPATH: base, LC_ALL: 'fr_FR.UTF-8' });
    expect(update(sensor('french'))).toMatchObject({ status: 0 });
  });

  test('published files are readable by a web server, whatever the umask of the operator', () => {
    const mask = process.umask(0o077);
    onTestFinished(() => void process.umask(mask));
    publish('private', 'operator', '1.0.0');
    for (const { parentPath, name } of readdirSync(at('private'), { recursive: true, withFileTypes: true }))
      expect(statSync(join(parentPath, name)).mode & 0o004, join(parentPath, name)).toBe(0o004);
  });

  test('a truncated package is refused, and the published one stays', () => {
    publish('whole', 'operator', '3.0.0');
    const deb = at(`tocsin_3.0.0_${architecture}.deb`);
    const pool = at('whole/pool', `tocsin_3.0.0_${architecture}.deb`);
    const before = readFileSync(pool);
    writeFileSync(deb, before.subarray(0, before.length - 100));
    const { status, stderr } = spawnSync('deploy/apt/publish.sh', [at('whole'), 'operator@example.org', deb], { env, encoding: 'utf8' });
    expect(status, stderr).not.toBe(0);
    expect(stderr).toContain('dpkg-deb');
    expect(readFileSync(pool)).toEqual(before);
  });

  test('a package with an invalid name is refused, and the repository stays unchanged', () => {
    publish('named', 'operator', '3.2.0');
    const before = readdirSync(at('named'), { recursive: true }).toSorted();
    const release = readFileSync(at('named/dists/stable/InRelease'));
    const renamed = at(`tocsin_3.2.0_${architecture} (1).deb`);
    cpSync(at(`tocsin_3.2.0_${architecture}.deb`), renamed);
    const { status, stderr } = spawnSync('deploy/apt/publish.sh', [at('named'), 'operator@example.org', renamed], { env, encoding: 'utf8' });
    expect(stderr).toMatch(/^Error: Expected packages for arm64 or amd64, .*, got: tocsin_3\.2\.0_.* \(1\)\.deb\nTry: /);
    expect(status).toBe(1);
    expect(readdirSync(at('named'), { recursive: true }).toSorted()).toEqual(before);
    expect(readFileSync(at('named/dists/stable/InRelease'))).toEqual(release);
  });

  test('another package with a published version is refused; the same package is accepted, also named twice, and the published one stays', () => {
    publish('once', 'operator', '3.1.0');
    const deb = at(`tocsin_3.1.0_${architecture}.deb`);
    const again = (...more: string[]) => spawnSync('deploy/apt/publish.sh', [at('once'), 'operator@example.org', deb, ...more], { env, encoding: 'utf8' });
    const pool = at('once/pool', `tocsin_3.1.0_${architecture}.deb`);
    const before = readFileSync(pool);
    expect(again()).toMatchObject({ status: 0 });
    expect(again(deb)).toMatchObject({ status: 0 }); // named twice
    appendFileSync(at('package-3.1.0/DEBIAN/control'), 'Homepage: https://example.org\n');
    execFileSync('dpkg-deb', ['--root-owner-group', '-b', at('package-3.1.0'), deb], { stdio: 'ignore' });
    expect(again()).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^Error: Expected a version that is not published yet, got .*tocsin_3\.1\.0_.*\nTry: /),
    });
    const renamed = at(`tocsin_3.1.0-1_${architecture}.deb`);
    cpSync(deb, renamed);
    const asAnother = spawnSync('deploy/apt/publish.sh', [at('once'), 'operator@example.org', renamed], { env, encoding: 'utf8' });
    expect(asAnother).toMatchObject({ status: 1, stderr: expect.stringMatching(/^Error: Expected a version that is not published yet, .*3\.1\.0-1_/) });
    expect(readFileSync(pool)).toEqual(before);
    expect(update(sensor('once'))).toMatchObject({ status: 0 });
  });

  test('a publication waits for the lock of another one', () => {
    publish('shared', 'operator', '1.0.0');
    const deb = at(`tocsin_1.0.0_${architecture}.deb`);
    const shared = at('shared');
    // the holder of the lock is the first; without the lock the second would finish in a fraction of this time
    const second = () => spawnSync('timeout', ['5', 'deploy/apt/publish.sh', shared, 'operator@example.org', deb], { env }).status;
    const first = spawn('flock', [join(shared, '.lock'), 'sleep', '60'], { stdio: 'ignore', detached: true });
    const end = () => process.kill(-(first.pid as number), 'SIGKILL');
    while (spawnSync('flock', ['-n', join(shared, '.lock'), 'true']).status === 0);
    expect(second()).toBe(124);
    end();
    expect(second()).toBe(0);
  });

  test('a publication that fails leaves the repository unchanged and no files beside it', () => {
    publish('guarded', 'operator', '1.0.0');
    const served = () =>
      readdirSync(at('guarded'), { recursive: true, withFileTypes: true })
        .map((entry) => join(entry.parentPath, entry.name) + (entry.isFile() ? ` ${readFileSync(join(entry.parentPath, entry.name), 'base64')}` : ''))
        .toSorted();
    const before = served();
    expect(() => publish('guarded', 'nobody', '1.0.2')).toThrow('nobody@example.org');
    expect(() => publish('guarded', 'operator', '1.0.2', 'x')).toThrow('Expected TOCSIN_VALID_DAYS to be a whole number of days, got: x');
    expect(served()).toEqual(before);
    expect(update(sensor('guarded'))).toMatchObject({ status: 0 });
    publish('guarded', 'operator', '1.0.2'); // and the next one succeeds: one more package, and its index under two digests
    expect(served().length).toBe(before.length + 3);
    publish('guarded', 'operator', '1.0.3');
    expect(served().length, 'only the indices of the last two publications are kept by digest').toBe(before.length + 4);
    const apt = sensor('guarded');
    expect(update(apt)).toMatchObject({ status: 0 });
    expect(apt('install', '--simulate', 'tocsin').said).toContain('Inst tocsin (1.0.3');
  });

  // Every command that changes the repository is a mv or an rm. A kill before one of them stands for a kill at any
  // time between two.
  test('a publication killed at any step leaves a valid repository with the old or new version, and the next one succeeds', () => {
    publish('killed', 'operator', '1.0.0');
    const bin = at('killed-bin');
    mkdirSync(bin);
    for (const name of ['mv', 'rm']) {
      const real = execFileSync('sh', ['-c', `command -v ${name}`], { encoding: 'utf8' }).trim();
      writeFileSync(join(bin, name), `#!/bin/sh\necho >>${bin}/count\n[ $(wc -l <${bin}/count) -ne $KILLED_AT ] || kill -9 $PPID\nexec ${real} "$@"\n`, {
        mode: 0o755,
      });
    }
    const offered: string[] = [];
    for (let killedAt = 1; ; killedAt++) {
      const name = copyOf('killed');
      rmSync(join(bin, 'count'), { force: true });
      const more = { PATH: `${bin}:${process.env.PATH}`, KILLED_AT: String(killedAt) };
      try {
        publish(name, 'operator', '1.0.1', '30', more);
        break;
      } catch {
        const apt = sensor(name);
        expect(update(apt), `before change ${killedAt}`).toMatchObject({ status: 0 });
        expect(apt('download', 'tocsin')).toMatchObject({ status: 0 });
        offered.push(/^Inst tocsin \((\S+)/m.exec(apt('install', '--simulate', 'tocsin').said)?.[1] ?? 'none');
        publish(name, 'operator', '1.0.2');
        const next = sensor(name);
        expect(update(next)).toMatchObject({ status: 0 });
        expect(next('install', '--simulate', 'tocsin').said).toContain('Inst tocsin (1.0.2');
        expect(readdirSync(at(name)).filter((entry) => entry.startsWith('.publish'))).toEqual([]);
      }
    }
    expect(offered.length).toBeGreaterThan(5);
    expect([offered[0], offered.at(-1), offered.toSorted()]).toEqual(['1.0.0', '1.0.1', offered]);
  });
});
