import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { fileChecks } from '../../agent/cli/privacy/file-checks.ts';
import type { Machine } from '../../agent/cli/privacy/machine.ts';

vi.mock('node:fs', async (original) => {
  const real = await original<typeof fs>();
  return { ...real, lstatSync: vi.fn(real.lstatSync) };
});

const without = process.getuid?.() === 0 ? undefined : 'needs root, to give it up';
test.skipIf(without)(`a file that goes while a mount is looked at closes no more than itself${without ? ` (left out: ${without})` : ''}`, async () => {
  const { pid = 0 } = spawn('sleep', ['60'], { stdio: 'ignore', uid: 65534, gid: 65534 }); // may write to /tmp and /var/tmp
  onTestFinished(() => void process.kill(pid, 'SIGKILL'));
  const machine = { config: { outbox: { path: join(tmpdir(), 'outbox.db') }, meter: {} } } as Machine;
  const open = async () => {
    const { found } = await fileChecks[1].run({ name: 'courier', pid, processes: [pid], hidden: false }, machine);
    return String(found.values.what).split(', ');
  };
  expect(await open()).toContain('/');
  const { lstatSync } = await vi.importActual<typeof fs>('node:fs');
  const gone: string[] = [];
  vi.mocked(fs.lstatSync).mockImplementation(((path: string, options: fs.StatSyncOptions) => {
    if (gone.length > 0 || !path.startsWith(`/proc/${pid}/root//`)) return lstatSync(path, options);
    gone.push(path);
    return undefined;
  }) as never);
  expect(await open()).toContain('/');
  expect(gone).toHaveLength(1);
});
