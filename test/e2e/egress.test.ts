import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import type { Egress } from '../bench/egress.ts';
import { missing } from '../support/broker.ts';

// Half a minute each; for ten minutes or another onnxruntime: npm run egress -- --minutes 10
const without = missing('gcc', 'ip', 'unshare') ?? (process.getuid?.() === 0 ? undefined : 'needs root to make a network namespace');
describe.skipIf(without)(`the hosts that the agent contacts${without ? ` (left out: ${without})` : ''}`, () => {
  function run(...more: string[]): { egress: Egress; status: number | null } {
    const { stdout, stderr, status } = spawnSync(process.execPath, ['test/bench/egress.ts', '--minutes', '0.4', ...more], { encoding: 'utf8' });
    expect(stdout, stderr).toContain('{');
    return { egress: JSON.parse(stdout.trim().split('\n').at(-1) ?? ''), status };
  }

  test('are only the broker and its name server; nothing is left in the home folder', () => {
    const { egress, status } = run();
    expect(egress.unexpected).toEqual([]);
    expect(Object.keys(egress.contacted)).toHaveLength(2);
    expect(status).toBe(0);
  });

  test('include a planted host, by name and by address', () => {
    const { egress, status } = run('--plant', 'home.example.org:4443');
    expect(egress.unexpected).toEqual(expect.arrayContaining(['name home.example.org', 'tcp 203.0.113.7:4443']));
    expect(status).toBe(1);
  });
});
