import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { appendFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { missing } from '../support/broker.ts';

const without = missing('apt-get', 'apt-ftparchive', 'gpg', 'gpgv', 'dpkg-deb');

// Real apt with folders of its own. The packages are empty: the real one is built and installed by test/system.
describe.skipIf(without)(`the operator's apt repository${without ? ` (left out: ${without})` : ''}`, { timeout: 60_000 }, () => {
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
  /** A sensor's apt, which knows the operator's key and the repository alone. */
  function sensor(repository: string) {
    const home = mkdtempSync(at('sensor-'));
    for (const folder of ['lists/partial', 'cache/archives/partial', 'parts', 'apt.conf.d']) mkdirSync(join(home, folder), { recursive: true });
    writeFileSync(join(home, 'status'), '');
    const source = readFileSync('deploy/apt/tocsin.sources', 'utf8');
    const settled = source.replace(/^URIs: .*$/m, `URIs: file:${at(repository)}`).replace(/^Signed-By: .*$/m, `Signed-By: ${at('operator.asc')}`);
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

  test('a sensor takes its package, and the next version once that is published', () => {
    const apt = sensor('repository');
    expect(update(apt)).toMatchObject({ status: 0 });
    expect(apt('download', 'tocsin')).toMatchObject({ status: 0 });
    publish('repository', 'operator', '1.0.1');
    expect(update(apt)).toMatchObject({ status: 0 });
    expect(apt('install', '--simulate', 'tocsin').said).toContain('Inst tocsin (1.0.1');
  });

  test('a package or an index that was changed after it was signed is refused', () => {
    const changed = copyOf('repository');
    const apt = sensor(changed);
    expect(update(apt)).toMatchObject({ status: 0 });
    appendFileSync(at(changed, `pool/tocsin_1.0.1_${architecture}.deb`), 'x');
    expect(apt('download', 'tocsin=1.0.1')).toMatchObject({ status: 100, said: expect.stringMatching(/unexpected size|Hash Sum mismatch/) });
    for (const { parentPath, name } of readdirSync(at(changed, `dists/stable/main/binary-${architecture}`), { recursive: true, withFileTypes: true }))
      if (!/^(by-hash|SHA512)$/.test(name)) appendFileSync(join(parentPath, name), '\n');
    expect(update(sensor(changed))).toMatchObject({ status: 100 });
  });

  test('a repository of another key, without a signature, or too old is refused', () => {
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

  const withoutFrench = existsSync('/usr/share/i18n/locales/fr_FR') ? missing('localedef') : 'needs the package locales';
  test.skipIf(withoutFrench)(`an operator who speaks French publishes what a sensor takes${withoutFrench ? ` (left out: ${withoutFrench})` : ''}`, () => {
    execFileSync('localedef', ['-i', 'fr_FR', '-f', 'UTF-8', at('fr_FR.UTF-8')]);
    publish('french', 'operator', '1.0.0', '30', { LOCPATH: base, LC_ALL: 'fr_FR.UTF-8' });
    expect(update(sensor('french'))).toMatchObject({ status: 0 });
  });

  test('what is published can be read by a web server, whatever umask the operator has', () => {
    const mask = process.umask(0o077);
    onTestFinished(() => void process.umask(mask));
    publish('private', 'operator', '1.0.0');
    for (const { parentPath, name } of readdirSync(at('private'), { recursive: true, withFileTypes: true }))
      expect(statSync(join(parentPath, name)).mode & 0o004, join(parentPath, name)).toBe(0o004);
  });

  test('a package that was cut short is refused, and what is served stays', () => {
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

  test('a package whose name no index would take is refused, and what is served stays', () => {
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

  test('another package under a version that is published is refused, the same one is not, and what is served stays', () => {
    publish('once', 'operator', '3.1.0');
    const deb = at(`tocsin_3.1.0_${architecture}.deb`);
    const again = () => spawnSync('deploy/apt/publish.sh', [at('once'), 'operator@example.org', deb], { env, encoding: 'utf8' });
    const pool = at('once/pool', `tocsin_3.1.0_${architecture}.deb`);
    const before = readFileSync(pool);
    expect(again()).toMatchObject({ status: 0 });
    appendFileSync(at('package-3.1.0/DEBIAN/control'), 'Homepage: https://example.org\n');
    execFileSync('dpkg-deb', ['--root-owner-group', '-b', at('package-3.1.0'), deb], { stdio: 'ignore' });
    expect(again()).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^Error: Expected a version that is not published yet, got .*tocsin_3\.1\.0_.*\nTry: /),
    });
    expect(readFileSync(pool)).toEqual(before);
    expect(update(sensor('once'))).toMatchObject({ status: 0 });
  });

  test('of two publications at once the second waits for the first', () => {
    publish('shared', 'operator', '1.0.0');
    const deb = at(`tocsin_1.0.0_${architecture}.deb`);
    const shared = at('shared');
    // whoever holds the lock is the first; without one the second is through in a fraction of these seconds
    const second = () => spawnSync('timeout', ['5', 'deploy/apt/publish.sh', shared, 'operator@example.org', deb], { env }).status;
    const first = spawn('flock', [join(shared, '.lock'), 'sleep', '60'], { stdio: 'ignore', detached: true });
    const end = () => process.kill(-(first.pid as number), 'SIGKILL');
    while (spawnSync('flock', ['-n', join(shared, '.lock'), 'true']).status === 0);
    expect(second()).toBe(124);
    end();
    expect(second()).toBe(0);
  });

  test('a publication that cannot be signed leaves what is served byte for byte, and nothing beside it', () => {
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
    publish('guarded', 'operator', '1.0.2'); // and the next one succeeds: a package more, and its index under two digests
    expect(served().length).toBe(before.length + 3);
    publish('guarded', 'operator', '1.0.3');
    expect(served().length, 'of the indices under digests those of the last two').toBe(before.length + 4);
    const apt = sensor('guarded');
    expect(update(apt)).toMatchObject({ status: 0 });
    expect(apt('install', '--simulate', 'tocsin').said).toContain('Inst tocsin (1.0.3');
  });

  // Each command that changes what is served is a mv or an rm; a kill before any of them is a kill at any time between two.
  test('killed at any moment, what is served is whole: a sensor takes the version before or the new one, and the next publication succeeds', () => {
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
