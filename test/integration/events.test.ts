import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { expect, onTestFinished, test, vi } from 'vitest';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { layBacklog } from '../support/backlog.ts';
import { range } from '../support/damaged-outbox.ts';
import { limits, recordedEvent } from '../support/samples.ts';
import { sensor } from '../support/stored-events.ts';

const tocsin = (...args: string[]) => spawnSync(process.execPath, ['agent/main.ts', ...args], { encoding: 'utf8' });
const numbersIn = (stdout: string) => stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line).sequence]));

/** Starts `events --follow --json`; gives the sequence numbers shown and the end of the process. */
function startFollow(path: string, ...more: string[]) {
  const child = spawn(process.execPath, ['agent/main.ts', 'events', '--follow', '--json', '-c', path, ...more], { stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const out = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].on('data', (text) => {
      out[name] += text;
    });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const shown = () => numbersIn(out.stdout.slice(0, out.stdout.lastIndexOf('\n') + 1));
  const until = (numbers: readonly number[]) => vi.waitFor(() => expect(shown(), out.stderr).toEqual(numbers), { timeout: 20_000, interval: 20 });
  return { child, ended, until };
}

test('`events --follow -n` shows the first events of a backlog, then only newly stored ones', async () => {
  const { path, outbox } = sensor(9);
  const { until, child, ended } = startFollow(path, '-n', '2');
  await until([1, 2]);
  outbox.append(recordedEvent(100));
  await until([1, 2, 10]);
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
  outbox.close();
});

async function untilIdle(pid = 0): Promise<void> {
  const ticks = () => readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ').slice(13, 15).join(' ');
  for (let before = ''; before !== ticks(); await delay(300)) before = ticks();
}

test('an outbox that is changed while `events` shows it ends the command with what is wrong, not as a defect', async () => {
  const { path, db, outbox } = sensor(0);
  outbox.close();
  layBacklog(db, 30_000, (i) => recordedEvent(i));
  const child = spawn(process.execPath, ['agent/main.ts', 'events', '--json', '-n', '30000', '-c', path]);
  const said = text(child.stderr);
  await once(child.stdout, 'readable');
  await untilIdle(child.pid); // the pipe is full, and the command has to wait for its reader
  const other = new Database(db);
  other.exec('CREATE INDEX odd ON event(label)');
  other.close();
  child.stdout.resume();
  const [status] = await once(child, 'close');
  expect(await said).toMatch(/^Error: Expected to read the outbox .*, got: its schema was changed\nTry: sudo tocsin doctor .*says more\n$/);
  expect(status).toBe(6);
});

test('`events` shows a backlog of months in the memory of a small board, each event once and no more than asked for', () => {
  const { path, db, outbox } = sensor(0);
  outbox.close();
  layBacklog(db, 60_000, (i) => recordedEvent(i));
  const show = (...options: string[]) => {
    const args = ['--max-old-space-size=64', 'agent/main.ts', 'events', '-c', path, ...options];
    return spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 100_000_000 });
  };
  const all = show('--json', '-n', '1000000');
  expect([all.status, numbersIn(all.stdout)]).toEqual([0, range(1, 60_000)]);
  const { stdout } = show('-n', '1001');
  expect(stdout).toContain('#1001 ');
  expect(stdout).not.toContain('#1002 ');
  expect(stdout).toContain('58999');
});

test.each([
  ['in which sequence numbers jump by a thousand', 1002, [1003, 1004]],
  ['in which sequence numbers restart', 0, [1, 2]],
])('`events --follow` continues in the file that replaced a damaged outbox, %s', async (_, before, numbers) => {
  const { path, db, outbox } = sensor(3);
  const { until } = startFollow(path);
  await until([1, 2, 3]);
  outbox.close();
  const store = (file: string, index: number) => {
    const opened = openSqliteOutbox(file, limits);
    opened.append(recordedEvent(index));
    opened.close();
  };
  const repaired = `${db}.new`;
  openSqliteOutbox(repaired, limits).close();
  const rows = new Database(repaired);
  rows.prepare("INSERT INTO sqlite_sequence VALUES ('event', ?)").run(before);
  rows.close();
  store(repaired, 100);
  renameSync(db, `${db}.damaged-1`);
  for (const end of ['-wal', '-shm']) rmSync(`${db}${end}`, { force: true });
  renameSync(repaired, db);
  await until([1, 2, 3, ...numbers.slice(0, 1)]);
  store(db, 101);
  await until([1, 2, 3, ...numbers]);
});

test('`events --follow` waits for an outbox that is being created', async () => {
  const { path, db, outbox } = sensor(0);
  outbox.close();
  for (const end of ['', '-wal', '-shm', '.schema']) rmSync(`${db}${end}`, { force: true });
  const child = spawn(process.execPath, ['agent/main.ts', 'events', '--follow', '-c', path], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let said = '';
  child.stdout.on('data', (text) => {
    said += text;
  });
  const until = (text: string) => vi.waitFor(() => expect(said).toContain(text), { timeout: 20_000, interval: 20 });
  await until('Ctrl-C'); // it has found no outbox, and waits
  writeFileSync(db, ''); // as the file is before the listener has created its tables
  await new Promise((resolve) => setTimeout(resolve, 1000));
  expect(child.exitCode).toBeNull();
  const made = openSqliteOutbox(db, limits);
  made.append(recordedEvent(0));
  await until('#1');
  made.close();
});

test('`events --follow` does not say of an event that was dropped that it was stored and sent', async () => {
  const { path, outbox } = sensor(1);
  const child = spawn(process.execPath, ['agent/main.ts', 'events', '--follow', '-c', path], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let said = '';
  child.stdout.on('data', (text) => {
    said += text;
  });
  await vi.waitFor(() => expect(said).toContain('Ctrl-C'), { timeout: 20_000, interval: 20 });
  outbox.drop(1);
  await vi.waitFor(() => expect(said).toMatch(/^#2 .*\n/m), { timeout: 20_000, interval: 20 });
  expect(said).toMatch(/^#2 {2}gone already: sent, or lost$/m);
  outbox.close();
});

test('`events explain` accepts the id of an event in this outbox, and refuses an id of another outbox', () => {
  const { path, outbox } = sensor(2);
  outbox.close();
  expect(tocsin('events', 'explain', `${outbox.id}-2`, '-c', path).status).toBe(0);
  const other = tocsin('events', 'explain', 'ffffffffffffffff-2', '-c', path);
  expect(other).toMatchObject({ status: 6, stdout: '', stderr: expect.stringContaining('ffffffffffffffff-2 is not waiting in the outbox') });
});

test('`events` shows the pending events and their count at one moment, even if all are sent meanwhile', () => {
  const { path, db, outbox } = sensor(5);
  outbox.close();
  const args = ['--import', './test/support/plant-sent.ts', 'agent/main.ts', 'events', '-n', '2', '-c', path];
  const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8', env: { ...process.env, SENT_OUTBOX: db } });
  expect(stdout.match(/^#\d+/gm)).toEqual(['#1', '#2']);
  expect(stdout.replace(/\s+/g, ' ')).toContain('3 more wait');
  expect(tocsin('events', '-c', path).stdout, 'and then').toContain('No event waits for delivery. Sent so far: 5.');
});

test('`events` shows a level below the background with a single sign', () => {
  const { path, outbox } = sensor(0);
  for (const [index, levelAboveBackgroundDb] of [-3, -0.2, 12].entries()) outbox.append(recordedEvent(index, { levelAboveBackgroundDb }));
  outbox.close();
  const { stdout } = tocsin('events', '-c', path);
  expect(stdout.split('\n').flatMap((line) => (line.startsWith('#') ? [line.slice(52)] : []))).toEqual(['-3 dB', '+0 dB', '+12 dB']);
});

test('a five-digit number is separated from the time in `events`', () => {
  const { path, db, outbox } = sensor(1);
  outbox.close();
  const numbers = new Database(db);
  numbers.prepare("UPDATE sqlite_sequence SET seq = 12344 WHERE name = 'event'").run();
  numbers.close();
  const again = openSqliteOutbox(db, limits);
  again.append(recordedEvent(1));
  again.close();
  expect(tocsin('events', '-c', path).stdout).toMatch(/^#12345 \S/m);
});
