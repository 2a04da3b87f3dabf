// Text from outside that a terminal would obey: names in a configuration, and names that a USB device gives itself.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';

const hostile = '\u001b[2J\u009b31m\u202eexe';

// arecord is a fake: that a driver passes such a name on is not shown
test.each([
  ['config show', 'recordPath'],
  ['privacy verify --no-record', 'sqlite3'],
  ['devices', 'CARD='],
])('%s shows hostile text, and no terminal obeys it', (command, shown) => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-raw-'));
  const path = join(folder, 'tocsin.yaml');
  const at = (name: string) => join(folder, `${hostile}-${name}`);
  writeFileSync(
    path,
    stringify({
      site: 'a',
      sensor: 'b',
      outbox: { path: at('outbox.db') },
      model: { path: at('model') },
      privacy: { recordPath: at('record') },
      mqtt: { url: 'mqtt://localhost' },
    }),
  );
  writeFileSync(join(folder, 'arecord'), `#!/bin/sh\ncat <<'END'\nhw:CARD=${hostile},DEV=0\n    A ${hostile} microphone\nEND\n`, { mode: 0o755 });
  const { stdout, stderr } = spawnSync(process.execPath, ['agent/main.ts', ...command.split(' '), '-c', path], {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${folder}:${process.env.PATH}` },
  });
  expect(stdout).toContain(shown);
  expect(stdout).toContain('?[2J?31m?exe');
  for (const character of '\u001b\u009b\u202e') expect(stdout + stderr).not.toContain(character);
});
