import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { checkConfig } from '../../agent/config/load-config.ts';
import { openLock } from '../../agent/outbox/sqlite-database.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { limits } from '../support/samples.ts';
import { sensor } from '../support/stored-events.ts';

const tocsin = (...args: string[]) => spawnSync(process.execPath, ['agent/main.ts', ...args], { encoding: 'utf8' });

test('`config check --json` reports the same problems and exit code as without --json', () => {
  const { path, outbox, folder: home } = sensor(0);
  outbox.close();
  const right = tocsin('config', 'check', '--json', '-c', path);
  expect([right.status, JSON.parse(right.stdout)]).toEqual([0, { ok: true, problems: [] }]);
  const bad = join(home, 'bad.yaml');
  writeFileSync(bad, 'site: Old Port\nsensor: p\nmqtt: { url: mqtt://localhost }\nmodell: {}\n');
  const { status, stdout, stderr } = tocsin('config', 'check', '--json', '-c', bad);
  expect(status).toBe(3);
  expect(JSON.parse(stdout)).toEqual({
    ok: false,
    problems: [expect.stringMatching(/^site: expected/), expect.stringMatching(/^modell: expected no such key/)],
  });
  expect(stderr).toContain('has 2 problems');
  expect(JSON.parse(tocsin('config', 'check', '--json', '-c', join(home, 'none.yaml')).stdout)).toEqual({
    ok: false,
    problems: [expect.stringContaining('ENOENT')],
  });
  expect(JSON.parse(tocsin('config', 'check', '--json', '--lang', 'fr', '-c', bad).stdout).problems).toEqual([
    expect.stringMatching(/^site\u00a0: attendu/),
    expect.stringMatching(/^modell\u00a0: cette clé n’existe pas/),
  ]);
});

test('a file far too large for a configuration, such as a log, is refused before it is parsed', () => {
  const { outbox, folder: home } = sensor(0);
  outbox.close();
  const log = join(home, 'courier.log');
  writeFileSync(log, Array.from({ length: 20_000 }, (_, i) => `key${i}: v\n`).join('')); // keeps the parser busy for a minute
  const { status, stderr } = tocsin('config', 'check', '-c', log);
  expect(status).toBe(3);
  expect(stderr).toMatch(`Error: Expected a configuration file at ${log}, got: a file of more than 65536 bytes\nTry: tocsin config example`);
});

test('`config show` shows the set values, then the defaults', () => {
  const { path, outbox } = sensor(0);
  const { stdout } = tocsin('config', 'show', '-c', path);
  expect(stdout).toMatch(/mqtt +url mqtt:\/\/127.0.0.1:1\n +defaults: allowPlaintext false, protocol 5/);
  expect(stdout).toMatch(/model +defaults: path [^,]+street/);
  writeFileSync(path, `${readFileSync(path, 'utf8')}\nmodel: { path: /elsewhere/models/street }\n`);
  expect(tocsin('config', 'show', '-c', path).stdout).toMatch(/model +path \/elsewhere\/models\/street\n +defaults: /);
  expect(stdout).not.toMatch(/\{\}|: *$/m); // empty values are not shown
  writeFileSync(path, readFileSync(path, 'utf8').replace('mqtt:', 'mqtt:\n  username: post\n  passwordFile: password'));
  expect(tocsin('config', 'show', '-c', path).stdout).toContain('username (redacted)');
  expect(tocsin('config', 'show', '--lang', 'fr', '-c', path).stdout).toContain('username (masqué)');
  expect(JSON.parse(tocsin('config', 'show', '--json', '--lang', 'fr', '-c', path).stdout).mqtt.username).toBe('(redacted)');
  outbox.close();
});

test('a path that is too long for SQLite is refused, with how long it may be; at the limit SQLite opens also the longest name beside it', () => {
  const { outbox, folder: home } = sensor(0);
  outbox.close();
  const ofBytes = (bytes: number) => {
    const folder = join(home, 'é'.repeat(60), 'd'.repeat(200));
    return join(folder, 'o'.repeat(bytes - Buffer.byteLength(folder) - 1));
  };
  const check = (path: string) => checkConfig({ site: 'a', sensor: 'b', mqtt: { url: 'mqtt://localhost' }, outbox: { path } }, 'test.yaml').outbox.path;
  const path = check(ofBytes(480));
  mkdirSync(dirname(path), { recursive: true });
  openSqliteOutbox(path, limits, { repair: true }).close();
  openLock(`${path}.listener.lock.4194304`).close(); // no process has a higher number
  expect(() => check(ofBytes(481))).toThrow(/^test.yaml has 1 problem:\n {2}outbox.path: expected a path of at most 480 bytes, counted from \/ on/);
  expect(() => check('o'.repeat(479))).toThrow('outbox.path: expected a path of at most 480 bytes'); // from the working directory
});
