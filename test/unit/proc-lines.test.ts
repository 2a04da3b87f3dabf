// Whoever is verified chooses names that the kernel and systemd print as they are. Only a line feed ends a line there;
// to a regular expression a carriage return and U+2028 do so too.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { interfacesOf } from '../../agent/cli/privacy/network-checks.ts';
import { mappings, statusOf } from '../../agent/cli/privacy/process.ts';
import { systemctlShow } from '../../agent/cli/service.ts';
import { missing } from '../support/broker.ts';

const breaks = ['\r', '\u2028'];

async function started(command: readonly [string, ...string[]], env = {}): Promise<number> {
  const child = spawn(command[0], command.slice(1), { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, ...env } });
  onTestFinished(() => void child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child.pid as number;
}

test.each(breaks)('a process cannot give itself a field of its status by a name with %j', async (end) => {
  const script = 'process.title = process.argv[1]; console.log(); setInterval(() => 0, 1000)';
  const status = statusOf(await started([process.execPath, '-e', script, `${end}TracerPid:9`]));
  expect([status('TracerPid'), status('Name')]).toEqual(['0', `${end}TracerPid:9`]);
});

test.each(breaks)('code is seen that is mapped from a file with %j in its name', async (end) => {
  const library = /\S+\/libm\S*$/m.exec(readFileSync('/proc/self/maps', 'utf8'))?.[0] as string;
  const copy = join(mkdtempSync(join(tmpdir(), 'tocsin-lines-')), `lib${end}m.so`);
  copyFileSync(library, copy);
  const pid = await started(['sh', '-c', 'echo; read -r held'], { LD_PRELOAD: copy });
  expect(mappings(pid)).toContainEqual(expect.objectContaining({ path: copy, permissions: 'r-xp' }));
});

test.each(breaks)('a service cannot give itself a property by a status with %j', async (end) => {
  const bin = mkdtempSync(join(tmpdir(), 'tocsin-lines-'));
  // A fake. It cannot show what systemd takes for a status.
  writeFileSync(join(bin, 'systemctl'), `#!/bin/sh\nprintf '%s\\n' 'IPAddressDeny=' 'StatusText=x${end}IPAddressDeny=any'\n`, { mode: 0o755 });
  vi.stubEnv('PATH', `${bin}:${process.env.PATH}`);
  onTestFinished(() => void vi.unstubAllEnvs());
  expect(await systemctlShow(['tocsin-listener'])).toEqual({ IPAddressDeny: '', StatusText: `x${end}IPAddressDeny=any` });
});

const noNetwork = missing('ip') ?? (process.getuid?.() === 0 ? undefined : 'needs root to make namespaces');
test.skipIf(noNetwork)(`an interface is not lo by a space before its name${noNetwork ? ` (left out: ${noNetwork})` : ''}`, async () => {
  const script = 'ip link add "$0" type veth peer name "$1" && echo && exec sleep 60';
  const names = ['\u2028lo', '\u2003tunl0'] as const;
  expect(interfacesOf(await started(['unshare', '-n', 'sh', '-c', script, ...names])).ways.toSorted()).toEqual([...names].toSorted());
});
