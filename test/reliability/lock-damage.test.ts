import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { holdLock } from '../../agent/cli/run/half.ts';
import { holdHalfLock, openListenerProbe } from '../../agent/outbox/half-lock.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { overwrite, pageBytes, pagesOf, quarantined } from '../support/damaged-outbox.ts';
import { limits, recordedEvent, silentLogger } from '../support/samples.ts';

const noise = Buffer.alloc(4096, 0x55);
let path: string;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'tocsin-lock-')), 'outbox.db');
});
const listenersLock = () => `${path}.listener.lock`;
const hold = () => holdHalfLock(path, 'listener', 0);
const busy = expect.objectContaining({ code: 'SQLITE_BUSY' });

/** Another process that runs `work` with `half-lock.ts`, reports the outcome, and lives until `end` is called. */
async function otherProcess(work: string): Promise<{ said: string; end: () => Promise<unknown> }> {
  const script = `import { holdHalfLock } from '${join(process.cwd(), 'agent/outbox/half-lock.ts')}';
    import { openLock } from '${join(process.cwd(), 'agent/outbox/sqlite-database.ts')}';
    try { ${work}; console.log('held'); } catch (error) { console.log(error.code); }
    setInterval(() => undefined, 1e6);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const end = () => {
    child.kill('SIGKILL');
    return once(child, 'exit');
  };
  onTestFinished(() => void child.kill('SIGKILL'));
  const [said] = await once(child.stdout, 'data');
  return { said: String(said).trim(), end };
}
const otherListener = () => otherProcess(`holdHalfLock('${path}', 'listener', 0)`);

/** Leaves an outbox with a damaged page of events. */
function leaveDamaged(): void {
  const outbox = openSqliteOutbox(path, limits);
  for (let i = 1; i <= 200; i++) outbox.append(recordedEvent(i));
  outbox.close();
  overwrite(path, pagesOf(path).findLastIndex(({ table }) => table === 'event') * pageBytes, pageBytes, () => 0xaa);
}
const openRepaired = () => openSqliteOutbox(path, limits, { repair: true });

test('a repair lock file with content is emptied, and the outbox is repaired', () => {
  leaveDamaged();
  writeFileSync(`${path}.lock`, noise);
  const outbox = openRepaired();
  expect(outbox.pendingCount()).toBeGreaterThan(100);
  outbox.close();
  expect(quarantined(path)).toHaveLength(1);
  expect(statSync(`${path}.lock`).size).toBe(0);
});

test('while another process repairs, its lock holds even if its file has content', async () => {
  leaveDamaged();
  const other = await otherProcess(`globalThis.lock = openLock('${path}.lock').exec('BEGIN EXCLUSIVE')`);
  expect(other.said).toBe('held');
  writeFileSync(`${path}.lock`, noise);
  for (let i = 0; i < 2; i++) expect(openRepaired).toThrow(/database is locked/);
  expect(quarantined(path)).toEqual([]);
  await other.end();
  openRepaired().close();
  expect(quarantined(path)).toHaveLength(1);
});

test('a process lock file with content is emptied and held, and can be queried', async () => {
  writeFileSync(listenersLock(), noise);
  const other = await otherListener();
  expect(other.said).toBe('held');
  expect(statSync(listenersLock()).size).toBe(0);
  const runs = openListenerProbe(path);
  expect(runs()).toBe(true);
  await other.end();
  expect(runs()).toBe(false);
});

test('content written to the lock file of a running listener does not release the lock', async () => {
  const other = await otherListener();
  const runs = openListenerProbe(path);
  for (let i = 0; i < 2; i++) {
    writeFileSync(listenersLock(), noise);
    expect(runs()).toBe(true);
    for (let j = 0; j < 2; j++) expect(hold).toThrow(busy);
    expect(runs()).toBe(true);
  }
  await other.end();
  expect(runs()).toBe(false);
  hold().release();
});

test('a second attempt of the same process to take the lock does not release it', async () => {
  const { release } = hold();
  const held = statSync(listenersLock()).ino;
  const other = await otherProcess(`(await import('node:fs')).writeFileSync('${listenersLock()}', 'noise')`);
  await other.end();
  expect(hold).toThrow();
  const second = await otherListener();
  expect(second.said).toBe('SQLITE_BUSY');
  await second.end();
  expect(statSync(listenersLock())).toMatchObject({ ino: held, size: 0 });
  release();
  expect((await otherListener()).said).toBe('held');
});

test("after the lock file was deleted, another listener's lock is recognised", async () => {
  const first = await otherListener();
  const runs = openListenerProbe(path);
  expect(runs()).toBe(true);
  await first.end();
  rmSync(listenersLock());
  expect(runs()).toBe(undefined);
  const second = await otherListener();
  expect(second.said).toBe('held');
  expect(runs()).toBe(true);
  await second.end();
  expect(runs()).toBe(false);
});

test.each(['deleted', 'replaced'] as const)('a running process takes the lock of the new file after its lock file was %s', async (how) => {
  const { release } = holdLock(path, 'listener', silentLogger);
  onTestFinished(() => release());
  if (how === 'deleted') rmSync(listenersLock());
  else {
    writeFileSync(`${path}.other`, ''); // as on a disk that is mounted again
    renameSync(`${path}.other`, listenersLock());
  }
  const asked = () => otherProcess(`(await import('node:fs')).statSync('${listenersLock()}'); holdHalfLock('${path}', 'listener', 0).release()`);
  await vi.waitFor(async () => expect((await asked()).said).toBe('SQLITE_BUSY'), { timeout: 20_000, interval: 200 });
});

test('a lock at rest is taken again, even if another process holds it at that moment', async () => {
  const lock = holdLock(path, 'listener', silentLogger);
  onTestFinished(() => lock.release());
  const runs = openListenerProbe(path);
  expect(runs()).toBe(true);
  lock.rest(true);
  expect(runs()).toBe(false);
  const other = await otherListener();
  expect(other.said).toBe('held');
  lock.rest(false);
  await other.end();
  await vi.waitFor(() => expect(runs()).toBe(true), { timeout: 20_000 });
});
