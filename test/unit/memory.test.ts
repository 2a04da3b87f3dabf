import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';

/** Megabytes of the young generation after much garbage of which a little lives for a while, in a process of its own. */
function youngAfterGarbage(before: string): number {
  const code = `${before}
    import { getHeapSpaceStatistics } from 'node:v8';
    const held = [];
    for (let i = 0; i < 3e6; i++) held[i % 1000] = { i, list: [i] };
    console.log(getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size / 1e6);`;
  return Number(execFileSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' }));
}

test('the young generation stays as small as it started, which V8 left alone lets grow', () => {
  expect(youngAfterGarbage(`import { collectEarly } from './agent/lib/memory.ts'; collectEarly();`)).toBeLessThan(5);
  expect(youngAfterGarbage('')).toBeGreaterThan(10);
});
