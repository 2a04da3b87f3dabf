import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { checkConfig } from '../../agent/config/load-config.ts';
import { missing } from '../support/broker.ts';
import { openOperator } from '../support/operator.ts';

const withoutPlaybook = missing('ansible-playbook');
test.skipIf(withoutPlaybook)(`the role passes the syntax check of ansible-playbook${withoutPlaybook ? ` (left out: ${withoutPlaybook})` : ''}`, () => {
  const { status, stderr } = spawnSync('ansible-playbook', ['-i', 'inventory.ini', '--syntax-check', 'site.yml'], { cwd: 'deploy/ansible', encoding: 'utf8' });
  expect(status, stderr).toBe(0);
});

const withoutLint = missing('ansible-lint');
test.skipIf(withoutLint)(`the role passes ansible-lint${withoutLint ? ` (left out: ${withoutLint})` : ''}`, () => {
  const { status, stdout } = spawnSync('ansible-lint', ['--offline', 'site.yml'], { cwd: 'deploy/ansible', encoding: 'utf8' });
  expect(status, stdout).toBe(0);
});

test('the role brings the files that deploy/apt/README.md installs, to the same places', () => {
  const installed = [...readFileSync('deploy/apt/README.md', 'utf8').matchAll(/^install .*?(\S+) (\/etc\/\S+)/gm)];
  const byHand = installed.map(([, file = '', to = '']) => (to.endsWith('/') ? `${to}${file}` : to));
  expect(byHand.length).toBeGreaterThanOrEqual(4);
  type Task = { 'ansible.builtin.copy'?: { dest: string } };
  const tasks = parse(readFileSync('deploy/ansible/roles/tocsin/tasks/updates.yml', 'utf8')) as Task[];
  const brought = tasks.flatMap((task) => task['ansible.builtin.copy']?.dest ?? []);
  expect(brought).toEqual(byHand);
});

describe.skipIf(withoutPlaybook)(`the Ansible role${withoutPlaybook ? ` (left out: ${withoutPlaybook})` : ''}`, { timeout: 60_000 }, () => {
  const role = join(process.cwd(), 'deploy/ansible/roles/tocsin');
  const tasksOfRole = parse(readFileSync(join(role, 'tasks/main.yml'), 'utf8')) as { name: string; 'ansible.builtin.meta'?: string }[];
  const taskOf = (name: string) => tasksOfRole.find((task) => task.name === name) as object;
  /** Runs tasks on this machine, with the role's defaults and an inventory of one sensor. */
  function play(tasks: object[], sensor: string, vars: object = {}, ...options: string[]): string {
    const folder = mkdtempSync(join(tmpdir(), 'tocsin-role-'));
    const defaults = parse(readFileSync(join(role, 'defaults/main.yml'), 'utf8')) as object;
    const plays = [{ hosts: 'all', gather_facts: false, vars: { ...defaults, folder, ...vars }, tasks }];
    writeFileSync(join(folder, 'site.yml'), stringify(plays));
    writeFileSync(join(folder, 'inventory.ini'), `localhost ansible_connection=local ${sensor}\n[all:vars]\ntocsin_broker=mqtts://broker.example.org:8883\n`);
    const { status, stdout, stderr } = spawnSync('ansible-playbook', ['-i', 'inventory.ini', 'site.yml', ...options], { cwd: folder, encoding: 'utf8' });
    expect(status, stdout + stderr).toBe(0);
    return folder;
  }
  const written = (sensor: string, vars?: object) => {
    const template = { 'ansible.builtin.template': { src: join(role, 'templates/tocsin.yaml.j2'), dest: '{{ folder }}/tocsin.yaml' } };
    return checkConfig(parse(readFileSync(join(play([template], sensor, vars), 'tocsin.yaml'), 'utf8')), 'tocsin.yaml.j2');
  };

  test("writes a configuration that the agent accepts, with the agent's defaults", () => {
    const { health, model } = checkConfig({ site: 'a', sensor: 'b', mqtt: { url: 'mqtts://broker.example.org' } }, 'defaults');
    expect(written('tocsin_site=old-port tocsin_sensor=lamp-post-12')).toMatchObject({ sensor: 'lamp-post-12', health, model });
    const all = { tocsin_microphone: 'usb:1-1.3,0d8c:0014', tocsin_spl_at_full_scale_db: 120.5, tocsin_thresholds: { shout: 0.9 } };
    const config = written('tocsin_site=old-port tocsin_sensor=lamp-post-12 tocsin_health_interval_seconds=300', all);
    expect(config.microphone).toMatchObject({ device: 'usb:1-1.3,0d8c:0014', splAtFullScaleDb: 120.5 });
    expect([config.model.open, config.health]).toEqual([{ shout: 0.9 }, { intervalSeconds: 300 }]);
  });

  test('accepts numbers as site and sensor names', () => {
    expect(written('tocsin_site=69001 tocsin_sensor=12')).toMatchObject({ site: '69001', sensor: '12' });
  });

  test('does not begin if the inventory names two sensors alike, even if only one of them is asked for', () => {
    const checks = ['The sensor has a name, and the broker an address', 'No other sensor of the inventory has its name'].map(taskOf);
    const begun = (other: string) => () =>
      play(
        checks,
        `tocsin_site=old-port tocsin_sensor=12\nother ansible_connection=local tocsin_site=harbour ${other}`,
        { tocsin_version: '1' },
        '--limit=localhost',
      );
    begun('tocsin_sensor=13')();
    begun('')(); // of another kind
    expect(begun('tocsin_sensor="12"')).toThrow('Expected a tocsin_sensor of its own for each sensor, got twice: 12');
  });

  test('restarts a running listener and courier after a configuration change, even without a certificate', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tocsin-handlers-'));
    writeFileSync(join(folder, 'systemctl'), `#!/bin/sh\necho "$@" >>${folder}/calls\n`, { mode: 0o755 });
    const handlers = parse(readFileSync(join(role, 'handlers/main.yml'), 'utf8')) as object[];
    const path = `${folder}:${process.env.PATH}`;
    play(
      handlers.map((handler) => ({ ...handler, environment: { PATH: path } })),
      'tocsin_sensor=lamp-post-12',
      { tocsin_certified: { stat: { exists: false } } },
    );
    expect(readFileSync(join(folder, 'calls'), 'utf8')).toBe('try-restart tocsin-listener.service\ntry-restart tocsin-courier.service\ndaemon-reload\n');
  });

  test('has dpkg write the package anew where a power cut left it half written, but never an earlier release over a later one', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tocsin-torn-'));
    // Fakes. They cannot show that dpkg repairs the package; npm run fleet does.
    writeFileSync(join(folder, 'dpkg-query'), `#!/bin/sh\ncat ${folder}/state\n`, { mode: 0o755 });
    writeFileSync(join(folder, 'dpkg'), `#!/bin/sh\ncase $1 in --compare-versions) exec /usr/bin/dpkg "$@" ;; esac\necho "$@" >>${folder}/calls\n`, {
      mode: 0o755,
    });
    const names = ['Which version is installed', 'Is it older than the one that is to be installed', 'Have dpkg write files anew that it had not all written'];
    const tasks = names.map((name) => ({ ...taskOf(name), environment: { PATH: `${folder}:${process.env.PATH}` } }));
    const called = (state: string) => {
      writeFileSync(join(folder, 'state'), state);
      writeFileSync(join(folder, 'calls'), '');
      play(tasks, '', { tocsin_version: '0.2.0', tocsin_architecture: { stdout: 'arm64' } });
      return readFileSync(join(folder, 'calls'), 'utf8');
    };
    const anew = '--unpack /var/cache/apt/archives/tocsin_0.2.0_arm64.deb\n';
    for (const state of ['half-installed=0.1.0=reinstreq', 'half-installed=0.2.0=reinstreq']) expect(called(state), state).toBe(anew);
    for (const state of ['unpacked=0.2.0=ok', 'half-installed=0.3.0=reinstreq']) expect(called(state), state).toBe('');
  });

  test('flushes its handlers right after it writes the configuration, so that a later failure does not prevent the restart', () => {
    const written = tasksOfRole.findIndex(({ name }) => name === 'Write the configuration');
    expect(tasksOfRole[written + 1]?.['ansible.builtin.meta']).toBe('flush_handlers');
  });

  test('restarts what still runs on files of before, as after a run that broke off before its handlers', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tocsin-before-'));
    // A fake. It cannot show in what form systemctl tells the time; npm run fleet does.
    const began = '2026-11-29 21:41:52.428357 UTC';
    const fake = `case $1 in show) echo "Sun ${began}" ;; restart) echo "$2" >>${folder}/calls ;; esac`;
    writeFileSync(join(folder, 'systemctl'), `#!/bin/sh\n${fake}\n`, { mode: 0o755 });
    mkdirSync(join(folder, 'credentials'));
    const task = taskOf('Restart what runs since before its configuration or certificate was written');
    const here = parse(stringify(task).replaceAll('/etc/tocsin', folder)) as object;
    const restarted = (later?: string) => {
      writeFileSync(join(folder, 'calls'), '');
      for (const name of ['tocsin.yaml', 'credentials/ca.pem', 'credentials/sensor.pem', 'credentials/next.key']) {
        writeFileSync(join(folder, name), '');
        const at = new Date(Date.parse(began) + (name === later ? 1000 : -1000));
        utimesSync(join(folder, name), at, at);
      }
      play([{ ...here, environment: { PATH: `${folder}:${process.env.PATH}` } }], '');
      return readFileSync(join(folder, 'calls'), 'utf8');
    };
    expect(restarted()).toBe('');
    expect(restarted('tocsin.yaml')).toBe('tocsin-listener\ntocsin-courier\n');
    for (const name of ['ca.pem', 'sensor.pem']) expect(restarted(`credentials/${name}`), name).toBe('tocsin-courier\n');
    expect(restarted('credentials/next.key'), 'a key that waits is not in force').toBe('');
  });

  test('fails if one half does not run, which the start of the target does not tell', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tocsin-running-'));
    const running = (...states: string[]) => {
      // is-active ends with 0 where one of several is active (systemctl(1))
      writeFileSync(join(folder, 'systemctl'), `#!/bin/sh\necho '${states.join('\n')}'\n`, { mode: 0o755 });
      const task = { ...taskOf('Do both halves run'), delay: 0, retries: 1, environment: { PATH: `${folder}:${process.env.PATH}` } };
      return () => play([task], '', { tocsin_certificate: { stat: { exists: true } } });
    };
    running('active', 'active')();
    expect(running('activating', 'active')).toThrow('failed=1');
    expect(running('active', 'activating')).toThrow('failed=1');
  });

  test('the playbook leaves the rest of the fleet as it is where a release fails on all of the first sensors or most of them', () => {
    const [{ roles, ...site } = { roles: [] }] = parse(readFileSync('deploy/ansible/site.yml', 'utf8')) as { roles: string[] }[];
    expect(roles).toEqual(['tocsin']);
    const folder = mkdtempSync(join(tmpdir(), 'tocsin-rollout-'));
    const sensors = Array.from({ length: 30 }, (_, i) => `sensor-${i}`);
    writeFileSync(join(folder, 'inventory.ini'), `${sensors.join('\n')}\n[all:vars]\nansible_connection=local\nansible_become=false\n`);
    const reached = (broken: string) => {
      const tasks = [{ 'ansible.builtin.fail': {}, when: broken }, { 'ansible.builtin.debug': { msg: 'runs' } }];
      writeFileSync(join(folder, 'site.yml'), stringify([{ ...site, tasks }]));
      const { stdout } = spawnSync('ansible-playbook', ['-i', 'inventory.ini', 'site.yml'], { cwd: folder, encoding: 'utf8' });
      return stdout.match(/^sensor-\d+ +: ok/gm)?.length;
    };
    expect(reached('true')).toBe(10);
    expect(reached('inventory_hostname is match("sensor-[1-6]$")')).toBe(10);
    expect(reached('inventory_hostname is match("sensor-[12]$")'), 'a sensor or two with a fault of their own stop nothing').toBe(30);
  });

  test('updates the package lists and retries if apt finds no packages, and fails if the update fails', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tocsin-apt-'));
    const [calls, network] = [join(folder, 'calls'), join(folder, 'network')];
    // A fake, so that nothing is installed here. It cannot show what apt or its Ansible module reports.
    const fake = `echo "$0" >>${calls}; case $0 in update) test -e ${network} && touch ${folder}/lists ;; *) test -e ${folder}/lists ;; esac`;
    interface Task {
      name: string;
      'ansible.builtin.apt'?: { update_cache?: true };
      block?: Task[];
      rescue?: Task[];
    }
    const faked = ({ 'ansible.builtin.apt': apt, block, rescue, ...task }: Task): object => ({
      ...task,
      ...(apt ? { 'ansible.builtin.command': { argv: ['sh', '-c', fake, apt.update_cache ? 'update' : 'install'] } } : {}),
      ...(block ? { block: block.map(faked), rescue: rescue?.map(faked) } : {}),
    });
    const updates = parse(readFileSync(join(role, 'tasks/updates.yml'), 'utf8')) as Task[];
    const installs = [...(tasksOfRole as Task[]), ...updates].filter((task: Task): boolean => Boolean(task['ansible.builtin.apt'] || task.block));
    expect(installs.length).toBe(2);
    for (const task of installs) {
      const install = () => play([faked(task)], '', { tocsin_older: { rc: 0 } });
      const called = () => readFileSync(calls, 'utf8').trim().split('\n');
      expect(install).toThrow('failed=1');
      expect(called()).toEqual(['install', 'update', 'install']);
      writeFileSync(network, '');
      install();
      expect(called().slice(3)).toEqual(['install', 'update', 'install']);
      install();
      expect(called().slice(6)).toEqual(['install']);
      for (const path of [calls, network, join(folder, 'lists')]) rmSync(path);
    }
  });

  test('has dpkg finish what was broken off before it installs, and only then', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tocsin-dpkg-'));
    const calls = join(folder, 'calls');
    // A fake. It cannot show that apt takes an unpacked package for an installed one; npm run fleet does.
    const fake = `echo "$@" >>${calls}; [ -e ${folder}/tried ] || { touch ${folder}/tried; exit 2; }; echo 'Setting up tocsin (1) ...'`;
    writeFileSync(join(folder, 'dpkg'), `#!/bin/sh\n${fake}\n`, { mode: 0o755 });
    const [finish, install] = ['Have dpkg finish what was broken off', 'Install it'].map((name) => tasksOfRole.findIndex((task) => task.name === name));
    expect(finish).toBe((install as number) - 1);
    const task = { ...tasksOfRole[finish as number], delay: 0, environment: { PATH: `${folder}:${process.env.PATH}` } };
    play([task], '', { tocsin_older: { rc: 1 } });
    expect(existsSync(calls), 'nothing is to be installed').toBe(false);
    play([task], '', { tocsin_older: { rc: 0 } });
    const call = '--force-confold --configure -a\n';
    expect(readFileSync(calls, 'utf8'), 'tried again where the daily updates had the lock').toBe(call + call);
  });

  test('names the host of the repository to unattended-upgrades in the letters of its address, as apt does', () => {
    const updates = parse(readFileSync(join(role, 'tasks/updates.yml'), 'utf8')) as { name: string }[];
    const task = updates.filter(({ name }) => name === 'Have its updates taken each day');
    const here = JSON.parse(JSON.stringify(task).replaceAll('/etc/apt/apt.conf.d', '{{ folder }}')) as object[];
    for (const [address, host] of [
      ['https://packages.city.example/tocsin', 'packages.city.example'],
      ['https://Packages.City.example:8443', 'Packages.City.example'],
      ['http://sensors:secret@packages.city.example/a@b', 'packages.city.example'],
    ] as const) {
      const folder = play(here, '', { tocsin_repository: address, tocsin_apt: join(process.cwd(), 'deploy/apt') });
      expect(/site=(.*?)"/.exec(readFileSync(join(folder, '52tocsin'), 'utf8'))?.[1]).toBe(host);
    }
  });

  test('does not stop in check mode at a package that it would have copied', () => {
    const install = tasksOfRole.filter(({ name }) => name === 'Install it');
    expect(install.length).toBe(1);
    play(install, '', { tocsin_older: { rc: 0 }, tocsin_version: '0', tocsin_architecture: { stdout: 'none' } }, '--check');
  });

  const withoutOpenssl = missing('openssl');
  test.skipIf(withoutOpenssl)(
    `asks for a certificate in the new name of a sensor that was renamed${withoutOpenssl ? ` (left out: ${withoutOpenssl})` : ''}`,
    () => {
      const folder = mkdtempSync(join(tmpdir(), 'tocsin-renamed-'));
      const [certificate, calls] = [join(folder, 'credentials/sensor.pem'), join(folder, 'calls')];
      mkdirSync(join(folder, 'credentials'));
      // A fake. It cannot show what `tocsin provision` does with --renew; provision.test.ts does.
      writeFileSync(join(folder, 'tocsin'), `#!/bin/sh\necho "$@" >>${calls}\necho '{"again":false}'\n`, { mode: 0o755 });
      const tasks = ['Was a certificate in force before', 'Whose certificate it is', 'Make a key and its request'].map(taskOf);
      const here = parse(stringify(tasks).replaceAll('/etc/tocsin', folder)) as object[];
      const asked = (sensor: string) => {
        writeFileSync(calls, '');
        const environment = { PATH: `${folder}:${process.env.PATH}` };
        play(
          here.map((task) => ({ ...task, environment })),
          `tocsin_sensor=${sensor}`,
        );
        return readFileSync(calls, 'utf8');
      };
      expect(asked('lamp-post-2')).toBe('provision --json\n');
      copyFileSync(openOperator('City Authority').issue('lamp-post-2').cert, certificate);
      expect(asked('lamp-post-2')).toBe('');
      expect(asked('lamp-post')).toBe('provision --json --renew\n');
      writeFileSync(certificate, 'damaged');
      expect(asked('lamp-post-2'), 'to be installed again').toBe('');
    },
  );

  test('replaces an older certificate request with that of the waiting key, also after an interrupted run', () => {
    const bring = tasksOfRole.filter(({ name }) => name === 'Bring the request to this machine');
    const requests = mkdtempSync(join(tmpdir(), 'tocsin-requests-'));
    const [request, csr] = ['of the key that waits\n', join(requests, 'lamp-post-12.csr')];
    writeFileSync(csr, 'of the key in force\n');
    play(bring, 'tocsin_sensor=lamp-post-12', { tocsin_requests: requests, tocsin_request: { stdout: JSON.stringify({ request, again: true }) } });
    expect(readFileSync(csr, 'utf8')).toBe(request);
  });
});
