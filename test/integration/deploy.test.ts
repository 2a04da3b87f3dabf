import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { checkConfig } from '../../agent/config/load-config.ts';
import { writeScripts } from '../../deploy/deb/control.ts';
import { missing } from '../support/broker.ts';
import { versions } from '../support/older-outbox.ts';

const withoutPlaybook = missing('ansible-playbook');
test.skipIf(withoutPlaybook)(`Ansible understands the role${withoutPlaybook ? ` (left out: ${withoutPlaybook})` : ''}`, () => {
  const { status, stderr } = spawnSync('ansible-playbook', ['-i', 'inventory.ini', '--syntax-check', 'site.yml'], { cwd: 'deploy/ansible', encoding: 'utf8' });
  expect(status, stderr).toBe(0);
});

const withoutLint = missing('ansible-lint');
test.skipIf(withoutLint)(`ansible-lint has nothing against it${withoutLint ? ` (left out: ${withoutLint})` : ''}`, () => {
  const { status, stdout } = spawnSync('ansible-lint', ['--offline', 'site.yml'], { cwd: 'deploy/ansible', encoding: 'utf8' });
  expect(status, stdout).toBe(0);
});

test('the example inventory names the version of this package', () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  expect(readFileSync('deploy/ansible/inventory.ini', 'utf8')).toMatch(new RegExp(`^tocsin_version=${version}$`, 'm'));
});

test('the configuration that the role writes is one that the agent takes', () => {
  const values: Record<string, string> = {
    tocsin_site: 'old-port',
    tocsin_sensor: 'lamp-post-12',
    'tocsin_microphone | to_json': '"usb:1-1.3,0d8c:0014"',
    tocsin_spl_at_full_scale_db: '120.5',
    tocsin_broker: 'mqtts://broker.example.org:8883',
    tocsin_health_interval_seconds: '120',
  };
  const template = readFileSync('deploy/ansible/roles/tocsin/templates/tocsin.yaml.j2', 'utf8');
  const text = template.replaceAll(/\{%.*?%\}\n/g, '').replaceAll(/\{\{ (.+?) \}\}/g, (_, name: string) => values[name] ?? `missing ${name}`);
  const config = checkConfig(parse(text), 'tocsin.yaml.j2');
  expect(config.sensor).toBe('lamp-post-12');
  expect(config.microphone).toMatchObject({ device: 'usb:1-1.3,0d8c:0014', splAtFullScaleDb: 120.5 });
});

const withoutUdev = spawnSync('udevadm', ['verify', '--version']).status === 0 ? undefined : 'needs udevadm verify (systemd 254)';
describe.skipIf(withoutUdev)(`udev${withoutUdev ? ` (left out: ${withoutUdev}; test/system has it)` : ''}`, () => {
  test('takes the rules', () => {
    const { status, stdout, stderr } = spawnSync('udevadm', ['verify', join(process.cwd(), 'deploy/udev/71-tocsin.rules')], { encoding: 'utf8' });
    expect(status, stdout + stderr).toBe(0);
  });
});

const withoutDpkg = missing('dpkg');
test.skipIf(withoutDpkg)(
  `before the package is unpacked: an outbox of a later release keeps an earlier one from its place${withoutDpkg ? ` (left out: ${withoutDpkg})` : ''}`,
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'tocsin-preinst-'));
    const [outbox, again] = [join(folder, 'outbox.db'), join(folder, 'again')];
    writeScripts('.', folder, '0.2.0');
    const text = readFileSync(join(folder, 'preinst'), 'utf8').replaceAll('/var/lib/tocsin/outbox.db', outbox).replaceAll('/run/tocsin-installed-again', again);
    const preinst = (...args: string[]) => spawnSync('sh', ['-c', text, 'preinst', ...args], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } });
    const isTaken = (...args: string[]) => preinst(...args).status === 0;
    const say = (schemaVersion: number) => {
      const db = new Database(outbox);
      db.pragma(`user_version = ${schemaVersion}`);
      db.close();
    };
    expect([isTaken('install'), isTaken('upgrade', '0.3.0')], 'no outbox yet').toEqual([true, true]);
    say(versions);
    expect(isTaken('upgrade', '0.3.0'), 'one that it can use').toBe(true);
    for (const later of [versions + 1, 256]) {
      say(later);
      expect(preinst('upgrade', '0.3.0', '0.2.0')).toMatchObject({ status: 1, stderr: expect.stringMatching(/^Error: .*0\.2\.0.*\nTry: /) });
      expect(isTaken('install', '0.3.0'), 'nor once that was removed').toBe(false);
      expect([isTaken('upgrade', '0.1.0'), isTaken('upgrade', '0.2.0')], 'no earlier release: the number is damaged, and a half repairs that').toEqual([
        true,
        true,
      ]);
    }
    expect(existsSync(again), 'nobody removed it').toBe(false);
    say(versions);
    expect([isTaken('install', '0.3.0'), existsSync(again)]).toEqual([true, true]);
  },
);
