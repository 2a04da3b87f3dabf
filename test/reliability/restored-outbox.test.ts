import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { layBacklog } from '../support/backlog.ts';
import { overwrite, quarantined, range } from '../support/damaged-outbox.ts';
import { startHalf } from '../support/half.ts';
import { limits, longKept, recordedEvent } from '../support/samples.ts';

const newPath = () => join(mkdtempSync(join(tmpdir(), 'tocsin-restored-')), 'outbox.db');

test.each(['listen', 'deliver'] as const)(
  '%s, stopped by SIGTERM while it repairs 100,000 events, ends in order and completes the repair',
  { timeout: 60_000 },
  async (half) => {
    const path = newPath();
    openSqliteOutbox(path, limits).close();
    layBacklog(path, 100_000, (i) => recordedEvent(i));
    openSqliteOutbox(path, limits).close();
    overwrite(path, 1024 * Math.floor(statSync(path).size / 2048), 1024, () => 7);
    const config = join(path, '../tocsin.yaml');
    const microphone = { device: 'CARD=none' };
    writeFileSync(config, stringify({ site: 'test', sensor: 'post-1', microphone, outbox: { path, ...longKept }, mqtt: { url: 'mqtt://127.0.0.1:1' } }));
    const { child, ended } = startHalf(half, config, process.env);
    while (!existsSync(`${path}.new`) && quarantined(path).length === 0 && child.exitCode === null) await setImmediate();
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(readdirSync(join(path, '..')).filter((name) => name.includes('.new') || name.endsWith('-journal'))).toEqual([]);
    expect(quarantined(path)).toHaveLength(1);
    const outbox = openSqliteOutbox(path, limits);
    onTestFinished(() => outbox.close());
    const { stored, unreadable } = outbox.fates();
    expect(stored).toBe(100_000);
    expect(unreadable).toBeLessThan(100);
    expect(outbox.pendingCount()).toBe(stored - unreadable);
  },
);

test.each([
  [50, 900, ['-wal', '-shm']],
  [200, 1400, ['-wal']],
] as const)(
  'an older copy of %i events beside a WAL of %i later ones: no event changes, no number is reused, missing ones are in a gap',
  (early, later, ends) => {
    const path = newPath();
    const copy = `${path}.copy`;
    const store = (first: number, last: number) => {
      const outbox = openSqliteOutbox(path, limits, { reserve: true });
      for (const i of range(first, last)) outbox.append(recordedEvent(i));
      return outbox;
    };
    store(1, early).close();
    copyFileSync(path, copy);
    const running = store(early + 1, early + later);
    for (const end of ends) copyFileSync(`${path}${end}`, `${copy}${end}`);
    running.close();
    for (const end of ['-wal', '-shm']) rmSync(`${path}${end}`, { force: true });
    for (const end of ['', ...ends]) copyFileSync(`${copy}${end}`, `${path}${end}`);
    const outbox = openSqliteOutbox(path, limits, { repair: true, reserve: true });
    onTestFinished(() => outbox.close());
    const kept = outbox.pending(0, 10_000);
    expect(kept.length).toBeGreaterThan(0);
    for (const { sequence, ...event } of kept) expect(event).toEqual(recordedEvent(sequence));
    const { stored, unreadable } = outbox.fates();
    expect([stored, unreadable]).toEqual([early + later, early + later - kept.length]);
    const named = outbox.gaps(100).flatMap(({ first, last }) => range(first, Math.min(last, early + later)));
    expect([...kept.map(({ sequence }) => sequence), ...named].sort((a, b) => a - b)).toEqual(range(1, early + later));
    expect(outbox.append(recordedEvent(9000))).toBe('stored');
    expect(outbox.newest()).toBeGreaterThan(early + later);
  },
);
