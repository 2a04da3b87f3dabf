import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync } from 'node:fs';
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
