// Text from outside that a terminal would obey: names in a configuration, and names that a USB device gives itself.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { exitCodes } from '../../agent/lib/errors.ts';

const orders = '\u001b[2J\u009b31m';
const hostile = `${orders}\u202eexe`;

function sensor(name: string) {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-raw-'));
  const path = join(folder, 'tocsin.yaml');
  const at = (what: string) => join(folder, `${name}-${what}`);
  const config = { outbox: { path: at('outbox.db') }, model: { path: at('model') }, privacy: { recordPath: at('record') } };
  writeFileSync(path, stringify({ site: 'a', sensor: 'b', mqtt: { url: 'mqtt://localhost' }, ...config }));
  writeFileSync(join(folder, 'arecord'), `#!/bin/sh\ncat <<'END'\nhw:CARD=${hostile},DEV=0\n    A ${hostile} microphone\nEND\n`, { mode: 0o755 });
  return (command: string) =>
    spawnSync(process.execPath, ['agent/main.ts', ...command.split(' '), '-c', path], {
      encoding: 'utf8',
      env: { ...process.env, PATH: `${folder}:${process.env.PATH}` },
    });
}

function expectHarmless(shown: string): void {
  for (const character of '\u001b\u009b\u202e') expect(shown).not.toContain(character);
}

// arecord is a fake: that a driver passes such a name on is not shown
test.each([
  ['config show', 'recordPath'],
  ['privacy verify --no-record', 'sqlite3'],
  ['devices', 'CARD=?[2J?31m?exe'],
])('%s shows text that would turn the line round, and no terminal obeys it', (command, shown) => {
  const { stdout, stderr } = sensor('\u202eexe')(command);
  expect(stdout).toContain(shown);
  expect(stdout).toContain('?exe');
  expectHarmless(stdout + stderr);
});

test.each(['config show', 'privacy verify --no-record'])('%s refuses orders to a terminal in a path, and shows them harmlessly', (command) => {
  const { status, stdout, stderr } = sensor(hostile)(command);
  expect(status).toBe(exitCodes.config);
  expect(stderr).toContain('\\u001b[2J?31m?exe');
  expectHarmless(stdout + stderr);
});
