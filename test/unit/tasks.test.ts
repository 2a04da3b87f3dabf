// The files are those of a kernel with control groups of the second version, as on a Pi, and of the first.
import { readdirSync } from 'node:fs';
import { expect, test, vi } from 'vitest';
import { readText } from '../../agent/lib/kernel-files.ts';
import { requireTasks } from '../../agent/lib/tasks.ts';

vi.mock('../../agent/lib/kernel-files.ts', () => ({ readText: vi.fn() }));

test.each([
  ['0::/system.slice/tocsin-listener.service\n', '/sys/fs/cgroup/system.slice/tocsin-listener.service'],
  ['8:pids:/system.slice/tocsin-listener.service\n4:memory:/\n0::/\n', '/sys/fs/cgroup/pids/system.slice/tocsin-listener.service'],
])('a limit of tasks that does not suffice is told, with the unit and what it would take: %j', (groups, folder) => {
  const own = readdirSync('/proc/self/task').length;
  const files: Record<string, string> = { '/proc/self/cgroup': groups, [`${folder}/pids.current`]: `${own + 3}\n` };
  vi.mocked(readText).mockImplementation((path) => files[path] ?? '');
  const limited = (limit: string) => {
    files[`${folder}/pids.max`] = `${limit}\n`;
    return () => requireTasks(own + 5);
  };
  expect(limited(String(own + 8))).not.toThrow();
  expect(limited('max')).not.toThrow();
  expect(limited(String(own + 7))).toThrow(`Expected a limit of at least ${own + 8} tasks for this service, got ${own + 7}`);
  delete files[`${folder}/pids.current`];
  expect(limited('6'), 'where the kernel does not tell').not.toThrow();
});
