// A soak: sound plays fast, faults come at random from a fixed seed, and at the end the ids that arrived are matched with those stored.
// node test/reliability/soak.ts [MINUTES] [SEED]
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { type Broker, freePort, openMosquitto } from '../support/broker.ts';
import { openFaultProxy } from '../support/faults.ts';
import { openMessages } from '../support/messages.ts';
import { seededRandom } from '../support/random.ts';
import { limits } from '../support/samples.ts';

export interface SoakResult {
  minutes: number;
  seed: number;
  faults: Record<string, number>;
  /** Events that `append` reported stored, by the worker's own word. */
  stored: number;
  received: number;
  distinct: number;
  /** Stored, and neither arrived nor named in a gap. */
  missing: number;
  /** Arrived under an id that another event had. */
  confused: number;
  /** Megabytes an hour by least squares over the resident memory of each half, from a minute after each start on; of ten minutes or more. */
  slopes: { listener?: number; courier?: number };
  peaks: { listener: number; courier: number };
}

/** @param say told of every fault */
export async function soak(minutes: number, seed: number, say: (line: string) => void): Promise<SoakResult> {
  const random = seededRandom(seed);
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-soak-'));
  const mounted = userInfo().uid === 0 && spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=40m', 'tmpfs', folder]).status === 0;
  const path = join(folder, 'outbox.db');
  const port = await freePort();
  let broker: Broker | undefined = await openMosquitto(mkdtempSync(join(tmpdir(), 'tocsin-soak-broker-')), port);
  const brokerFolder = mkdtempSync(join(tmpdir(), 'tocsin-soak-broker-'));
  const proxy = await openFaultProxy(port);
  const config = join(mkdtempSync(join(tmpdir(), 'tocsin-soak-config-')), 'tocsin.yaml');
  const mqtt = { url: proxy.url, ackTimeoutSeconds: 2, keepaliveSeconds: 5 };
  writeFileSync(config, stringify({ site: 'a', sensor: 'b', outbox: { path }, mqtt, health: { intervalSeconds: 5 }, log: { level: 'silent' } }));

  const ids = new Map<string, string>(); // what each id stood for
  const gaps: { outbox: string; first: number; last: number }[] = [];
  let [received, confused] = [0, 0];
  const subscribe = async () => {
    const seen = await openMessages(`mqtt://127.0.0.1:${port}`);
    const take = () => {
      for (const { topic, text } of seen.messages.splice(0)) {
        const message = JSON.parse(text || '{}');
        if (topic.endsWith('/gap')) gaps.push(message);
        if (!topic.endsWith('/event')) continue;
        received++;
        const sound = `${message.time} ${message.data.label} ${JSON.stringify(message.data.scores)}`;
        if ((ids.get(message.id) ?? sound) !== sound) confused++;
        ids.set(message.id, sound);
      }
    };
    const timer = setInterval(take, 100);
    return async () => {
      clearInterval(timer);
      take();
      await seen.close();
    };
  };
  let unsubscribe = await subscribe();

  const said = new Set<string>();
  const halves: Record<'listener' | 'courier', { child: ChildProcess; startedMs: number } | undefined> = { listener: undefined, courier: undefined };
  const start = (half: 'listener' | 'courier') => {
    const args = half === 'courier' ? ['agent/main.ts', 'deliver', '-c', config] : ['test/reliability/soak-listener.ts', path];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    let rest = '';
    child.stdout?.on('data', (data: Buffer) => {
      const lines = (rest + data).split('\n');
      rest = lines.pop() ?? '';
      if (half === 'listener') for (const line of lines) said.add(line);
    });
    // systemd's part
    child.once('close', () => {
      if (halves[half]?.child === child && !stopping) setTimeout(() => !stopping && start(half), 500);
    });
    halves[half] = { child, startedMs: performance.now() };
  };
  let stopping = false;
  start('listener');
  start('courier');

  const memory: Record<'listener' | 'courier', [number, number][]> = { listener: [], courier: [] };
  const sampler = setInterval(() => {
    for (const half of ['listener', 'courier'] as const) {
      const running = halves[half];
      if (running && performance.now() - running.startedMs > Math.min(60_000, minutes * 15_000)) {
        const kb = Number(/^VmRSS:\s+(\d+)/m.exec(statusOf(running.child))?.[1] ?? Number.NaN);
        if (kb > 0) memory[half].push([performance.now() / 3_600_000, kb / 1024]);
      }
    }
  }, 1000);

  const faults: Record<string, () => Promise<void>> = {
    'broker restarted': async () => {
      await unsubscribe();
      await broker?.close();
      await delay(random() * 3000);
      broker = await openMosquitto(brokerFolder, port);
      unsubscribe = await subscribe();
    },
    'link frozen': () => during('frozen'),
    'acknowledgements lost': () => during('deaf'),
    'link slow': () => during('slow'),
    'connections broken': async () => {
      for (let i = 0; i < 10; i++) {
        proxy.breakAll();
        await delay(50 + random() * 200);
      }
    },
    'listener killed': async () => void halves.listener?.child.kill('SIGKILL'),
    'courier killed': async () => void halves.courier?.child.kill('SIGKILL'),
    'listener stopped for a while': () => paused('listener'),
    'courier stopped for a while': () => paused('courier'),
    ...(mounted
      ? {
          'disk full': async () => {
            spawnSync('dd', ['if=/dev/zero', `of=${folder}/fill`, 'bs=4k']);
            await delay(1000 + random() * 2000);
            spawnSync('rm', ['-f', `${folder}/fill`]);
          },
        }
      : {}),
  };
  async function during(fault: 'frozen' | 'deaf' | 'slow'): Promise<void> {
    proxy.set(fault);
    await delay(1000 + random() * 4000);
    proxy.set('none');
  }
  async function paused(half: 'listener' | 'courier'): Promise<void> {
    const child = halves[half]?.child;
    child?.kill('SIGSTOP');
    await delay(500 + random() * 2500);
    child?.kill('SIGCONT');
  }

  const counts: Record<string, number> = {};
  const endMs = performance.now() + minutes * 60_000;
  try {
    while (performance.now() < endMs) {
      await delay(500 + random() * 2500);
      const names = Object.keys(faults);
      const name = names[Math.floor(random() * names.length)] as string;
      counts[name] = (counts[name] ?? 0) + 1;
      say(name);
      await faults[name]?.();
    }
    // quiet: the listener ends in order, and everything that waits is sent
    stopping = true;
    await ended(halves.listener?.child, 'SIGTERM');
    if (halves.courier?.child.exitCode !== null || halves.courier.child.signalCode !== null) start('courier');
    const outbox = openSqliteOutbox(path, limits);
    for (const began = performance.now(); outbox.pendingCount() > 0 || outbox.gaps(1).length > 0; await delay(200))
      if (performance.now() - began > 120_000) break;
    await delay(1500);
    await ended(halves.courier?.child, 'SIGTERM');
    const { id } = outbox;
    const named = (sequence: number) => gaps.some((gap) => gap.outbox === id && gap.first <= sequence && sequence <= gap.last);
    await unsubscribe();
    const missing = [...said].filter((sequence) => !ids.has(`${id}-${sequence}`) && !named(Number(sequence))).length;
    outbox.close();
    return {
      minutes,
      seed,
      faults: counts,
      stored: said.size,
      received,
      distinct: ids.size,
      missing,
      confused,
      slopes: { ...slope('listener', memory), ...slope('courier', memory) },
      peaks: { listener: peak(memory.listener), courier: peak(memory.courier) },
    };
  } finally {
    stopping = true;
    clearInterval(sampler);
    for (const half of Object.values(halves)) half?.child.kill('SIGKILL');
    await proxy.close();
    await broker?.close();
    if (mounted) spawnSync('umount', ['-l', folder]);
  }
}

function ended(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  const gone = new Promise<void>((done) => child.once('close', () => done()));
  child.kill(signal);
  return gone;
}

function statusOf(child: ChildProcess): string {
  try {
    return readFileSync(`/proc/${child.pid}/status`, 'utf8');
  } catch {
    return '';
  }
}

function peak(samples: [number, number][]): number {
  return Math.round(samples.reduce((most, [, megabytes]) => Math.max(most, megabytes), 0));
}

/** Least squares; nothing from fewer samples than those of ten minutes. */
function slope(half: 'listener' | 'courier', memory: Record<'listener' | 'courier', [number, number][]>): Partial<Record<'listener' | 'courier', number>> {
  const samples = memory[half];
  if (samples.length < 600) return {};
  const mean = (of: (sample: [number, number]) => number) => samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
  const [hours, megabytes] = [mean(([x]) => x), mean(([, y]) => y)];
  const rise = mean(([x, y]) => (x - hours) * (y - megabytes)) / mean(([x]) => (x - hours) ** 2);
  return { [half]: Math.round(rise * 10) / 10 };
}

if (import.meta.main) {
  const [minutes, seed] = [Number(process.argv[2] ?? 60), Number(process.argv[3] ?? 1)];
  const result = await soak(minutes, seed, (line) => console.error(`${new Date().toISOString()} ${line}`));
  console.log(JSON.stringify(result, null, 2));
  process.exit(result.missing + result.confused === 0 ? 0 : 1);
}
