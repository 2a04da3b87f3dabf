// The limits of a control group, swapped memory, and the kernel that a crash starts. /proc and /sys are fakes; test/system uses real ones, with
// systemd.
import * as fs from 'node:fs';
import { beforeEach, expect, test, vi } from 'vitest';
import type { HalfCheck } from '../../agent/cli/privacy/check.ts';
import type { Machine } from '../../agent/cli/privacy/machine.ts';
import { processChecks } from '../../agent/cli/privacy/process-checks.ts';
import { unitChecks } from '../../agent/cli/privacy/unit-checks.ts';

vi.mock('node:fs', async (original) => ({ ...(await original<typeof fs>()), existsSync: vi.fn(), readFileSync: vi.fn() }));

const group = '/sys/fs/cgroup/system.slice/tocsin-listener.service';
let files: Record<string, string>;
beforeEach(() => {
  files = {
    '/proc/7/cgroup': '0::/system.slice/tocsin-listener.service\n',
    '/proc/7/status': 'Name:\tnode\nVmSwap:\t       0 kB\n',
    '/proc/7/limits': 'Max core file size        0                    0                    bytes\n',
    '/proc/7/coredump_filter': '00000000\n',
    '/proc/8/limits': 'Max core file size        0                    0                    bytes\n',
    '/proc/8/coredump_filter': '00000000\n',
    '/proc/sys/kernel/core_pattern': 'core\n',
    '/proc/8/status': 'Name:\tarecord\nVmSwap:\t       0 kB\n',
    [`${group}/memory.max`]: '419430400\n',
    [`${group}/pids.max`]: '64\n',
    [`${group}/memory.swap.max`]: '0\n',
    '/proc/swaps': 'Filename\tType\tSize\tUsed\tPriority\n/dev/zram0 partition 1024 0 100\n',
  };
  vi.mocked(fs.existsSync).mockImplementation((path) => `${path}` in files);
  vi.mocked(fs.readFileSync).mockImplementation(((path: string) => {
    const content = files[path];
    if (content === undefined) throw Object.assign(new Error('none'), { code: 'ENOENT' });
    return content;
  }) as never);
});
const [, limits, swap] = unitChecks;
const core = processChecks[7];
const found = async (check: HalfCheck, changes: Record<string, string | undefined> = {}) => {
  const changed = Object.entries({ ...files, ...changes }).filter((entry): entry is [string, string] => entry[1] !== undefined);
  files = Object.fromEntries(changed);
  const { state, found: what } = await check.run({ name: 'listener', pid: 7, processes: [7, 8], hidden: false }, {} as Machine);
  const { key, values = {} } = what as { key: string; values?: object };
  return Object.keys(values).length > 0 ? [state, key, values] : [state, key];
};

test('`privacy verify` passes limits of memory and tasks from the control group; without both values it is unchecked', async () => {
  expect(await found(limits)).toEqual(['pass', 'privacy.limits.ok', { megabytes: 419, tasks: '64' }]);
  expect(await found(limits, { [`${group}/memory.max`]: undefined })).toEqual(['unchecked', 'privacy.limits.none']);
  expect(await found(limits, { [`${group}/memory.max`]: '1000\n', [`${group}/pids.max`]: undefined })).toEqual(['unchecked', 'privacy.limits.none']);
});

test.each([
  [{ [`${group}/memory.max`]: 'max\n' }, { memory: 'max', tasks: '64' }],
  [{ [`${group}/pids.max`]: 'max\n' }, { memory: '419430400', tasks: 'max' }],
  [
    { [`${group}/pids.max`]: 'max\n', [`${group}/memory.max`]: undefined },
    { memory: '?', tasks: 'max' },
  ],
])('`privacy verify` fails where a limit is missing: %j', async (changes, values) => {
  expect(await found(limits, changes)).toEqual(['fail', 'privacy.limits.open', values]);
});

test('`privacy verify` passes swap where the control group forbids it or the machine has none', async () => {
  expect(await found(swap)).toEqual(['pass', 'privacy.swap.forbidden']);
  expect(await found(swap, { [`${group}/memory.swap.max`]: 'max\n' })).toEqual(['fail', 'privacy.swap.allowed', { areas: 1 }]);
  expect(await found(swap, { '/proc/swaps': 'Filename\tType\tSize\tUsed\tPriority\n' })).toEqual(['pass', 'privacy.swap.absent']);
  expect(await found(swap, { '/proc/swaps': undefined })).toEqual(['pass', 'privacy.swap.absent']);
});

test('`privacy verify` fails where memory of any process of the unit is swapped out, or a process has ended', async () => {
  expect(await found(swap, { '/proc/8/status': 'Name:\tarecord\nVmSwap:\t      12 kB\n' })).toEqual(['fail', 'privacy.swap.used', { size: '12 kB' }]);
  expect(await found(swap, { '/proc/8/status': 'Name:\tarecord\nState:\tZ (zombie)\n' })).toEqual(['fail', 'privacy.gone']);
});

test('`privacy verify` fails where a crash of the kernel would hand the memory to another kernel', async () => {
  const loaded = '/sys/kernel/kexec_crash_loaded';
  expect(await found(core)).toEqual(['pass', 'privacy.core.ok', { filter: '00000000' }]);
  expect(await found(core, { [loaded]: '0\n' })).toEqual(['pass', 'privacy.core.ok', { filter: '00000000' }]);
  expect(await found(core, { [loaded]: '1\n' })).toEqual(['fail', 'privacy.core.kernel']);
});

const limitsOf = (soft: string, hard: string) => `Max core file size        ${soft}                    ${hard}                    bytes\n`;
test.each([
  [{ '/proc/7/limits': limitsOf('unlimited', 'unlimited') }, ['fail', 'privacy.core.limit', { limit: 'unlimited' }]],
  [{ '/proc/7/limits': limitsOf('0', 'unlimited') }, ['fail', 'privacy.core.limit', { limit: 'unlimited' }]],
  [{ '/proc/8/limits': limitsOf('0', '4096') }, ['fail', 'privacy.core.limit', { limit: '4096' }]],
  [{ '/proc/8/coredump_filter': '00000033\n' }, ['pass', 'privacy.core.ok', { filter: '00000000' }]], // no file, and no program to take it
  [{ '/proc/7/coredump_filter': undefined, '/proc/7': '' }, ['pass', 'privacy.core.ok', { filter: '0' }]],
  [{ '/proc/sys/kernel/core_pattern': '|/bin/crash %p\n' }, ['pass', 'privacy.core.ok', { filter: '00000000' }]],
  ...['|/bin/crash %p', '@/run/crash.socket'].map((pattern) => [
    { '/proc/8/coredump_filter': '00000033\n', '/proc/sys/kernel/core_pattern': `${pattern}\n` },
    ['fail', 'privacy.core.pipe', { pattern: pattern.split(' ')[0], filter: '00000033' }],
  ]),
] as [Record<string, string | undefined>, unknown[]][])(
  '`privacy verify` on what a crash would leave of any process of the unit: %j',
  async (changes, said) => {
    expect(await found(core, changes)).toEqual(said);
  },
);
