import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { version as told } from '../../agent/cli/command.ts';
import { pack } from '../../deploy/deb/pack.ts';
import { missing } from '../support/broker.ts';
import { copySources } from '../support/package.ts';

test('the agent reports the version of package.json, and the example inventory names the same version', () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  expect(told).toBe(version);
  expect(readFileSync('deploy/ansible/inventory.ini', 'utf8')).toMatch(new RegExp(`^tocsin_version=${version}$`, 'm'));
});

test('the package build refuses an npm that is too old, and says what to do', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-npm-'));
  writeFileSync(join(folder, 'npm'), '#!/bin/sh\necho 9.2.0\n', { mode: 0o755 });
  const { status, stderr } = spawnSync(process.execPath, ['deploy/deb/build.ts', '--out', join(folder, 'out')], {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${folder}:${process.env.PATH}` },
  });
  expect(stderr).toContain('Error: Expected npm 10 or newer, got 9.2.0; try: npx npm@11 run deb\n');
  expect([status, existsSync(join(folder, 'out'))]).toEqual([1, false]);
});

test('the package build refuses a version that Debian takes for a later one than was meant', () => {
  const out = join(mkdtempSync(join(tmpdir(), 'tocsin-version-')), 'out');
  const { status, stderr } = spawnSync(process.execPath, ['deploy/deb/build.ts', '--out', out, '--version', '0.2.0-rc.1'], { encoding: 'utf8' });
  expect(stderr).toContain('Error: Expected a version without a hyphen, got 0.2.0-rc.1; try: --version 0.2.0~rc.1, which comes before 0.2.0\n');
  expect([status, existsSync(out)]).toEqual([1, false]);
});

// copied without .git, as from an archive of the sources
test('the package build refuses what an editor, a desktop or a person has left among the sources', () => {
  const source = copySources();
  const strays = ['.DS_Store', '.hidden/a.ts', '.main.ts.swp', '._main.ts', 'cli/notes.txt', 'cli/program.ts.orig', 'main.ts~'].map((name) => `agent/${name}`);
  mkdirSync(join(source, 'agent/.hidden'));
  for (const path of strays) writeFileSync(join(source, path), '');
  symlinkSync('somebody@somewhere.1234', join(source, 'agent/.#main.ts')); // an editor's lock
  const out = join(source, 'out');
  const { status, stderr } = spawnSync(process.execPath, [join(source, 'deploy/deb/build.ts'), '--out', out], { encoding: 'utf8' });
  const named = [...strays, 'agent/.#main.ts'].toSorted().join(', ');
  expect(stderr).toContain(`Error: Expected only .ts and .sql in agent/, got ${named}; remove what does not belong to the program\n`);
  expect([status, existsSync(out)]).toEqual([1, false]);
});

test('the package build says why git does not tell the time of the commit, as in a container on sources of another owner', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-git-'));
  const refusal = "fatal: detected dubious ownership in repository at '/builds/tocsin'\nTo add an exception for this directory, call: git config";
  writeFileSync(join(folder, 'git'), `#!/bin/sh\necho "${refusal}" >&2\nexit 128\n`, { mode: 0o755 });
  const build = (PATH: string) =>
    spawnSync(process.execPath, ['deploy/deb/build.ts', '--out', join(folder, 'out')], {
      encoding: 'utf8',
      env: { ...process.env, PATH, SOURCE_DATE_EPOCH: undefined },
    }).stderr;
  expect(build(`${folder}:${process.env.PATH}`)).toContain(`Error: Expected the time of the last commit from git, or SOURCE_DATE_EPOCH, got: ${refusal}\n`);
  rmSync(join(folder, 'git'));
  writeFileSync(join(folder, 'npm'), '#!/bin/sh\necho 11.0.0\n', { mode: 0o755 });
  expect(build(folder)).toContain('or SOURCE_DATE_EPOCH, got: spawnSync git ENOENT\n');
});

test('the package build leaves no folder behind when stopped by Ctrl-C', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-npm-'));
  // the real npm ends at Ctrl-C as well
  writeFileSync(join(folder, 'npm'), '#!/bin/sh\n[ "$1" = ci ] || exec echo 11.0.0\necho installs >&2\nexec sleep 60\n', { mode: 0o755 });
  const env = { ...process.env, PATH: `${folder}:${process.env.PATH}`, TMPDIR: join(folder, 'tmp') };
  mkdirSync(env.TMPDIR);
  const build = spawn(process.execPath, ['deploy/deb/build.ts', '--out', join(folder, 'out')], { env, detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(build, 'exit');
  await once(build.stderr, 'data');
  expect(readdirSync(env.TMPDIR)).toHaveLength(1);
  process.kill(-(build.pid as number), 'SIGINT');
  expect(await ended).toEqual([1, null]);
  expect(readdirSync(env.TMPDIR)).toEqual([]);
});

test('a package cut short while packing does not get its final name, and the next build makes it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-pack-'));
  const [root, out] = [join(folder, 'root'), join(folder, 'out')];
  for (const path of [join(root, 'usr/lib/tocsin'), out]) mkdirSync(path, { recursive: true });
  writeFileSync(join(root, 'usr/lib/tocsin/tocsin.sha256'), 'list');
  // A fake, so that no package is built. It cannot show that dpkg-deb accepts the name; test/system does.
  const dpkg = (end: string) =>
    writeFileSync(join(folder, 'dpkg-deb'), `#!/bin/sh\nfor file; do :; done\necho whole | head -c 3 >"$file"\n${end}\necho whole >"$file"\n`, { mode: 0o755 });
  const build = () => pack(root, join(out, 'tocsin.deb'), join(out, 'tocsin.sha256'), 'xz', { ...process.env, PATH: `${folder}:${process.env.PATH}` });
  const made = () => readdirSync(out).filter((name) => !name.endsWith('.part'));
  dpkg('kill -9 $$');
  expect(build).toThrow();
  expect(made()).toEqual([]);
  dpkg('');
  build();
  expect(readdirSync(out)).toEqual(['tocsin.deb', 'tocsin.sha256']);
  expect(readFileSync(join(out, 'tocsin.deb'), 'utf8')).toBe('whole\n');
});

const withoutDpkg = missing('dpkg-deb');
test.skipIf(withoutDpkg)(`try-arm64.sh accepts a package in the current folder${withoutDpkg ? ` (left out: ${withoutDpkg})` : ''}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin two words-'));
  const root = join(folder, 'tocsin-tests/trixie-qemu-arm64');
  for (const path of [join(root, 'srv'), join(folder, 'package/DEBIAN'), join(folder, 'package/usr/lib')]) mkdirSync(path, { recursive: true });
  writeFileSync(
    join(folder, 'package/DEBIAN/control'),
    'Package: tocsin\nVersion: 1\nArchitecture: arm64\nMaintainer: Nobody <nobody@example.org>\nDescription: empty\n',
  );
  chmodSync(join(folder, 'package/DEBIAN'), 0o755); // dpkg-deb refuses what a umask of 077 makes
  spawnSync('dpkg-deb', ['-b', join(folder, 'package'), join(folder, 'tocsin_1_arm64.deb')]);
  // that root has no qemu: the script ends where it unpacks the package
  const env = { ...process.env, XDG_CACHE_HOME: folder };
  const { stderr } = spawnSync(join(process.cwd(), 'deploy/deb/try-arm64.sh'), ['tocsin_1_arm64.deb'], { cwd: folder, env, encoding: 'utf8' });
  expect(existsSync(join(root, 'srv/tocsin/usr/lib')), stderr).toBe(true);
});

const withoutUdev = spawnSync('udevadm', ['verify', '--version']).status === 0 ? undefined : 'needs udevadm verify (systemd 254)';
describe.skipIf(withoutUdev)(`udev${withoutUdev ? ` (left out: ${withoutUdev}; test/system has it)` : ''}`, () => {
  test('accepts the rules', () => {
    const { status, stdout, stderr } = spawnSync('udevadm', ['verify', join(process.cwd(), 'deploy/udev/71-tocsin.rules')], { encoding: 'utf8' });
    expect(status, stdout + stderr).toBe(0);
  });
});
