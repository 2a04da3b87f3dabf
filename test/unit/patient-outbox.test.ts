import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { openPatientOutbox } from '../../agent/outbox/patient-outbox.ts';
import { isDamage } from '../../agent/outbox/sqlite-database.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { limits, recordedEvent, silentLogger } from '../support/samples.ts';

// a card whose every commit takes 30 ms would keep the listener from everything else for half a minute, which is when its watchdog ends it
test('events that were held are stored for a second at a time, in order, and all of them at the end', () => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-held-')), 'outbox.db');
  let nowMs = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  let broken = true;
  const open = () => {
    if (broken) throw Object.assign(new Error('attempt to write a readonly database'), { code: 'SQLITE_READONLY' });
    const inner = openSqliteOutbox(path, limits);
    const { append } = inner;
    inner.append = (event) => {
      nowMs += 30;
      return append.call(inner, event);
    };
    return inner;
  };
  const outbox = openPatientOutbox({ path, open, isDamage, logger: silentLogger, retryMs: 1_000_000 });
  for (let i = 1; i <= 150; i++) expect(outbox.append(recordedEvent(i))).toBe('held');
  broken = false;
  expect(outbox.append(recordedEvent(151))).toBe('held');
  expect(outbox.fates().stored).toBe(34);
  expect(outbox.append(recordedEvent(152))).toBe('held');
  expect(outbox.fates().stored).toBe(68);
  outbox.close();
  const file = openSqliteOutbox(path, limits);
  expect(file.pending(0, 200).map((e) => e.onsetMonotonicMs / 60_000)).toEqual(Array.from({ length: 152 }, (_, i) => i + 1));
  file.close();
});
