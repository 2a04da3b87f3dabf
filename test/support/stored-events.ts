import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { systemClock } from '../../agent/lib/clock.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { limits, recordedEvent } from './samples.ts';

/** A configuration and an outbox with this many events, ten minutes old and one second apart, in a separate folder. */
export function sensor(events: number) {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-state-'));
  const path = join(folder, 'tocsin.yaml');
  const db = join(folder, 'outbox.db');
  writeFileSync(path, stringify({ site: 'old-port', sensor: 'lamp-post-12', outbox: { path: db }, mqtt: { url: 'mqtt://127.0.0.1:1' } }));
  const outbox = openSqliteOutbox(db, limits);
  const { bootId, wallMs, monotonicMs } = systemClock();
  for (let i = 0; i < events; i++) {
    const ago = 600_000 - i * 1000;
    const onset = { bootId, onsetWallMs: wallMs() - ago, onsetMonotonicMs: monotonicMs() - ago };
    outbox.append(recordedEvent(i, { ...onset, label: i % 2 ? 'shout' : 'glass_break', soundPressureLevelDb: 81 }));
  }
  return { folder, path, db, outbox };
}
