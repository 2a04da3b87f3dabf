import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'tocsin-named-pipe-'));
const [pipe, config] = [join(folder, 'pipe'), join(folder, 'tocsin.yaml')];
execFileSync('mkfifo', [pipe]);
writeFileSync(config, `site: a\nsensor: b\nmqtt: { url: mqtt://127.0.0.1 }\noutbox: { path: ${join(folder, 'outbox.db')} }\n`);
const hangMs = 60_000;

test.each([
  ['config check -c PIPE', 3],
  ['status -c PIPE', 3],
  ['listen -c PIPE', 3],
  ['replay test/demo/scene.flac -c PIPE', 3],
  ['doctor -c PIPE', 8],
  ['events explain PIPE -c CONFIG', 6],
  ['provision --install PIPE -c CONFIG', 10],
  ['privacy verify --no-record --manifest PIPE -c CONFIG', 8],
  ['privacy verify --no-record --package-list PIPE -c CONFIG', 8],
])('a pipe with a name that nobody writes to is refused and not waited for: tocsin %s', (call, code) => {
  const args = call.split(' ').map((word) => word.replace('PIPE', pipe).replace('CONFIG', config));
  const { status, stdout, stderr } = spawnSync(process.execPath, ['agent/main.ts', ...args], { encoding: 'utf8', timeout: hangMs, killSignal: 'SIGKILL' });
  expect({ status, said: (stdout + stderr).replace(/\s+/g, ' ') }).toEqual({ status: code, said: expect.stringContaining('a pipe or a device') });
});

test.each(['-c <(cat CONFIG)', '-c /dev/stdin < <(cat CONFIG)'])('a pipe that a shell has opened is read: tocsin config check %s', (how) => {
  const call = `"$0" agent/main.ts config check ${how.replace('CONFIG', config)}`;
  const { status, stderr } = spawnSync('bash', ['-c', call, process.execPath], { encoding: 'utf8' });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});
