import { spawnSync } from 'node:child_process';
import { mkdtempSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';

test('.ci/run by a user with sudo, which passes no environment on, keeps packages from asking questions', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-ci-'));
  for (const name of ['bash', 'env', 'sh', 'mktemp', 'rm', 'dirname']) symlinkSync(`/usr/bin/${name}`, join(folder, name));
  const stand = (name: string, script: string) => writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  stand('id', 'echo 1000');
  stand('sudo', 'exec env -i PATH="$PATH" "$@"');
  stand('apt-get', `echo "$1 \${DEBIAN_FRONTEND-asks}" >&2`);
  for (const name of ['npm', 'node']) stand(name, ':');
  const { stderr } = spawnSync(resolve('.ci/run'), { cwd: folder, env: { PATH: folder }, encoding: 'utf8' });
  expect(stderr).toBe('update asks\ninstall noninteractive\n');
});
