// Who may read or use what: an ordinary user, a debugger, a second listener or courier.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { holdHalfLock } from '../../agent/outbox/half-lock.ts';
import { sensor } from '../support/stored-events.ts';

const notRoot = process.getuid?.() === 0 ? undefined : 'needs root to be another user';
test.skipIf(notRoot)(`commands report a forbidden folder, not an empty outbox${notRoot ? ` (left out: ${notRoot})` : ''}`, () => {
  const { path, folder: closed, db, outbox } = sensor(1);
  outbox.close();
  chmodSync(closed, 0o755);
  const inside = join(closed, 'inside');
  mkdirSync(inside, { mode: 0o700 });
  const elsewhere = join(closed, 'elsewhere.yaml');
  writeFileSync(elsewhere, readFileSync(path, 'utf8').replace(/outbox\.db/, 'inside/outbox.db'));
  const other = { uid: 65534, gid: 65534, encoding: 'utf8' } as const;
  const user = (...args: string[]) => spawnSync(process.execPath, ['agent/main.ts', ...args, '-c', elsewhere], other);
  const forbidden = /EACCES[\s\S]*Try: run it again with sudo/;
  chmodSync(db, 0o600); // the folder may be entered, the file may not be read
  for (const command of ['status', 'outbox', 'events'])
    expect(spawnSync(process.execPath, ['agent/main.ts', command, '-c', path], other), command).toMatchObject({
      status: 6,
      stderr: expect.stringMatching(forbidden),
    });
  const selftest = spawnSync(process.execPath, ['agent/main.ts', 'selftest', '--json', '-c', path], other);
  expect(JSON.parse(selftest.stdout)).toMatchObject({ brokeAt: 'outbox', try: `sudo tocsin selftest -c ${path}` });
  rmSync(db); // nothing to read, and the folder may not be written to
  const unwritable = spawnSync(process.execPath, ['agent/main.ts', 'selftest', '--json', '-c', path], other);
  expect(JSON.parse(unwritable.stdout)).toMatchObject({ brokeAt: 'outbox', try: `sudo tocsin selftest -c ${path}` });
  chmodSync(path, 0o600);
  for (const command of ['status', 'meter'])
    expect(spawnSync(process.execPath, ['agent/main.ts', command, '-c', path], other), command).toMatchObject({
      status: 3,
      stderr: expect.stringMatching(forbidden),
    });
  for (const args of [['status'], ['outbox'], ['events'], ['events', 'explain', '1'], ['events', '--follow']])
    expect(user(...args), args.join()).toMatchObject({ status: 6, stdout: '', stderr: expect.stringMatching(forbidden) });
});

test.skipIf(notRoot)('a recording or a list of scenes that this user may not read is no damaged one (needs root)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-access-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  chmodSync(folder, 0o755);
  const [sound, scenes] = ['street.wav', 'scenes.json'].map((name) => join(folder, name)) as [string, string];
  writeFileSync(sound, readFileSync('deploy/selftest.wav'), { mode: 0o600 });
  writeFileSync(scenes, '[{"file":"street.wav","seconds":5,"events":[]}]');
  const user = (...args: string[]) => spawnSync(process.execPath, ['agent/main.ts', ...args, '--json'], { uid: 65534, gid: 65534, encoding: 'utf8' });
  const forbidden = { status: 4, stdout: '', stderr: expect.stringMatching(/Try: run it again with sudo\n$/) };
  expect(user('replay', sound)).toMatchObject(forbidden);
  expect(user('evaluate', folder)).toMatchObject(forbidden);
  chmodSync(scenes, 0o600);
  expect(user('evaluate', folder)).toMatchObject(forbidden);
});

test.skipIf(notRoot)('`privacy list` of a folder that this user may not read asks for sudo, not for another folder (needs root)', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-access-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const listed = spawnSync(process.execPath, ['agent/main.ts', 'privacy', 'list', folder], { uid: 65534, gid: 65534, encoding: 'utf8' });
  expect(listed).toMatchObject({ status: 2, stdout: '', stderr: expect.stringMatching(/EACCES[\s\S]*Try: run it again with sudo\n$/) });
});

test.each([
  ['listen', 'listener', 'both would store the same sounds'],
  ['deliver', 'courier', 'they would take the broker session from each other'],
] as const)('a second %s on the same outbox is refused: %s', async (command, half, _why) => {
  const { path, db, outbox } = sensor(1);
  outbox.close();
  const held = holdHalfLock(db, half);
  const second = (timeout: number) => spawnSync(process.execPath, ['agent/main.ts', command, '-c', path], { encoding: 'utf8', timeout });
  const { status, stdout, stderr } = second(60_000);
  expect({ status, stdout }).toEqual({ status: 6, stdout: '' });
  expect(stderr).toContain(`Expected to be the only ${half} of ${db}, got another that runs`);
  expect(stderr).toContain(`Try: sudo systemctl stop tocsin-${half}`);
  held.release();
  expect(second(3000).stderr).not.toContain('Expected to be the only'); // it runs until it is killed, or until it finds no microphone
});

test("SIGUSR1 does not open Node's debugger port", async () => {
  const { path } = sensor(1);
  const child = spawn(process.execPath, ['agent/main.ts', 'events', '--follow', '--json', '-c', path], { stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let said = '';
  child.stderr.on('data', (words) => {
    said += words;
  });
  await once(child.stdout, 'data');
  child.kill('SIGUSR1');
  const started = setInterval(() => child.kill('SIGTERM'), 1000); // what started by then has been logged
  await once(child, 'close');
  clearInterval(started);
  expect(said).not.toMatch(/debugger/i);
});
