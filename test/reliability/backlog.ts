// Months offline: stores events in an outbox, then lets the real courier deliver them through mosquitto while fresh
// events are stored. node test/reliability/backlog.ts [EVENTS]
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { allowed } from '../support/allowed.ts';
import { layBacklog } from '../support/backlog.ts';
import { freePort, openMosquitto } from '../support/broker.ts';
import { oneFolderForThisCommand } from '../support/one-temporary-folder.ts';
import { limits, recordedEvent } from '../support/samples.ts';

interface BacklogResult {
  events: number;
  megabytes: number;
  seconds: number;
  eventsPerSecond: number;
  received: number;
  missing: number;
  fresh: number;
  /** From before a fresh event was stored until a subscriber received it. */
  freshDelayMs: { median: number; worst: number };
  courierCpuMsPerEvent: number;
  /** Beyond what the same process used after delivering `warm` events. */
  courierGrowthMegabytes: number;
  listenerGrowthMegabytes: number;
}

const warm = 5000;

/** @param say receives progress messages */
export async function drainBacklog(events: number, say: (line: string) => void): Promise<BacklogResult> {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-backlog-'));
  const path = join(folder, 'outbox.db');
  openSqliteOutbox(path, limits).close();
  const lay = (count: number, from: number) =>
    layBacklog(path, count, (i) => recordedEvent(from + i, { onsetWallMs: Date.now() - 86_400_000, onsetMonotonicMs: (from + i) * 1000 }));
  const port = await freePort();
  const lines = ['allow_anonymous true', 'max_queued_messages 0', 'max_inflight_messages 1000'];
  const outbox = { path, maxMegabytes: 1000, maxAgeDays: 366 };
  const config = join(folder, 'tocsin.yaml');
  writeFileSync(config, stringify({ site: 'a', sensor: 'b', outbox, mqtt: { url: `mqtt://127.0.0.1:${port}` }, log: { level: 'error' } }));

  const at = new Map<number, number>(); // when each sequence number first arrived
  const children: ChildProcess[] = [];
  const env = allowed(2 * events);
  const run = (command: string, args: string[]) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], env });
    children.push(child);
    return child;
  };
  const subscribe = () => {
    const topic = 'tocsin/v1/a/b/event';
    const child = run('mosquitto_sub', ['-p', String(port), '-q', '1', '-t', topic, '-i', 'platform', '-c', '-V', '5', '-x', '3600', '-F', '%U %p']);
    byLine(child, (line) => {
      const sequence = Number(/"sequence":(\d+)/.exec(line)?.[1]);
      if (!at.has(sequence)) at.set(sequence, Number.parseFloat(line) * 1000);
    });
  };
  try {
    lay(warm, 0);
    let broker = await openMosquitto(folder, port, undefined, lines);
    subscribe();
    await delay(500);
    const courier = run(process.execPath, ['agent/main.ts', 'deliver', '-c', config]);
    const fresh: [number, number][] = [];
    const listener = run(process.execPath, ['test/reliability/backlog-worker.ts', path, '1050'] /* the schema allows 60 a minute */);
    byLine(listener, (line) => fresh.push(line.split(' ').map(Number) as [number, number]));
    const until = async (count: number) => {
      for (const began = performance.now(); at.size < count; await delay(100))
        if (performance.now() - began > 120_000 + 4 * events) throw new Error(`expected ${count} events, got ${at.size}`);
    };
    await until(warm + 4);
    await delay(1000);
    const before = { courier: peakOf(courier), listener: peakOf(listener), cpu: cpuMsOf(courier) };
    await broker.close();
    // the listener is stopped between two events: within one it would keep the outbox locked
    for (const stored = fresh.length; fresh.length === stored; ) await delay(10);
    listener.kill('SIGSTOP');
    lay(events, warm);
    listener.kill('SIGCONT');
    const megabytes = Math.round((statSync(path).size + statSync(`${path}-wal`).size) / 1e6);
    say(`${events} events laid, ${megabytes} MB`);
    broker = await openMosquitto(folder, port, undefined, lines);
    subscribe();
    const began = Date.now();
    const first = fresh.length;
    await until(warm + events + first);
    const late = new Set(fresh.map(([sequence]) => sequence));
    let [connected, drained] = [Number.POSITIVE_INFINITY, 0];
    for (const [sequence, ms] of at)
      if (ms >= began && !late.has(sequence)) {
        connected = Math.min(connected, ms);
        drained = Math.max(drained, ms);
      }
    const seconds = (drained - connected) / 1000;
    await delay(3000);
    listener.kill('SIGSTOP');
    await delay(2000);
    const after = { courier: peakOf(courier), listener: peakOf(listener), cpu: cpuMsOf(courier) };
    // an event stored while the broker was away waits for the connection, not for the backlog
    const delays = fresh
      .slice(first)
      .filter(([, ms]) => ms < drained)
      .map(([sequence, ms]) => (at.get(sequence) ?? Number.POSITIVE_INFINITY) - Math.max(ms, connected))
      .sort((a, b) => a - b);
    await broker.close();
    const expected = warm + events + fresh.length;
    return {
      events,
      megabytes,
      seconds,
      eventsPerSecond: Math.round(events / seconds),
      received: at.size,
      missing: expected - at.size,
      fresh: delays.length,
      freshDelayMs: { median: Math.round(delays[Math.floor(delays.length / 2)] ?? 0), worst: Math.round(delays.at(-1) ?? 0) },
      courierCpuMsPerEvent: Math.round((1e3 * (after.cpu - before.cpu)) / events) / 1e3,
      courierGrowthMegabytes: Math.round(after.courier - before.courier),
      listenerGrowthMegabytes: Math.round(after.listener - before.listener),
    };
  } finally {
    for (const child of children) child.kill('SIGKILL');
  }
}

function byLine(child: ChildProcess, take: (line: string) => void): void {
  let rest = '';
  child.stdout?.on('data', (data: Buffer) => {
    const lines = (rest + data.toString('latin1')).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) take(line);
  });
}

/** The peak memory of a process, in megabytes. */
function peakOf(child: ChildProcess): number {
  return Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) / 1024;
}

/** User and system time in milliseconds. */
function cpuMsOf(child: ChildProcess): number {
  const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return 10 * (Number(fields[11]) + Number(fields[12]));
}

if (import.meta.main) {
  oneFolderForThisCommand();
  const events = Number(process.argv[2] ?? 500_000);
  console.log(JSON.stringify(await drainBacklog(events, (line) => console.error(line)), null, 2));
  process.exit(0);
}
