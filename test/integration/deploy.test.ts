import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { checkConfig } from '../../agent/config/load-config.ts';
import { missing } from '../support/broker.ts';

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
