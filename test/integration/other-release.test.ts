import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import { overwrite, pageBytes, pagesOf, range } from '../support/damaged-outbox.ts';
import { openOlderOutbox, sayLater, versions } from '../support/older-outbox.ts';
import { sensor } from '../support/stored-events.ts';

const tocsin = (...args: string[]) => spawnSync(process.execPath, ['agent/main.ts', ...args], { encoding: 'utf8' });

test.each(range(1, versions))('commands show an outbox of schema version %d, before it is migrated, and do not change it', (version) => {
  const { path, db, outbox } = sensor(0);
  outbox.close();
  rmSync(db);
  openOlderOutbox(db, version).close();
  const before = readFileSync(db);
  expect(JSON.parse(tocsin('status', '--json', '-c', path).stdout)).toMatchObject({ pending: 190, stored: 302, sent: 102, expired: 10, unreadable: 0 });
  const events = tocsin('events', '--json', '-n', '1000', '-c', path).stdout.trim().split('\n');
  expect(events.map((line) => JSON.parse(line).sequence)).toEqual(range(111, 300));
  expect(tocsin('calibrate', 'thresholds', '--budget', '2/week', '-c', path).stderr).toContain('days of listening');
  const { checks } = JSON.parse(tocsin('privacy', 'verify', '--json', '--no-record', '-c', path).stdout) as { checks: { check: string; state: string }[] };
  expect(checks.find(({ check }) => check === 'outbox')?.state).toBe(version < versions ? 'unchecked' : 'pass');
  expect(readFileSync(db).equals(before)).toBe(true);
});

test('commands refuse an outbox of a later release, and leave it unchanged', () => {
  const { path, db, outbox } = sensor(20);
  outbox.close();
  sayLater(db);
  overwrite(db, pagesOf(db).findIndex(({ events }) => events.length > 3) * pageBytes, pageBytes, () => 0xa5); // it is not repaired either
  const before = readFileSync(db);
  for (const command of [['status'], ['status', '--json'], ['outbox'], ['events'], ['events', 'explain', '1']])
    expect(tocsin(...command, '-c', path)).toMatchObject({
      status: 6,
      stdout: '',
      stderr: expect.stringMatching(/of a later release\nTry: install the later release/),
    });
  expect(tocsin('outbox', '-c', path, '--lang', 'fr').stderr).toMatch(/d’une version plus récente\nEssayez.: réinstallez la version plus récente/);
  expect(readFileSync(db).equals(before)).toBe(true);
});
