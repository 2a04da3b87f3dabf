import { execFileSync } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { freemem } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { freeMemory } from '../../agent/lib/memory.ts';

/** Megabytes of the young generation after much garbage, a little of which lives for a while, in a separate process. */
function youngAfterGarbage(before: string): number {
  const code = `${before}
    import { getHeapSpaceStatistics } from 'node:v8';
    const held = [];
    for (let i = 0; i < 3e6; i++) held[i % 1000] = { i, list: [i] };
    console.log(getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size / 1e6);`;
  return Number(execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' }));
}

test('collectEarly keeps the young generation below 5 MB; without it V8 lets it grow beyond 10 MB', () => {
  expect(youngAfterGarbage(`import { collectEarly } from './agent/lib/memory.ts'; collectEarly();`)).toBeLessThan(5);
  expect(youngAfterGarbage('')).toBeGreaterThan(10);
});

test('without a memory limit, the free memory is that of the machine', () => {
  expect(freeMemory()).toBeGreaterThan(freemem() / 2);
});

test('a process larger than the limit of its group has no free memory, and not less than none', () => {
  const limit = vi.spyOn(process, 'constrainedMemory').mockReturnValue(1e6);
  onTestFinished(() => limit.mockRestore());
  expect(freeMemory()).toBe(0);
});

const groups = '/sys/fs/cgroup/memory';
const without = (() => {
  try {
    accessSync(join(groups, 'memory.limit_in_bytes'));
    accessSync(groups, constants.W_OK);
    return '';
  } catch {
    return ' (left out: needs root and control groups of the first version)';
  }
})();

test.skipIf(without)(`file cache does not count as used memory under a control group limit${without}`, () => {
  const group = mkdtempSync(join(groups, 'tocsin-'));
  const folder = mkdtempSync('/var/tmp/tocsin-pages-'); // /tmp may be in memory
  onTestFinished(() => {
    rmdirSync(group);
    rmSync(folder, { recursive: true });
  });
  writeFileSync(join(group, 'memory.limit_in_bytes'), '250000000');
  const code = `import { freeMemory } from './agent/lib/memory.ts'; console.log(freeMemory() / 1e6);`;
  const script = 'echo $$ > "$1/cgroup.procs"; head -c 300000000 /dev/zero > "$2/pages"; exec "$3" --input-type=module -e "$4"';
  const megabytes = Number(execFileSync('sh', ['-c', script, 'sh', group, folder, process.execPath, code], { encoding: 'utf8' }));
  expect(megabytes).toBeGreaterThan(100);
  expect(megabytes).toBeLessThan(250);
});
