import { spawnSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { exitCodes } from '../../agent/lib/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'tocsin-unwritten-'));

test('a failed write to stdout is an error with its reason', () => {
  const config = join(folder, 'good.yaml');
  writeFileSync(config, 'site: test\nsensor: post-1\nmqtt: {url: mqtt://127.0.0.1}\n');
  const full = openSync('/dev/full', 'w');
  const check = (...more: string[]) =>
    spawnSync(process.execPath, ['agent/main.ts', 'config', 'check', '-c', config, ...more], { stdio: ['ignore', full, 'pipe'], encoding: 'utf8' });
  expect(check()).toMatchObject({
    status: exitCodes.failure,
    stderr: 'Error: Expected to write the output, got: ENOSPC: no space left on device, write\nTry: is the disk full? df -h\n',
  });
  expect(check('--lang', 'fr').stderr).toContain('Impossible d’écrire la sortie\u00a0: disque plein (ENOSPC)');
});

test('a command whose stderr nobody reads any more keeps its exit code', () => {
  const pipe = join(folder, 'pipe');
  spawnSync('mkfifo', [pipe]);
  const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
  const unread = openSync(pipe, 'w');
  closeSync(reader);
  const { status } = spawnSync(process.execPath, ['agent/main.ts', 'evaluate', join(folder, 'nowhere')], { stdio: ['ignore', 'ignore', unread] });
  expect(status).toBe(exitCodes.audio);
});
