import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, type TestContext, test } from 'vitest';
import { stringify } from 'yaml';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { type Broker, openEmbeddedBroker } from '../support/broker.ts';
import { fakeArecord } from '../support/fake-arecord.ts';
import { openNotifySocket } from '../support/notify-socket.ts';
import { limits, recordedEvent } from '../support/samples.ts';

const watchdogMs = 8000; // after this time without a ping systemd would kill the process

async function until(condition: () => boolean, what: string): Promise<void> {
  for (const began = performance.now(); !condition(); await new Promise((r) => setTimeout(r, 50)))
    if (performance.now() - began > 45_000) throw new Error(`waited 45 s in vain for ${what}`);
}

/**
 * Starts one process of the agent with a notify socket and a fake microphone. It is killed when the test of the given
 * context ends: the imported onTestFinished belongs to whichever test began last, and a process killed by another test
 * would send no pings either.
 */
async function start({ onTestFinished }: TestContext, half: 'listen' | 'deliver', hang?: string) {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-watchdog-'));
  const notify = openNotifySocket();
  const broker: Broker = await openEmbeddedBroker();
  const microphone = fakeArecord('sound');
  const config = {
    site: 'test',
    sensor: 'post-1',
    microphone: { silenceTimeoutSeconds: 2 },
    outbox: { path: join(folder, 'outbox.db') },
    mqtt: { url: broker.url, protocol: '3.1.1', ackTimeoutSeconds: hang === 'network' ? 60 : 2 },
    health: { intervalSeconds: 5 },
    log: { level: 'silent' },
  };
  writeFileSync(join(folder, 'tocsin.yaml'), stringify(config));
  const trigger = join(folder, 'hang');
  const env = {
    ...microphone.env,
    NOTIFY_SOCKET: notify.path,
    WATCHDOG_USEC: String(watchdogMs * 1000),
    ...(hang ? { HANG: hang, HANG_WHEN: trigger } : {}),
  };
  const preload = hang ? ['--import', resolve('test/support/hang.ts')] : [];
  const child: ChildProcess = spawn(process.execPath, [...preload, 'agent/main.ts', half, '-c', join(folder, 'tocsin.yaml')], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env,
  });
  const gone = new Promise((done) => child.once('close', done));
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await gone;
    notify.close();
    await broker.close();
  });
  await until(() => notify.pings().length >= 2, 'pings');
  return {
    notify,
    broker,
    microphone,
    child,
    gone,
    outbox: config.outbox.path,
    hang: () => writeFileSync(trigger, ''),
    /** The time since the last ping: beyond `watchdogMs` systemd kills. */
    quietMs: () => performance.now() - (notify.pings().at(-1)?.atMs ?? 0),
    /** The time since an otherwise idle timer fired in the process. */
    timerMs: () => Date.now() - (statSync(`${trigger}.timer`, { throwIfNoEntry: false })?.mtimeMs ?? 0),
  };
}

/** The longest time without a ping within `seconds`. */
async function longestQuiet(half: Awaited<ReturnType<typeof start>>, seconds: number): Promise<number> {
  let longest = 0;
  for (const began = performance.now(); performance.now() - began < seconds * 1000; await new Promise((r) => setTimeout(r, 50)))
    longest = Math.max(longest, half.quietMs());
  return longest;
}

describe.concurrent('each process pings only while its own work progresses', () => {
  test.for([
    ['listen', 'capture'],
    ['listen', 'inference'], // while sound continues to arrive
    ['listen', 'database'],
    ['deliver', 'database'],
    ['deliver', 'network'],
  ] as const)('%s: a hang in %s stops the pings, so that systemd restarts the process', async ([half, part], context) => {
    const running = await start(context, half, part);
    expect(running.notify.messages.find(({ text }) => !text.startsWith('STATUS='))?.text).toBe('READY=1');
    running.hang();
    if (part === 'network') {
      const outbox = openSqliteOutbox(running.outbox, limits);
      outbox.append(recordedEvent(0)); // something to publish
      outbox.close();
    }
    await until(() => running.quietMs() > watchdogMs, 'the pings to stop');
    // a ping from a timer would have been seen; a hanging SQLite call would block any ping
    if (part !== 'database') await until(() => running.timerMs() < 1000, 'a timer to fire in what hangs');
    expect([running.child.exitCode, running.child.signalCode], 'it hangs, it has not died').toEqual([null, null]);
  });

  test('a stuck or absent microphone is retried, and the listener continues to ping', async (context) => {
    const running = await start(context, 'listen');
    running.microphone.set('stuck');
    expect(await longestQuiet(running, 15)).toBeLessThan(watchdogMs);
    running.microphone.set('absent');
    expect(await longestQuiet(running, 15)).toBeLessThan(watchdogMs);
    running.child.kill('SIGTERM');
    expect(await running.gone).toBe(0);
    await until(() => running.notify.messages.at(-1)?.text === 'STOPPING=1', 'the farewell');
  });

  test('without a broker the courier continues to ping', async (context) => {
    const running = await start(context, 'deliver');
    await running.broker.close();
    // the waits between attempts grow to a minute; each step of a wait is the courier's own work
    expect(await longestQuiet(running, 30)).toBeLessThan(watchdogMs);
  });
});
