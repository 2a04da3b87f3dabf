import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir, uptime } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { toCloudEvent } from '../../agent/delivery/to-cloud-event.ts';
import { openClock } from '../../agent/lib/clock.ts';
import { openBootNote } from '../../agent/outbox/boot-note.ts';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { layBacklog } from '../support/backlog.ts';
import { freePort, missing, openMosquitto } from '../support/broker.ts';
import { openAuthority } from '../support/certificates.ts';
import { openMessages } from '../support/messages.ts';
import { seededRandom } from '../support/random.ts';
import { limits, longKept, recordedEvent, silentLogger } from '../support/samples.ts';
import { shiftedBoard, withoutShiftedClock } from '../support/shifted-clock.ts';

const hour = 3_600_000;
const day = 24 * hour;
const boots = ['11111111-7d3a-4f5b-9c8d-1e2f3a4b5c6d', '22222222-7d3a-4f5b-9c8d-1e2f3a4b5c6d'] as const;
let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tocsin-time-'));
  path = join(folder, 'outbox.db');
});

describe('the age of pending events', () => {
  let outbox: Outbox;
  beforeEach(() => {
    outbox = openSqliteOutbox(path, limits);
  });
  afterEach(() => outbox.close());
  const wallMs = recordedEvent(0).onsetWallMs;
  const [earlier, here] = boots;

  test('an event of this boot ages on the monotonic clock only', () => {
    outbox.append(recordedEvent(0, { bootId: here, clockSynchronised: false, onsetWallMs: 1000 }));
    outbox.append(recordedEvent(60, { bootId: here }));
    expect(outbox.expire({ bootId: here, monotonicMs: hour, wallMs: wallMs + 400 * day }, 30 * day)).toBe(0);
    expect(outbox.expire({ bootId: here, monotonicMs: 30 * day + 1 }, 30 * day)).toBe(1);
    expect(outbox.pending(0, 10).map((e) => e.sequence)).toEqual([2]);
    expect(outbox.gaps(10)).toEqual([{ first: 1, last: 1, reason: 'too_old' }]);
  });

  test('an event of an earlier boot ages only while the wall clock is synchronised; one of unknown time with a later one', () => {
    outbox.append(recordedEvent(0, { bootId: earlier, clockSynchronised: false, onsetWallMs: 1000 }));
    outbox.append(recordedEvent(1, { bootId: earlier }));
    outbox.append(recordedEvent(0, { bootId: boots[1], clockSynchronised: false, onsetWallMs: 1000 }));
    const now = { bootId: 'now', monotonicMs: 5000 };
    expect(outbox.expire(now, 30 * day)).toBe(0);
    expect(outbox.expire({ ...now, wallMs: wallMs + day }, 30 * day)).toBe(0);
    expect(outbox.expire({ ...now, wallMs: wallMs + 31 * day }, 30 * day)).toBe(2);
    expect(outbox.pending(0, 10).map((e) => e.sequence)).toEqual([3]);
    outbox.noteBoot(boots[1], wallMs);
    expect(outbox.expire({ ...now, wallMs: wallMs + 31 * day }, 30 * day), 'once it is known when that boot was').toBe(1);
    outbox.noteBoot(boots[0], wallMs);
    outbox.append(recordedEvent(0, { bootId: boots[0], onsetWallMs: wallMs - 60 * day }));
    expect(outbox.expire({ ...now, wallMs: wallMs + day }, 30 * day), 'stamped by a hardware clock that was put right').toBe(0);
  });

  test('an event of an earlier boot whose time nobody knows is too old once this boot has lasted for so long', () => {
    outbox.append(recordedEvent(0, { bootId: earlier, clockSynchronised: false, onsetWallMs: 1000 }));
    expect(outbox.expire({ bootId: here, monotonicMs: 30 * day }, 30 * day)).toBe(0);
    expect(outbox.expire({ bootId: here, monotonicMs: 30 * day + 1 }, 30 * day), 'without a clock').toBe(1);
    outbox.append(recordedEvent(1, { bootId: earlier, clockSynchronised: false, onsetWallMs: 1000 }));
    expect(outbox.expire({ bootId: here, monotonicMs: 30 * day + 1, wallMs }, 30 * day), 'with one').toBe(1);
  });

  test('expired events behind 10,000 events of unknown time are found too', () => {
    layBacklog(path, 10_005, (i) => recordedEvent(i, { bootId: earlier, clockSynchronised: i >= 10_000 }));
    const now = { bootId: here, monotonicMs: 0, wallMs: recordedEvent(10_002).onsetWallMs + 30 * day };
    let expired = 0;
    for (let i = 0; i < 6; i++) expired += outbox.expire(now, 30 * day);
    expect(expired).toBe(10_002);
  });
});

test('2,000 events over boots, jumps, lost clocks and power cuts: none is lost, and every wrong time is marked', () => {
  const random = seededRandom(8);
  // this test is about arithmetic, not about the disk
  path = join(mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'tocsin-time-')), 'outbox.db');
  let outbox = openSqliteOutbox(path, { maxMegabytes: 64, maxEventsPerMinute: 60 });
  let trueMs = Date.UTC(2026, 10, 20);
  const truth: number[] = [];
  const seen = { synchronised: 0, corrected: 0, unsynchronised: 0 };
  let wrong = 0;
  let delivered = 0;
  for (let boot = 0; truth.length < 2000; boot++) {
    const bootId = `${String(boot).padStart(8, '0')}-7d3a-4f5b-9c8d-1e2f3a4b5c6d`;
    const beganMs = trueMs;
    // at 1970, at the last shutdown, or days off in either direction
    let offset = [-trueMs, -3 * day, 30 * day, -30 * day, 0][Math.floor(random() * 5)] as number;
    let setMs: number | undefined;
    const source = { bootId, wallMs: () => trueMs + offset, monotonicMs: () => trueMs - beganMs, evidence: () => ({ setMs }) };
    let clock = openClock(source);
    let note = openBootNote(outbox, clock, silentLogger);
    const store = () => {
      const age = random() * 3000; // the clock may have jumped since the onset
      const onset = trueMs - beganMs - age;
      const event = { onsetWallMs: clock.wallMs() - age, onsetMonotonicMs: onset, bootId, clockSynchronised: clock.synchronised() };
      expect(outbox.append(recordedEvent(0, event))).toBe('stored');
      truth.push(trueMs - age);
    };
    const deliver = () => {
      const events = outbox.pending(0, 50);
      for (const event of events) {
        const { data, time } = toCloudEvent(event, { outboxId: outbox.id, site: 'a', sensor: 'b', historicalAfterSeconds: 60 }, clock);
        seen[data.clock]++;
        if (data.clock !== 'unsynchronised' && Math.abs(Date.parse(time) - (truth[data.sequence - 1] as number)) > 3000) wrong++;
        expect(data.sequence).toBe(++delivered);
      }
      outbox.acknowledge(events.map(({ sequence }) => sequence));
    };
    const steps = 5 + Math.floor(random() * 40);
    for (let step = 0; step < steps && truth.length < 2000; step++) {
      trueMs += 10_000 + random() * 600_000;
      const what = random();
      if (what < 0.1) offset += (random() < 0.5 ? 1 : -1) * (random() < 0.5 ? 30 * day : (trueMs - beganMs) * random());
      else if (what < 0.25) {
        offset = 0;
        setMs = trueMs;
      } else if (what < 0.45) {
        clock = openClock(source); // one of the processes is restarted
        note = openBootNote(outbox, clock, silentLogger);
      }
      clock.synchronised(); // as both processes do each second
      note();
      store();
      if (what > 0.8) deliver();
    }
    while (truth.length === 2000 && outbox.pendingCount() > 0) deliver();
    outbox.close();
    trueMs += random() * day;
    outbox = openSqliteOutbox(path, { maxMegabytes: 64, maxEventsPerMinute: 60 });
  }
  outbox.close();
  process.stdout.write(`time: ${JSON.stringify({ stored: truth.length, delivered, ...seen, wrong })}\n`);
  expect(delivered).toBe(2000);
  expect(wrong).toBe(0);
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(100);
});

const without = withoutShiftedClock() ?? missing('mosquitto', 'openssl');
describe.skipIf(without)(`real processes with a shifted clock${without ? ` (left out: ${without})` : ''}`, () => {
  const children: ChildProcess[] = [];
  afterEach(async () => {
    for (const child of children.splice(0)) await ended(child, 'SIGKILL');
  });
  function ended(child: ChildProcess, signal?: NodeJS.Signals): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
    const gone = new Promise<void>((done) => child.once('close', () => done()));
    if (signal) child.kill(signal);
    return gone;
  }
  function config(mqtt: object): string {
    const file = join(folder, 'tocsin.yaml');
    const microphone = { adapter: 'file', file: resolve('deploy/selftest.wav') };
    const settings = { site: 'a', sensor: 'b', microphone, outbox: { path, ...longKept }, mqtt, health: { intervalSeconds: 5 }, log: { level: 'error' } };
    writeFileSync(file, stringify(settings));
    return file;
  }
  async function until(condition: () => boolean): Promise<void> {
    for (const began = performance.now(); !condition(); await delay(50)) if (performance.now() - began > 60_000) throw new Error('waited 60 s in vain');
  }
  function look<T>(work: (outbox: Outbox) => T): T {
    const outbox = openSqliteOutbox(path, limits);
    try {
      return work(outbox);
    } finally {
      outbox.close();
    }
  }
  const start = (board: ReturnType<typeof shiftedBoard>, ...args: string[]) => {
    const child = board.start(...args);
    children.push(child);
    return child;
  };
  /** Hears the test sound under the board's clock. Returns the true time at which it was stored. */
  async function hear(board: ReturnType<typeof shiftedBoard>, file: string, whileHearing?: () => void, events = 2): Promise<number> {
    const listener = start(board, 'listen', '-c', file);
    await until(() => look((outbox) => outbox.pendingCount()) === events);
    const heardMs = Date.now();
    whileHearing?.();
    await ended(listener);
    return heardMs;
  }

  test('in 1970 the TLS connection is refused and `doctor` names the reason; once the clock is set, all events arrive corrected', async () => {
    const { ca, issue } = openAuthority(folder, 'authority');
    const { cert, key } = issue('localhost', 30);
    const [port, plainPort] = [await freePort(), await freePort()];
    const tls = ['allow_anonymous true', `cafile ${ca}`, `certfile ${cert}`, `keyfile ${key}`, `listener ${plainPort} 127.0.0.1`];
    const broker = await openMosquitto(folder, port, undefined, tls);
    onTestFinished(() => broker.close());
    const seen = await openMessages(`mqtt://127.0.0.1:${plainPort}`);
    onTestFinished(() => seen.close());
    const board = shiftedBoard(boots[0]);
    board.shift(60_000 - Date.now());
    const file = config({ url: `mqtts://localhost:${port}`, caFile: ca });
    start(board, 'deliver', '-c', file);
    const heardMs = await hear(board, file);
    const { checks } = JSON.parse(board.run('doctor', '--json', '-c', file).stdout);
    const finding = (id: string) => checks.find((check: { check: string }) => check.check === id).finding;
    expect(finding('clock')).toBe('clock.unset');
    expect(finding('tls')).toBe('tls.early');
    expect(seen.messages).toEqual([]);
    board.synchronise();
    await seen.until(() => seen.events().length === 2);
    for (const event of seen.events()) {
      expect(event.data.clock).toBe('corrected');
      expect(Math.abs(Date.parse(event.time) - heardMs)).toBeLessThan(5000);
    }
    await seen.until(() => seen.messages.some((m) => m.topic.endsWith('/health') && JSON.parse(m.text).clock === 'synchronised'));
  });

  test.each([400, -400])('a clock jump by %i days while events wait: none expires, and none gets a wrong time', async (days) => {
    const port = await freePort();
    const board = shiftedBoard(boots[1]);
    board.synchronise();
    const file = config({ url: `mqtt://127.0.0.1:${port}` });
    const onset = Date.now() - hour;
    look((outbox) => {
      for (let i = 0; i < 20; i++) outbox.append(recordedEvent(i, { bootId: boots[0], onsetWallMs: onset + i * 60_000 }));
    });
    start(board, 'deliver', '-c', file);
    await until(() => look((outbox) => outbox.bootBegan(boots[1])) !== undefined); // by the courier alone, without a broker
    board.shift(days * day);
    const broker = await openMosquitto(folder, port);
    onTestFinished(() => broker.close());
    const seen = await openMessages(broker.url);
    onTestFinished(() => seen.close());
    await seen.until(() => seen.events().length === 20);
    expect(seen.events().map((e) => Date.parse(e.time))).toEqual(Array.from({ length: 20 }, (_, i) => onset + i * 60_000));
    // acknowledged events are deleted together within ten seconds
    await expect.poll(() => look((outbox) => outbox.fates()), { timeout: 30_000 }).toMatchObject({ stored: 20, sent: 20, expired: 0 });
    expect(seen.messages.some((m) => m.topic.endsWith('/gap'))).toBe(false);
    const began = look((outbox) => outbox.bootBegan(boots[1])) ?? 0;
    expect(Math.abs(began - (Date.now() - uptime() * 1000)), 'the start of this boot').toBeLessThan(2000);
  });

  test.each(['listener', 'courier'])(
    'a clock jump within the time since the boot is detected by the running processes and by a %s that starts later',
    async (restarted) => {
      const port = await freePort();
      const board = shiftedBoard(boots[0]);
      board.synchronise();
      const file = config({ url: `mqtt://127.0.0.1:${port}` });
      const heardMs = [await hear(board, file)];
      const believed = () => JSON.parse(board.run('status', '-c', file, '--json').stdout).clockSynchronised;
      expect(believed()).toBe(true);
      const began = look((outbox) => outbox.bootBegan(boots[0]));
      const deliver = () => start(board, 'deliver', '-c', file);
      const courier = restarted === 'listener' ? deliver() : undefined;
      await delay(1000);
      board.shift((uptime() * 1000) / 2); // the clock file of the daemon seems to have been touched just as long ago
      heardMs.push(await hear(board, file, undefined, 4));
      courier?.kill('SIGSTOP'); // until somebody subscribes
      const broker = await openMosquitto(folder, port);
      onTestFinished(() => broker.close());
      const seen = await openMessages(broker.url);
      onTestFinished(() => seen.close());
      if (courier) courier.kill('SIGCONT');
      else deliver();
      await seen.until(() => seen.events().length === 4 && seen.messages.some((m) => m.topic.endsWith('/health')));
      expect(seen.events().map((event) => event.data.clock)).toEqual(['synchronised', 'synchronised', 'corrected', 'corrected']);
      for (const [i, event] of seen.events().entries()) expect(Math.abs(Date.parse(event.time) - (heardMs[Math.floor(i / 2)] as number))).toBeLessThan(5000);
      expect(seen.messages.filter((m) => m.topic.endsWith('/health')).map((m) => JSON.parse(m.text).clock)).not.toContain('synchronised');
      expect(look((outbox) => outbox.bootBegan(boots[0]))).toBe(began);
      expect(board.run('status', '-c', file).stdout).toMatch(/^! clock/m);
      expect(believed()).toBe(false);
    },
  );

  test.each([true, false])('events from before a power cut are corrected only if the clock was set before it: %s', async (set) => {
    const board = shiftedBoard(boots[0]);
    board.shift(60_000 - Date.now());
    const port = await freePort();
    const file = config({ url: `mqtt://127.0.0.1:${port}` });
    const heardMs = await hear(board, file, () => {
      if (set) board.synchronise();
    });
    board.reboot(boots[1]);
    board.synchronise();
    const broker = await openMosquitto(folder, port);
    onTestFinished(() => broker.close());
    const seen = await openMessages(broker.url);
    onTestFinished(() => seen.close());
    start(board, 'deliver', '-c', file);
    await seen.until(() => seen.events().length === 2);
    for (const event of seen.events()) {
      expect(event.data.clock).toBe(set ? 'corrected' : 'unsynchronised');
      expect(event.data.bootId).toBe(boots[0]);
      if (set) expect(Math.abs(Date.parse(event.time) - heardMs)).toBeLessThan(5000);
    }
  });
});
