import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { writeScripts } from '../../deploy/deb/control.ts';
import { missing } from '../support/broker.ts';
import { range } from '../support/damaged-outbox.ts';
import { versions } from '../support/older-outbox.ts';

test('the package refuses to install if the group tocsin already belongs to other users', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-people-'));
  // A fake. It cannot show that sysusers accepts the group, or that groupmod repairs it.
  const people = (group: string, ...passwd: string[]) => {
    const lines = ['root:x:0:0:root:/root:/bin/bash', 'tocsin-listener:x:997:996::/:/usr/sbin/nologin', ...passwd].join('\n');
    writeFileSync(join(folder, 'getent'), `#!/bin/sh\ncase $* in passwd) echo '${lines}' ;; *) ${group ? `echo '${group}'` : 'exit 2'} ;; esac\n`, {
      mode: 0o755,
    });
  };
  const installed = (language: string, ...args: string[]) => {
    const env = { PATH: `${folder}:${process.env.PATH}`, LC_ALL: language };
    const { status, stderr } = spawnSync('sh', ['deploy/deb/scripts/preinst', ...args], { encoding: 'utf8', env });
    return { status, stderr };
  };
  const taken = { status: 0, stderr: '' };
  people('');
  expect(installed('C', 'install')).toEqual(taken);
  people('tocsin:x:999:tocsin-listener,tocsin-courier');
  expect(installed('C', 'install')).toEqual(taken);
  people('tocsin:x:1000:', 'tocsin:x:1000:1000:,,,:/home/tocsin:/bin/bash', 'pi:x:1001:1000:,,,:/home/pi:/bin/bash');
  expect(installed('C', 'install')).toEqual({
    status: 1,
    stderr: expect.stringMatching(/^Error: .*, got that of: tocsin pi\nTry: .*groupmod -n NAME tocsin;/),
  });
  expect(installed('fr_FR.UTF-8', 'install')).toEqual({ status: 1, stderr: expect.stringMatching(/^Erreur : .* obtenu celui de : tocsin pi\nEssayez : /) });
  expect(installed('C', 'upgrade', '0.1.0').stderr, 'a sensor that runs goes on').toBe('');
});

test('the command for a card image names a file in each folder that a purge empties', () => {
  const [, folders = ''] = /for folder in (.*); do/.exec(readFileSync('deploy/deb/scripts/postrm', 'utf8')) ?? [];
  const kept = folders.split(' ').filter((folder) => !folder.startsWith('/run/')); // what a card holds
  expect(kept.length).toBe(4);
  const [, removed = ''] = /`rm -f (.*?)`/.exec(readFileSync('docs/package.md', 'utf8')) ?? [];
  for (const folder of kept) expect(removed, folder).toContain(`${folder}/`);
});

test('the example configuration that a person is told to install is among the files of the program; a board may leave /usr/share/doc out', () => {
  for (const page of ['deploy/deb/scripts/postinst', 'README.md']) {
    const named = [...readFileSync(page, 'utf8').matchAll(/install -m 640 -g tocsin (\S+)/g)].map(([, path]) => path);
    expect(new Set(named), page).toEqual(new Set(['/usr/lib/tocsin/deploy/tocsin.example.yaml']));
  }
});

const noMounts = missing('unshare') ?? (process.getuid?.() === 0 ? undefined : 'needs root to mount');
test.skipIf(noMounts)(`a purge takes everything, also where credentials are on a partition of their own${noMounts ? ` (left out: ${noMounts})` : ''}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-purge-'));
  // Fakes: they keep the test from the machine's own users and units.
  for (const name of ['getent', 'deb-systemd-helper', 'systemctl']) writeFileSync(join(folder, name), '#!/bin/sh\nexit 2\n', { mode: 0o755 });
  const folders = ['/etc/tocsin', '/var/lib/tocsin', '/var/lib/tocsin-courier', '/var/lib/tocsin-privacy', '/run/tocsin'];
  for (const path of folders) {
    mkdirSync(join(folder, path, 'credentials'), { recursive: true });
    writeFileSync(join(folder, path, 'file'), '');
  }
  const postrm = readFileSync('deploy/deb/scripts/postrm', 'utf8').replaceAll(/(?<=[ ;])(?=\/(etc|var|run)\/)/g, folder);
  const within = 'mount -t tmpfs none "$1" && touch "$1/sensor.key" && sh -c "$2" postrm purge; echo $?; find "$1"';
  const purge = () => {
    const args = ['-m', 'sh', '-c', within, 'sh', join(folder, 'etc/tocsin/credentials'), postrm];
    return spawnSync('unshare', args, { encoding: 'utf8', env: { PATH: `${folder}:${process.env.PATH}` } }).stdout;
  };
  expect(purge()).toBe(`0\n${folder}/etc/tocsin/credentials\n`);
  expect(folders.filter((path) => existsSync(join(folder, path)))).toEqual(['/etc/tocsin']); // where the partition was
});

test('an installation that is broken off and repeated still starts what the removal stopped', () => {
  const again = join(mkdtempSync(join(tmpdir(), 'tocsin-postrm-')), 'again');
  const postrm = readFileSync('deploy/deb/scripts/postrm', 'utf8').replaceAll('/run/tocsin-installed-again', again);
  // the arguments that dpkg gives (deb-postrm(5)) when the first installation is repeated, and when it is given up
  for (const [action, stays] of [
    ['upgrade', true],
    ['abort-install', false],
  ] as const) {
    writeFileSync(again, '');
    expect(spawnSync('sh', ['-c', postrm, 'postrm', action, '0.1.0']).status).toBe(0);
    expect(existsSync(again), action).toBe(stays);
  }
});

describe('postinst calls', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-postinst-'));
  const calls = join(folder, 'calls');
  // They only write down how they are called: what systemd does is seen in sensor.test.ts.
  for (const name of ['systemctl', 'deb-systemd-invoke', 'deb-systemd-helper', 'systemd-sysusers', 'systemd-tmpfiles', 'udevadm'])
    writeFileSync(join(folder, name), `#!/bin/sh\necho ${name} "$@" >>${calls}\n`, { mode: 0o755 });
  const postinst = readFileSync('deploy/deb/scripts/postinst', 'utf8').replaceAll('/run/', `${folder}/run/`).replaceAll('/etc/tocsin', folder);
  mkdirSync(join(folder, 'run/systemd/system'), { recursive: true });
  const called = (...args: string[]) => {
    writeFileSync(calls, '');
    expect(spawnSync('sh', ['-c', postinst, 'postinst', ...args], { env: { PATH: `${folder}:${process.env.PATH}` } }).status).toBe(0);
    return readFileSync(calls, 'utf8').match(/^(systemctl|deb-systemd-invoke) .*$/gm);
  };

  test('one restart of both halves after an upgrade, which policy-rc.d can refuse', () => {
    const restart = 'deb-systemd-invoke try-restart tocsin-courier.service tocsin-listener.service';
    expect(called('configure', '0.1.0')).toEqual(['systemctl --system daemon-reload', restart]);
  });

  test('a start of the target after a removal that was broken off, if there is a configuration', () => {
    expect(called('abort-remove')).toBe(null);
    writeFileSync(join(folder, 'tocsin.yaml'), '');
    expect(called('abort-remove')).toEqual(['deb-systemd-invoke start tocsin.target']);
    expect(called('abort-upgrade', '0.1.0'), 'prerm had stopped nothing').toBe(null);
  });

  test.each([
    ['3', 'C', 'tocsin: events that were not delivered and wait in /var/lib/tocsin: 3. They leave once tocsin is installed again; apt purge deletes them.\n'],
    [
      '3',
      'fr_FR.UTF-8',
      'tocsin : événements non livrés, en attente dans /var/lib/tocsin : 3. Ils partiront si tocsin est réinstallé ; apt purge les efface.\n',
    ],
    ['0', 'C', ''],
    ['', 'C', ''], // no configuration, or an outbox that cannot be read
  ])('a removal with %s events that wait says so (%s)', (pending, LC_ALL, said) => {
    const prerm = readFileSync('deploy/deb/scripts/prerm', 'utf8').replaceAll('/run/', `${folder}/run/`);
    // A fake in the form of `tocsin status --json`; the system test removes a real one.
    writeFileSync(join(folder, 'tocsin'), `#!/bin/sh\necho '${pending && JSON.stringify({ site: 'a', pending: Number(pending), stored: 9 }, null, 2)}'\n`, {
      mode: 0o755,
    });
    const run = spawnSync('sh', ['-c', prerm, 'prerm', 'remove'], { encoding: 'utf8', env: { PATH: `${folder}:${process.env.PATH}`, LC_ALL } });
    rmSync(join(folder, 'tocsin'));
    expect(run).toMatchObject({ status: 0, stdout: said });
  });

  test('a start of the target after a removal whose dpkg was killed, once dpkg --configure has the package stay', () => {
    const prerm = readFileSync('deploy/deb/scripts/prerm', 'utf8').replaceAll('/run/', `${folder}/run/`);
    const remove = () => spawnSync('sh', ['-c', prerm, 'prerm', 'remove'], { env: { PATH: `${folder}:${process.env.PATH}` } }).status;
    writeFileSync(join(folder, 'tocsin.yaml'), '');
    const restart = 'deb-systemd-invoke try-restart tocsin-courier.service tocsin-listener.service';
    const upgrade = ['systemctl --system daemon-reload', restart];
    expect(remove()).toBe(0);
    expect(called('configure', '0.1.0')).toEqual([...upgrade, 'deb-systemd-invoke start tocsin.target']);
    expect(called('configure', '0.1.0'), 'an upgrade after that').toEqual(upgrade);
    expect(remove()).toBe(0);
    expect(called('abort-remove')).toEqual(['deb-systemd-invoke start tocsin.target']);
    expect(called('configure', '0.1.0'), 'an upgrade after that').toEqual(upgrade);
  });
});

test('the package refuses to install a release that cannot use the outbox schema, before anything is unpacked', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-preinst-'));
  const [outbox, again, installation, config] = ['outbox.db', 'again', 'installed', 'tocsin.yaml'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
    string,
  ];
  writeScripts('.', folder);
  const text = readFileSync(join(folder, 'preinst'), 'utf8')
    .replaceAll('/var/lib/tocsin/outbox.db', outbox)
    .replaceAll('/run/tocsin-installed-again', again)
    .replaceAll('/etc/tocsin/tocsin.yaml', config)
    .replaceAll('/usr/lib/tocsin', installation);
  const preinst = (...args: string[]) =>
    spawnSync('sh', ['-c', text, 'preinst', ...args], { encoding: 'utf8', timeout: 60_000, env: { ...process.env, LC_ALL: 'C' } });
  const isTaken = (...args: string[]) => preinst(...args).status === 0;
  const schemaVersion = (number: number) => {
    const db = new Database(outbox);
    db.pragma(`user_version = ${number}`);
    db.close();
  };
  const install = (known: number) => {
    const migrations = join(installation, 'agent/outbox/migrations');
    mkdirSync(migrations, { recursive: true });
    for (const number of range(1, known)) writeFileSync(join(migrations, `${number}.sql`), '');
  };
  install(versions + 1);
  expect([isTaken('install'), isTaken('upgrade', '0.3.0')], 'no outbox yet').toEqual([true, true]);
  for (const usable of [1, versions]) {
    schemaVersion(usable);
    expect(isTaken('upgrade', '0.3.0')).toBe(true);
  }
  writeFileSync(`${outbox}-wal`, 'brought by an upgrade a moment ago');
  expect(isTaken('upgrade', '0.3.0'), 'the version may stand in the log alone').toBe(false);
  rmSync(`${outbox}-wal`);
  schemaVersion(versions + 1);
  expect(preinst('upgrade', '0.3.0')).toMatchObject({ status: 1, stderr: expect.stringMatching(/^Error: .*\nTry: keep the later release/) });
  schemaVersion(256);
  expect(isTaken('upgrade', '0.3.0'), 'no release knows that number: it is damaged, and a half repairs it').toBe(true);
  install(256);
  expect(isTaken('upgrade', '0.3.0')).toBe(false);
  rmSync(installation, { recursive: true });
  expect([isTaken('install', '0.3.0'), existsSync(again)], 'nor once that was removed').toEqual([false, false]);
  schemaVersion(versions);
  install(versions);
  writeFileSync(`${outbox}-wal`, 'of halves that run');
  expect(isTaken('upgrade', '0.3.0')).toBe(true);
  expect([isTaken('install', '0.3.0'), existsSync(again)]).toEqual([true, true]);
  rmSync(outbox);
  execFileSync('mkfifo', [outbox]);
  expect(isTaken('upgrade', '0.3.0'), 'a pipe that a half planted is not waited for').toBe(true);
  rmSync(outbox);
  // an outbox at another path of the configuration
  schemaVersion(versions + 1);
  install(versions + 1);
  const [usual, elsewhere] = [outbox, join(folder, 'else where.db')];
  for (const line of [`path: ${elsewhere} # on the disk`, `# path: x\n\n  path: "${elsewhere}"`, `path: '${elsewhere}'`, `path: ${elsewhere}\r`]) {
    writeFileSync(config, `model:\n  path: /srv/model\noutbox:\n  maxMegabytes: 64\n  ${line}\nlog:\n  path: /no\n`);
    rmSync(elsewhere, { force: true });
    expect(isTaken('upgrade', '0.3.0'), `${line}: none there`).toBe(true);
    renameSync(usual, elsewhere);
    expect(preinst('upgrade', '0.3.0'), line).toMatchObject({ status: 1, stderr: expect.stringContaining(`got that of a later one: ${elsewhere}\n`) });
    renameSync(elsewhere, usual);
  }
  for (const line of [`{path: ${elsewhere}}`, `{ maxMegabytes: 64, path: "${elsewhere}", maxAgeDays: 9 } # on the disk`]) {
    writeFileSync(config, `model: {path: /srv/model}\noutbox: ${line}\nlog: {path: /no}\n`);
    expect(isTaken('upgrade', '0.3.0'), line).toBe(true); // no outbox there
  }
  writeFileSync(config, 'model:\n  path: /srv/model\noutbox:\n  maxMegabytes: 64\nlog:\n  level: info\n');
  expect(isTaken('upgrade', '0.3.0')).toBe(false);
});
