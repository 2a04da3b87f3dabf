import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { sceneSounds } from '../demo/synthesise-scene.ts';

test('the demo ends on its own, exactly the sounds of its scene arrive, and it leaves nothing behind', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['test/demo/demo.ts'], { encoding: 'utf8', timeout: 90_000 });
  expect(stderr).toBe('');
  const arrived = stdout.split('\n').flatMap((line) => /^ {2}(\w+) +confidence /.exec(line)?.[1] ?? []);
  expect(arrived).toEqual(sceneSounds.map(({ label }) => label));
  expect(stdout).toContain(`${sceneSounds.length} events reached the subscriber`);
  expect(stdout).toContain('nothing of it is left');
  expect(status).toBe(0);
});
