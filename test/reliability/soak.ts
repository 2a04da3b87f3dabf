// A soak: sound plays fast, faults come at random from a fixed seed, and at the end the ids that arrived are compared
// with those stored. node test/reliability/soak.ts [MINUTES] [SEED]
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connectAsync } from 'mqtt';
import { stringify } from 'yaml';
import { systemClock } from '../../agent/lib/clock.ts';
import { isDamage } from '../../agent/outbox/sqlite.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { allowed } from '../support/allowed.ts';
import { type Broker, freePort, openMosquitto } from '../support/broker.ts';
import { openFaultProxy } from '../support/faults.ts';
import { openMessages } from '../support/messages.ts';
import { oneFolderForThisCommand } from '../support/one-temporary-folder.ts';
import { seededRandom } from '../support/random.ts';
import { limits } from '../support/samples.ts';
import { type Half, soakFaults } from './soak-faults.ts';
import { type MemorySample, peakOf, slopeOf } from './soak-memory.ts';
import { pace, soakBeganMs } from './soak-time.ts';

interface SoakResult {
  minutes: number;
  seed: number;
  faults: Record<string, number>;
  /** Events that `append` reported as stored, from the worker's output. */
  stored: number;
  received: number;
  distinct: number;
  /** Stored, and neither arrived nor in a gap of their outbox. */
  missing: number;
  /** Stored in an outbox that lost its id to damage: the platform sees another id, and no gap can report them. */
  lostWithTheirOutbox: number;
  /** Arrived under the id of another event. */
  confused: number;
  /** Stamped far from the true time and not marked as unsynchronised. */
  mistimed: number;
  /** Microphone faults by the name that the supervisor gave them. */
  named: Record<string, number>;
  /**
   * Growth of resident memory in megabytes an hour, by least squares with the standard error, in the first half, in
   * which no process is killed.
   */
  slopes: Record<Half, { megabytesAnHour: number; standardError: number; minutes: number } | undefined>;
  peaks: Record<Half, number>;
}

/** @param say receives the name of every fault */
export async function soak(minutes: number, seed: number, say: (line: string) => void): Promise<SoakResult> {
  const random = seededRandom(seed);
  const place = mkdtempSync(join(tmpdir(), 'tocsin-soak-'));
  const [folder, brokerFolder, config] = [join(place, 'outbox'), join(place, 'broker'), join(place, 'tocsin.yaml')];
  for (const made of [folder, brokerFolder]) mkdirSync(made);
  const mounted = userInfo().uid === 0 && spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=40m', 'tmpfs', folder]).status === 0;
  const path = join(folder, 'outbox.db');
  const port = await freePort();
  let broker: Broker | undefined = await openMosquitto(brokerFolder, port);
  const proxy = await openFaultProxy(port);
  const mqtt = { url: proxy.url, ackTimeoutSeconds: 2, keepaliveSeconds: 5 };
  writeFileSync(config, stringify({ site: 'a', sensor: 'b', outbox: { path }, mqtt, health: { intervalSeconds: 5 }, log: { level: 'silent' } }));

  const clock = systemClock();
  const ids = new Map<string, string>(); // the content of the event with each id
  const gaps: { outbox: string; first: number; last: number }[] = [];
  let [received, confused, mistimed] = [0, 0, 0];
  const subscribe = async () => {
    const seen = await openMessages(`mqtt://127.0.0.1:${port}`);
    const take = () => {
      for (const { topic, text } of seen.messages.splice(0)) {
        const message = JSON.parse(text || '{}');
        if (topic.endsWith('/gap')) gaps.push(message);
        if (!topic.endsWith('/event')) continue;
        received++;
        const { time, data } = message;
        // an event sent again keeps everything except a time that can now be corrected
        const sound = `${data.clock === 'synchronised' ? time : ''} ${data.label} ${JSON.stringify(data.scores)} ${data.confidence} ${data.durationSeconds}`;
        const before = ids.get(message.id) ?? sound;
        const sameTime = before.startsWith(' ') || sound.startsWith(' ') || before === sound;
        if (!sameTime || before.slice(before.indexOf(' ')) !== sound.slice(sound.indexOf(' '))) confused++;
        ids.set(message.id, sound);
        const now = soakBeganMs + pace * clock.monotonicMs();
        if (data.clock !== 'unsynchronised' && (Date.parse(time) > now + 5000 || Date.parse(time) < now - pace * (minutes + 5) * 60_000)) mistimed++;
      }
    };
    const timer = setInterval(take, 100);
    return async () => {
      // once this message arrives, everything that the broker had accepted before it has arrived
      const last = await connectAsync(`mqtt://127.0.0.1:${port}`);
      await Promise.all([seen.until(() => seen.messages.some(({ topic }) => topic === 'soak/last')), last.publishAsync('soak/last', '{}', { qos: 1 })]);
      await last.endAsync();
      clearInterval(timer);
      take();
      await seen.close();
    };
  };
  let unsubscribe = await subscribe();

  const env = allowed(1e6); // an hour of this is months of a street
  const said = new Set<string>();
  const named: Record<string, number> = {};
  const halves: Record<Half, { child: ChildProcess; startedMs: number } | undefined> = { listener: undefined, courier: undefined };
  const start = (half: Half) => {
    const args = half === 'courier' ? ['agent/main.ts', 'deliver', '-c', config] : ['test/reliability/soak-listener.ts', path];
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'ignore'], env });
    child.stdin?.on('error', () => undefined); // written to while the process dies
    let rest = '';
    child.stdout?.on('data', (data: Buffer) => {
      const lines = (rest + data).split('\n');
      rest = lines.pop() ?? '';
      for (const [what, name = '', sequence] of lines.map((line) => line.split(' '))) {
        if (what === 'stored') said.add(`${name}-${sequence}`);
        if (what === 'fault') named[name] = (named[name] ?? 0) + 1;
      }
    });
    // restarts the process, as systemd does
    child.once('close', () => {
      if (halves[half]?.child === child && !stopping && !held) setTimeout(() => !stopping && !held && halves[half]?.child === child && start(half), 500);
    });
    halves[half] = { child, startedMs: performance.now() };
  };
  let [stopping, held] = [false, false];
  start('listener');
  start('courier');

  const beganMs = performance.now();
  const halfMs = beganMs + minutes * 30_000;
  const memory: Record<Half, MemorySample[]> = { listener: [], courier: [] };
  const sampler = setInterval(() => {
    for (const half of ['listener', 'courier'] as const) {
      const kb = Number(/^VmRSS:\s+(\d+)/m.exec(statusOf(halves[half]?.child))?.[1] ?? Number.NaN);
      if (kb > 0) memory[half].push({ hours: performance.now() / 3_600_000, megabytes: kb / 1024, calm: performance.now() < halfMs });
    }
  }, 1000);

  const faults = soakFaults({
    random,
    proxy,
    outbox: path,
    config,
    ...(mounted ? { fill: join(folder, 'fill') } : {}),
    child: (half) => halves[half]?.child,
    async restartBroker(pauseMs) {
      proxy.set('frozen'); // nothing may be acknowledged while nobody counts
      await unsubscribe();
      await broker?.close();
      await delay(pauseMs);
      broker = await openMosquitto(brokerFolder, port);
      unsubscribe = await subscribe();
      proxy.breakAll();
      proxy.set('none');
    },
    async whileDead(work) {
      held = true;
      await Promise.all([ended(halves.listener?.child, 'SIGKILL'), ended(halves.courier?.child, 'SIGKILL')]);
      work();
      held = false;
      start('listener');
      start('courier');
    },
  });

  const counts: Record<string, number> = {};
  const endMs = beganMs + minutes * 60_000;
  try {
    while (performance.now() < endMs) {
      await delay(500 + random() * 2500);
      const kinds = performance.now() < halfMs ? faults.calm : { ...faults.calm, ...faults.deadly };
      const names = Object.keys(kinds);
      const name = names[Math.floor(random() * names.length)] as string;
      counts[name] = (counts[name] ?? 0) + 1;
      say(name);
      await kinds[name]?.();
    }
    // quiet: the listener ends in order, and everything pending is sent
    stopping = true;
    await ended(halves.listener?.child, 'SIGTERM');
    if (halves.courier?.child.exitCode !== null || halves.courier.child.signalCode !== null) start('courier');
    const outbox = await onceSound(() => openSqliteOutbox(path, limits));
    for (const began = performance.now(); outbox.pendingCount() > 0 || outbox.gaps(1).length > 0; await delay(200))
      if (performance.now() - began > 120_000) break;
    await delay(1500);
    await ended(halves.courier?.child, 'SIGTERM');
    const { id } = outbox;
    const inGap = (event: string) => {
      const [of = '', sequence] = event.split('-');
      return gaps.some((gap) => gap.outbox === of && gap.first <= Number(sequence) && Number(sequence) <= gap.last);
    };
    await unsubscribe();
    const lost = [...said].filter((event) => !ids.has(event) && !inGap(event));
    const ofThis = lost.filter((event) => event.startsWith(id));
    outbox.close();
    return {
      minutes,
      seed,
      faults: counts,
      stored: said.size,
      received,
      distinct: ids.size,
      missing: ofThis.length,
      lostWithTheirOutbox: lost.length - ofThis.length,
      confused,
      mistimed,
      named,
      slopes: { listener: slopeOf(memory.listener), courier: slopeOf(memory.courier) },
      peaks: { listener: peakOf(memory.listener), courier: peakOf(memory.courier) },
    };
  } finally {
    stopping = true;
    clearInterval(sampler);
    for (const half of Object.values(halves)) half?.child.kill('SIGKILL');
    await proxy.close();
    await broker?.close();
    if (mounted) spawnSync('umount', ['-l', folder]);
    rmSync(place, { recursive: true, force: true });
  }
}

function ended(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  const gone = new Promise<void>((done) => child.once('close', () => done()));
  child.kill(signal);
  return gone;
}

function statusOf(child: ChildProcess | undefined): string {
  try {
    return readFileSync(`/proc/${child?.pid}/status`, 'utf8');
  } catch {
    return '';
  }
}

if (import.meta.main) {
  oneFolderForThisCommand();
  const [minutes, seed] = [Number(process.argv[2] ?? 60), Number(process.argv[3] ?? 1)];
  const result = await soak(minutes, seed, (line) => console.error(`${new Date().toISOString()} ${line}`));
  console.log(JSON.stringify(result, null, 2));
  process.exit(result.missing + result.confused + result.mistimed === 0 ? 0 : 1);
}

/** Opens the outbox. The last fault may just have damaged it: a process repairs it within 30 s of its start. */
async function onceSound<T>(open: () => T): Promise<T> {
  for (const began = performance.now(); ; await delay(200))
    try {
      return open();
    } catch (error) {
      if (!isDamage(error) || performance.now() - began > 30_000) throw error;
    }
}
