import { spawnSync } from 'node:child_process';
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { sensor } from '../support/stored-events.ts';

test.each(['expired', 'refused', 'dropped', 'unreadable'])('an event that is lost as %s is not normal', (fate) => {
  const { path, db, outbox } = sensor(0);
  outbox.close();
  const file = new Database(db);
  file.prepare('UPDATE fate SET events = 7 WHERE name = ?').run(fate);
  file.close();
  const { stdout } = spawnSync(process.execPath, ['agent/main.ts', 'outbox', '-c', path], { encoding: 'utf8' });
  expect(stdout).toMatch(/^! lost .*\b7\b/m);
  expect(stdout).toContain('Not normal: lost.');
});
