import { spawn } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { freePort, missing, openEmbeddedBroker, openMosquitto } from '../support/broker.ts';
import { openMessages } from '../support/messages.ts';
import { seededRandom } from '../support/random.ts';
import { limits, longKept, recordedEvent } from '../support/samples.ts';

// More kills: TOCSIN_KILLS=1000 npx vitest run test/reliability/kill.test.ts
const kills = Number(process.env.TOCSIN_KILLS ?? 100);

/** Runs a script for `ms` after its start, or after what `begun` waits for, and kills it. Returns its output. */
async function killed(args: string[], ms: number, begun?: (spoke: Promise<void>) => Promise<void>): Promise<string> {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  const spoke = new Promise<void>((resolve) => {
    child.stdout.on('data', (text: Buffer) => {
      said += text;
      resolve();
    });
  });
  const closed = new Promise((resolve) => child.once('close', (_code, signal) => resolve(signal)));
  await begun?.(spoke);
  await delay(ms);
  child.kill('SIGKILL');
  expect(await closed, 'it ended before it was killed').toBe('SIGKILL');
  return said;
}

test(`a storing process killed ${kills} times: every event for which append returned is stored once, in order`, { timeout: 600_000 }, async () => {
  const random = seededRandom(1);
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-kill-')), 'outbox.db');
  let returned = 0;
  let unreported = 0;
  let began = 1;
  for (let i = 0; i < kills; i++) {
    // from the first milliseconds of opening to the middle of a write
    const said = await killed(
      ['test/reliability/kill-worker.ts', path, String(began)],
      random() * (i % 4 === 0 ? 250 : 30),
      i % 4 === 0 ? undefined : (spoke) => spoke,
    );
    const indexes = said.trim().split('\n').filter(Boolean).map(Number);
    returned += indexes.length;
    const outbox = openSqliteOutbox(path, limits, { listenerRuns: () => false });
    const stored = outbox.pending(0, 1_000_000);
    const minutes = stored.map((e) => e.onsetMonotonicMs / 60_000);
    // one more event may be stored: the kill came between the commit and the output
    expect(minutes.length - (began - 1)).toBeGreaterThanOrEqual(indexes.length);
    expect(minutes.length - (began - 1)).toBeLessThanOrEqual(indexes.length + 1);
    unreported += minutes.length - (began - 1) - indexes.length;
    expect(minutes).toEqual(Array.from({ length: minutes.length }, (_, n) => n + 1));
    expect(stored.map((e) => e.sequence)).toEqual(minutes);
    expect(outbox.fates().stored).toBe(minutes.length);
    began = minutes.length + 1;
    outbox.close();
  }
  process.stdout.write(`kill -9 of a storing process: ${JSON.stringify({ kills, returned, unreported })}\n`);
  expect(returned).toBeGreaterThan(kills);
});

const withoutMosquitto = missing('mosquitto');
test(`the courier killed ${kills} times${withoutMosquitto ? ' (embedded broker, as mosquitto is not installed)' : ''}: every event arrives, in order`, {
  timeout: 600_000,
}, async () => {
  const random = seededRandom(2);
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-kill-'));
  const broker = withoutMosquitto ? await openEmbeddedBroker() : await openMosquitto(folder, await freePort());
  onTestFinished(() => broker.close());
  const seen = await openMessages(broker.url);
  onTestFinished(() => seen.close());
  const config = join(folder, 'tocsin.yaml');
  const path = join(folder, 'outbox.db');
  const mqtt = { url: broker.url, protocol: withoutMosquitto ? '3.1.1' : '5' };
  writeFileSync(config, stringify({ site: 'a', sensor: 'b', outbox: { path, ...longKept }, mqtt, log: { level: 'silent' } }));
  const outbox = openSqliteOutbox(path, limits);
  let stored = 0;
  const store = (count: number) => {
    for (let i = 0; i < count; i++) outbox.append(recordedEvent(stored++));
  };
  let inTheMiddle = 0;
  for (let i = 0; i < kills; i++) {
    store(40);
    const before = seen.events().length;
    // half of the kills come while it sends, however long its start takes; the others at any time
    const sending = i % 2 === 0;
    const arrives = () => seen.until(() => seen.events().length > before);
    await Promise.all([
      killed(['agent/main.ts', 'deliver', '--config', config], sending ? random() * 30 : 150 + random() * 700, sending ? arrives : undefined),
      // the listener continues meanwhile
      delay(random() * 500).then(() => store(5)),
    ]);
    if (seen.events().length > before && outbox.pendingCount() > 0) inTheMiddle++;
  }
  const last = spawn(process.execPath, ['agent/main.ts', 'deliver', '--config', config], { stdio: 'inherit' });
  onTestFinished(() => void last.kill('SIGKILL'));
  for (let i = 0; i < 600 && outbox.pendingCount() > 0; i++) await delay(50);
  await seen.until(() => new Set(seen.events().map((e) => e.id)).size === stored);
  last.kill('SIGTERM');
  await new Promise((resolve) => last.once('close', resolve));
  const arrived = seen.events();
  const first = [...new Map(arrived.map((e) => [e.id, e.data.sequence as number])).values()];
  process.stdout.write(`kill -9 of the courier: ${JSON.stringify({ kills, stored, received: arrived.length, distinct: first.length, inTheMiddle })}\n`);
  expect(first).toEqual(Array.from({ length: stored }, (_, i) => i + 1));
  expect(new Set(arrived.map((e) => e.id)).size).toBe(stored);
  expect(outbox.fates()).toEqual({ stored, sent: stored, expired: 0, refused: 0, dropped: 0, unreadable: 0 });
  expect(inTheMiddle).toBeGreaterThan(kills / 20);
  outbox.close();
});
