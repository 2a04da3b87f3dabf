import { spawn, spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ageText } from '../../agent/cli/span.ts';
import { openTranslate } from '../../agent/cli/translate.ts';
import type { HearingRecord } from '../../agent/events/health.ts';
import { systemClock } from '../../agent/lib/clock.ts';
import { shellWord } from '../../agent/lib/shell-word.ts';
import { missing } from '../support/broker.ts';
import { hearingRecord, recordedEvent } from '../support/samples.ts';
import { sensor } from '../support/stored-events.ts';

const tocsin = (...args: string[]) => spawnSync(process.execPath, ['agent/main.ts', ...args], { encoding: 'utf8' });

describe('commands that show the state of a sensor', () => {
  test('`status` and `outbox` show what waits, and what is normal only where it is not', () => {
    const { path, outbox } = sensor(3);
    expect(tocsin('status', '-c', path).stdout).toMatch(/waiting +3, the oldest for 1\d min\n +normal: gone within a minute/);
    expect(tocsin('outbox', '-c', path, '--lang', 'fr').stdout).toMatch(/en attente +3, le plus ancien depuis 1\d\u00a0min/);
    expect(JSON.parse(tocsin('outbox', '-c', path, '--json').stdout)).toMatchObject({
      pending: 3,
      stored: 3,
      sent: 0,
      maxBytes: 64e6,
      oldest: expect.any(String),
    });
    outbox.acknowledge([1, 2, 3]);
    expect(tocsin('status', '-c', path).stdout).toMatch(/nothing waits\n +sent +3 of 3/);
    expect(tocsin('status', '-c', path).stdout).not.toContain('normal: gone');
    expect(tocsin('outbox', '-c', path).stdout).toContain('All of this is normal.');
    outbox.close();
  });

  test('an event of an earlier boot is shown with its true time, and with a lower bound of its age while that is unknown', () => {
    const { path, outbox } = sensor(0);
    const earlier = 'ffffffff-7d3a-4f5b-9c8d-1e2f3a4b5c6d';
    outbox.append(recordedEvent(0, { bootId: earlier, onsetWallMs: 100_000, onsetMonotonicMs: 100_000, clockSynchronised: false }));
    const shown = (...args: string[]) => tocsin(...args, '-c', path).stdout.replace(/\s+/g, ' ');
    const atLeast = />\d+ (s|min|h|days)/;
    expect(shown('status')).toMatch(new RegExp(`waiting 1, the oldest for ${atLeast.source}`));
    expect(shown('outbox')).toMatch(new RegExp(`waiting 1, the oldest for ${atLeast.source}`));
    expect(shown('events')).toMatch(new RegExp(`#1 01-01 00:01:40\\? ${atLeast.source} breaking glass.*\\? the clock was not set then`));
    expect(shown('events', 'explain', '1')).toMatch(new RegExp(`1970-01-01 00:01:40 UTC, clock not set then; ${atLeast.source} ago`));
    expect(JSON.parse(shown('outbox', '--json'))).toMatchObject({ oldest: '1970-01-01T00:01:40.000Z', oldestClock: 'unsynchronised' });
    outbox.noteBoot(earlier, Date.UTC(2026, 10, 20, 10) - 100_000);
    expect(shown('events')).toMatch(/#1 11-20 10:00:00 (?!.*the clock was not set)/);
    expect(shown('events', 'explain', '1')).toContain('2026-11-20 10:00:00 UTC, clock right;');
    expect(JSON.parse(shown('outbox', '--json'))).toMatchObject({ oldest: '2026-11-20T10:00:00.000Z', oldestClock: 'corrected' });
    outbox.acknowledge([1]);
    expect(JSON.parse(shown('outbox', '--json'))).toMatchObject({ oldest: null, oldestClock: null });
    outbox.close();
  });

  test.each([
    [91_000, '>1 min', '2 min'],
    [7_100_000, '>1 h', '2 h'],
    [172_700_000, '>47 h', '48 h'],
    [215_000_000, '>2 days', '2 days'],
  ])('an age of at least %d ms is not told as more than that', (ageMs, atLeast, known) => {
    const told = (ageKnown: boolean) => openTranslate('en').of(ageText({ ageMs, ageKnown }));
    expect([told(false), told(true)]).toEqual([atLeast, known]);
  });

  test('showing the state creates and changes no file', () => {
    const { path, db, outbox } = sensor(2);
    outbox.close();
    const before = readFileSync(db);
    for (const command of ['status', 'outbox', 'events']) expect(tocsin(command, '-c', path).status).toBe(0);
    expect(tocsin('events', 'explain', '1', '-c', path).status).toBe(0);
    expect(readFileSync(db).equals(before)).toBe(true);
    const absent = join(db, '..', 'other.yaml');
    writeFileSync(absent, readFileSync(path, 'utf8').replace('outbox.db', 'absent.db'));
    for (const command of ['status', 'outbox', 'events']) expect(tocsin(command, '-c', absent).status).toBe(0);
    expect(existsSync(join(db, '..', 'absent.db'))).toBe(false);
  });

  test('a damaged outbox is an error with a hint and is not repaired', () => {
    const { path, db, outbox } = sensor(2);
    outbox.close();
    writeFileSync(db, readFileSync(db).fill(0x55, 1024, 8192));
    const { mtimeMs } = statSync(db);
    for (const command of ['status', 'outbox', 'events'])
      expect(tocsin(command, '-c', path)).toMatchObject({ status: 6, stderr: expect.stringContaining('Try: ') });
    expect(statSync(db).mtimeMs).toBe(mtimeMs);
  });

  test('`events` shows events up to the limit and counts the rest', () => {
    const { path, outbox } = sensor(5);
    outbox.close();
    const { stdout } = tocsin('events', '-c', path, '-n', '2');
    expect(stdout.split('\n').filter((line) => line.startsWith('#'))).toHaveLength(2);
    expect(stdout.replace(/\s+/g, ' ')).toContain(`3 more wait: sudo tocsin events -c ${path} -n 5`);
  });

  test('what is not normal is marked and named, also without colour', () => {
    const { path, outbox } = sensor(3);
    const { stdout } = tocsin('outbox', '-c', path);
    expect(stdout).toMatch(/^! waiting/m);
    expect(stdout).toMatch(/Not normal: waiting\. Next:\nsudo tocsin doctor -c \S+\n/);
    outbox.close();
  });

  test('`outbox` shows the size of what is in the file, not of the room that sent events left in it', () => {
    const { path, db, outbox } = sensor(3);
    outbox.close();
    const file = new Database(db);
    file.exec('CREATE TABLE room AS SELECT zeroblob(40000000); DROP TABLE room');
    file.close();
    expect(statSync(db).size).toBeGreaterThan(40e6);
    expect(tocsin('outbox', '-c', path).stdout).toMatch(/^ {2}size +0\.\d\d of 64 MB$/m);
    expect(JSON.parse(tocsin('outbox', '-c', path, '--json').stdout).bytes).toBeLessThan(100_000);
  });

  type Change = Partial<HearingRecord> & { elapsedMs?: number };
  test.each([
    ['hears', {}, 60_000, '  hearing +hears, 90.0 % of 10 s \\(reported 6\\d s ago\\)', 'normal: hears'],
    ['missed much', { listenedSeconds: 80, elapsedMs: 100_000 }, 60_000, '! hearing +hears, 80.0 % of 2 min \\(reported 6\\d s ago\\)', 'no line'],
    ['missed 11.5 s of 100', { listenedSeconds: 88.5, elapsedMs: 100_000 }, 5_000, '! hearing +hears, 88.5 %', 'no line'],
    ['missed 10.5 s of 100', { listenedSeconds: 89.5, elapsedMs: 100_000 }, 5_000, '  hearing +hears, 89.5 %', 'normal: hears'],
    ['is deaf', { state: 'deaf', fault: 'unplugged' }, 60_000, '! hearing +deaf; heard 90.0 % of 10 s \\(reported 6\\d s ago\\); the\\s+microphone', 'no line'],
    ['is clipped', { fault: 'clipped' }, 60_000, '! hearing +hears, 90.0 %[^!]*the\\s+sound\\s+is\\s+clipped', 'no line'],
    ['is covered', { suspicion: 'covered' }, 60_000, '! hearing +hears, 90.0 % of 10 s \\(reported 6\\d s ago\\); much\\s+quieter', 'no line'],
    ['has died', { suspicion: 'covered', intervalSeconds: 20 }, 40_000, '! hearing +the listener has not reported for 4\\d s', 'quieter'],
  ] as const)('the state of a listener that %s', (_name, { elapsedMs = 10_000, ...change }: Change, agoMs, line, absent) => {
    const { path, outbox } = sensor(0);
    const now = systemClock().monotonicMs();
    const record = { bootId: systemClock().bootId, sinceMonotonicMs: now - agoMs - elapsedMs, writtenMonotonicMs: now - agoMs, listenedSeconds: 9 };
    outbox.writeHearing(hearingRecord({ ...record, ...change }));
    const { stdout } = tocsin('status', '-c', path);
    expect(stdout).toMatch(new RegExp(line, 'm'));
    expect(stdout).not.toContain(absent);
    outbox.close();
  });

  test('a listener whose lock is free is reported as silent, however recent its last record', () => {
    const { path, db, outbox } = sensor(0);
    const now = systemClock().monotonicMs();
    outbox.writeHearing(hearingRecord({ bootId: systemClock().bootId, sinceMonotonicMs: now - 60_000, writtenMonotonicMs: now - 2000, listenedSeconds: 57 }));
    const asJson = () => JSON.parse(tocsin('status', '-c', path, '--json').stdout);
    expect(tocsin('status', '-c', path).stdout).toMatch(/^ {2}hearing +hears/m);
    expect(asJson()).toMatchObject({
      hearing: 'listening',
      listenedSeconds: 57,
      elapsedSeconds: 58,
      toldSecondsAgo: expect.toSatisfy((n) => n >= 2 && n < 1000),
    });
    writeFileSync(`${db}.listener.lock`, '');
    expect(tocsin('status', '-c', path).stdout).toMatch(/^! hearing +the listener has not reported for \d+ s/m);
    expect(asJson()).toMatchObject({ hearing: 'silent', listenedSeconds: 57 });
    outbox.writeHearing(hearingRecord({ bootId: systemClock().bootId, writtenMonotonicMs: now - 2000, state: 'stopped' }));
    expect(asJson(), 'in order').toMatchObject({ hearing: 'stopped' });
    outbox.close();
  });

  test('the record of a listener of an earlier boot is not shown', () => {
    const { path, outbox } = sensor(0);
    outbox.writeHearing(hearingRecord());
    expect(JSON.parse(tocsin('status', '-c', path, '--json').stdout)).not.toHaveProperty('hearing');
    outbox.close();
  });

  // A fake systemctl. test/system/sensor.test.ts shows the courier's words through the real one.
  const withSystemctl = (folder: string, says: string) => {
    writeFileSync(join(folder, 'systemctl'), `#!/bin/sh\nprintf '%s\\n' ${says}\n`, { mode: 0o755 });
    return { ...process.env, PATH: `${folder}:${process.env.PATH}` };
  };
  test('a listener that stops in order while systemd is queried is shown as stopped, not as silent', () => {
    const { folder, path, db, outbox } = sensor(0);
    const now = systemClock().monotonicMs();
    outbox.writeHearing(hearingRecord({ bootId: systemClock().bootId, writtenMonotonicMs: now - 2000 }));
    writeFileSync(`${db}.listener.lock`, '');
    const env = withSystemctl(folder, 'ActiveState=active');
    const stop = `require('better-sqlite3')('${db}').exec(\`UPDATE hearing SET state = 'stopped'\`)`;
    appendFileSync(join(folder, 'systemctl'), `${shellWord(process.execPath)} -e "${stop.replaceAll('`', '\\`')}"\n`);
    const { stdout } = spawnSync(process.execPath, ['agent/main.ts', 'status', '--json', '-c', path], { encoding: 'utf8', env });
    expect(JSON.parse(stdout)).toMatchObject({ hearing: 'stopped' });
    outbox.close();
  });

  test('a listener that runs and has reported nothing in this boot is not normal, also where there is no outbox', () => {
    const { folder, path, db, outbox } = sensor(0);
    outbox.writeHearing(hearingRecord());
    outbox.close();
    const env = (state: string) => withSystemctl(folder, `LoadState=loaded ActiveState=${state} StatusText=`);
    const status = (state: string) => spawnSync(process.execPath, ['agent/main.ts', 'status', '-c', path], { encoding: 'utf8', env: env(state) }).stdout;
    for (const down of ['inactive', 'failed', 'activating']) expect(status(down)).toMatch(/^! listener /m);
    expect(status('inactive')).not.toContain('hearing');
    expect(status('active')).toMatch(/^! hearing +nothing reported in this boot$[\s\S]*^Not normal: hearing/m);
    rmSync(db);
    expect(status('active')).toMatch(/^! hearing +nothing reported in this boot$/m);
  });

  test('services that are not installed are not reported as stopped, since `tocsin run` may be running', () => {
    const { folder, path, outbox } = sensor(0);
    const env = withSystemctl(folder, 'LoadState=not-found ActiveState=inactive StatusText='); // the output of systemd 257 for an unknown unit
    const { stdout } = spawnSync(process.execPath, ['agent/main.ts', 'status', '-c', path], { encoding: 'utf8', env });
    expect(stdout).toMatch(/^ {2}listener +systemd does not say\n {2}courier +systemd does not say$/m);
    outbox.close();
  });

  test.each([
    ['broker: connected', '^  broker +connected$', { broker: 'connected', eventsRefused: false }],
    ['broker: connected, events refused', '^! broker +connected, but refuses this sensor’s events$', { broker: 'connected', eventsRefused: true }],
    ['broker: connected, nobody subscribes to events', '^! broker .* nobody subscribes', { eventsRefused: true, eventRefusal: 'no_subscriber' }],
    ['broker: certificate_refused', '^! broker +refuses this sensor’s certificate$', { broker: 'certificate_refused', eventsRefused: false }],
    ['', '^  courier +runs\\n(?!..broker)', { broker: 'unknown', eventsRefused: false }],
  ])('the courier reports "%s"', (words, line, json) => {
    const { folder, path, outbox } = sensor(0);
    const env = withSystemctl(folder, `LoadState=loaded ActiveState=active 'StatusText=${words}'`);
    const status = (...more: string[]) => spawnSync(process.execPath, ['agent/main.ts', 'status', '-c', path, ...more], { encoding: 'utf8', env }).stdout;
    expect(status()).toMatch(new RegExp(line, 'm'));
    expect(JSON.parse(status('--json'))).toMatchObject(json);
    outbox.close();
  });
});

test('`events --follow` shows stored events, and only the number of events that were sent before it could read them', async () => {
  const { path, outbox } = sensor(1);
  const child = spawn(process.execPath, ['agent/main.ts', 'events', '--follow', '--json', '-c', path], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL')); // also if the wait below fails
  const lines: { sequence: number; label?: string }[] = [];
  let wake = () => {};
  let rest = '';
  child.stdout.on('data', (chunk) => {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts.map((line) => JSON.parse(line)));
    wake();
  });
  const until = (count: number) =>
    new Promise<void>((resolve) => {
      wake = () => lines.length >= count && resolve();
      wake();
    });
  await until(1);
  outbox.append(recordedEvent(100));
  await until(2);
  // stored and acknowledged while the follower is stopped
  child.kill('SIGSTOP');
  outbox.append(recordedEvent(101));
  outbox.acknowledge([3]);
  outbox.append(recordedEvent(102));
  child.kill('SIGCONT');
  await until(4);
  expect(lines.map(({ sequence, label }) => [sequence, label !== undefined])).toEqual([
    [1, true],
    [2, true],
    [3, false],
    [4, true],
  ]);
  const ended = new Promise((resolve) => child.once('close', resolve));
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
  outbox.close();
});

const without = missing('script', 'stty');
describe.skipIf(without)(`on a narrow terminal${without ? ` (left out: ${without})` : ''}`, () => {
  const { path, outbox } = sensor(3);
  outbox.close();
  const commands = [
    'status',
    'outbox',
    'events',
    'events explain 2',
    'config check',
    'config show',
    'doctor',
    '--help',
    'events explain --help',
    'calibrate --help',
  ];
  test.each(commands.flatMap((command) => ['en', 'fr'].map((language) => [command, language])))('%s (%s) fits 60 columns', (command, language) => {
    const config = command?.includes('--help') ? '' : `-c ${path}`;
    const { stdout } = spawnSync(
      'script',
      ['-qec', `stty cols 60; ${shellWord(process.execPath)} agent/main.ts ${command} ${config} --lang ${language}`, '/dev/null'],
      {
        encoding: 'utf8',
        env: { ...process.env, FORCE_COLOR: undefined, NO_COLOR: '1' }, // with both, Node prints a warning
      },
    );
    const lines = stdout.split(/\r?\n/);
    expect(lines.length).toBeGreaterThan(2);
    // a path is one word and is not wrapped
    for (const line of lines) if (!line.includes('/tmp/')) expect(line.length, line).toBeLessThanOrEqual(60);
  });

  test('colour is used only on a terminal', () => {
    const { NO_COLOR: _, ...env } = process.env;
    const onTerminal = spawnSync('script', ['-qec', `${shellWord(process.execPath)} agent/main.ts status -c ${path}`, '/dev/null'], {
      encoding: 'utf8',
      env: { ...env, TERM: 'xterm' },
    });
    expect(onTerminal.stdout).toContain('\u001b[');
    expect(tocsin('status', '-c', path).stdout).not.toContain('\u001b[');
  });
});
