import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, renameSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { isCapture } from '../../agent/cli/privacy/process-checks.ts';

test('`privacy verify` knows the recorder also after an upgrade of alsa-utils has replaced the file that it runs', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-recorder-'));
  const [program, other] = [join(folder, 'aplay'), join(folder, 'other')];
  const started = async (path: string) => {
    copyFileSync('/bin/sleep', path);
    const child = spawn(path, ['60'], { stdio: 'ignore' });
    onTestFinished(() => void child.kill('SIGKILL'));
    await once(child, 'spawn');
    copyFileSync('/bin/sleep', `${path}.dpkg-new`); // as dpkg does
    return { pid: child.pid as number, upgrade: () => renameSync(`${path}.dpkg-new`, path) };
  };
  for (const [path, is] of [
    [program, true],
    [other, false],
  ] as const) {
    const { pid, upgrade } = await started(path);
    expect(isCapture(pid, '.')).toBe(is);
    upgrade();
    expect(isCapture(pid, '.')).toBe(is);
  }
});
