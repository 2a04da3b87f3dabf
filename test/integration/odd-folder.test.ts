import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { install } from '../support/installation.ts';

test('an installation in a folder with spaces and a percent sign finds its own files', () => {
  const folder = join(mkdtempSync(join(tmpdir(), 'tocsin-odd-')), 'sonde 100 %20', 'à côté');
  mkdirSync(folder, { recursive: true });
  install(folder);
  const tocsin = (...words: string[]) => execFileSync(process.execPath, [join(folder, 'agent/main.ts'), ...words], { encoding: 'utf8' });
  expect(JSON.parse(tocsin('model', '--json'))).toMatchObject({ name: 'street' });
  expect(tocsin('replay', '--json', 'test/demo/scene.flac').trim().split('\n')).toHaveLength(4);
  expect(tocsin('bench', '--seconds', '5')).toMatch(/ms of CPU per second/);
  expect(tocsin('config', 'example')).toContain('microphone:');
});

test('a configuration with a space in its name stands between quotes in the commands that doctor and meter tell to type', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-odd-'));
  const at = (name: string) => join(folder, name);
  const said = (command: string, path: string) => spawnSync(process.execPath, ['agent/main.ts', command, '-c', path], { encoding: 'utf8' }).stderr;
  writeFileSync(at('no yaml.yaml'), 'site: [');
  writeFileSync(at('my sensor.yaml'), `site: a\nsensor: b\nmqtt: {url: mqtt://localhost}\noutbox: {path: ${at('outbox.db')}}\n`);
  expect(said('doctor', at('none at all.yaml'))).toContain(
    `tocsin config example | sudo tee '${at('none at all.yaml')}'; edit it, then: tocsin config check -c '${at('none at all.yaml')}'\n`,
  );
  expect(said('doctor', at('no yaml.yaml'))).toContain(`tocsin config check -c '${at('no yaml.yaml')}'\n`);
  expect(said('meter', at('my sensor.yaml'))).toContain(`tocsin run -c '${at('my sensor.yaml')}'\n`);
});
