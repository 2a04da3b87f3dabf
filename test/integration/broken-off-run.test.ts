import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('a test run that ends with %s leaves no temporary files', async (signal) => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-run-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const env = { PATH: process.env.PATH, TMPDIR: folder };
  const run = spawn(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', 'test/unit'], { env, stdio: 'ignore' });
  const ended = once(run, 'close');
  await vi.waitFor(() => expect(readdirSync(folder)).toEqual([expect.stringMatching(/^tocsin-tests-/)]), 30_000);
  run.kill(signal);
  await ended;
  expect(readdirSync(folder)).toEqual([]);
});

test('the commands speak English to the tests, whatever the language of the person who runs them', () => {
  const { LC_ALL, LC_MESSAGES, LANGUAGE, LANG } = process.env;
  expect({ LC_ALL, LC_MESSAGES, LANGUAGE, LANG }).toEqual({ LANG: 'C.UTF-8' });
});
