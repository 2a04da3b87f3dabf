import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, renameSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { HalfName, Machine } from '../../agent/cli/privacy/machine.ts';
import { isCapture, processChecks } from '../../agent/cli/privacy/process-checks.ts';

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

test('the recorder is no stranger beside the listener, and one beside the courier; what cannot be seen is neither', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-recorder-'));
  copyFileSync('/bin/sleep', join(folder, 'arecord'));
  copyFileSync('/bin/sleep', join(folder, 'arecord.sh'));
  const pidOf = async (name: string) => {
    const child = spawn(join(folder, name), ['60'], { stdio: 'ignore' });
    onTestFinished(() => void child.kill('SIGKILL'));
    await once(child, 'spawn');
    return child.pid as number;
  };
  const [recorder, other] = [await pidOf('arecord'), await pidOf('arecord.sh')];
  const found = (name: HalfName, second: number, hidden = false) =>
    processChecks[0].run({ name, pid: process.pid, processes: [process.pid, second], hidden }, { installation: '.' } as Machine);
  expect(found('listener', recorder)).toMatchObject({ state: 'pass' });
  expect(found('courier', recorder)).toMatchObject({ state: 'fail', found: { values: { what: expect.stringContaining(`[${recorder}]`) } } });
  expect(found('listener', other)).toMatchObject({ state: 'fail', found: { values: { what: expect.stringContaining(`[${other}]`) } } });
  expect(found('listener', recorder, true)).toMatchObject({ state: 'unchecked', found: { key: 'privacy.process.hidden' } });
});
