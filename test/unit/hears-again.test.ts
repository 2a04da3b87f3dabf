import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { hearsAgain } from '../../agent/cli/commission/listener.ts';
import type { HearingRecord } from '../../agent/events/health.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { bootId, fixedClock, hearingRecord, limits } from '../support/samples.ts';

const otherBoot = 'ffffffff-7d3a-4f5b-9c8d-1e2f3a4b5c6d';

test.each<[string, Partial<HearingRecord>, boolean]>([
  ['it hears, after the stop', {}, true],
  ['it hears, before the stop', { writtenMonotonicMs: 60_000 }, false],
  ['it hears, in another boot', { bootId: otherBoot }, false],
  ['it is deaf', { state: 'deaf', fault: 'absent' }, false],
  ['it starts', { state: 'starting' }, false],
])('a listener that was stopped for a trial hears again if its last record says that %s: %#', async (_, change, hears) => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-listener-')), 'outbox.db');
  const outbox = openSqliteOutbox(path, limits);
  outbox.writeHearing(hearingRecord({ bootId, state: 'listening', fault: 'none', writtenMonotonicMs: 60_001, ...change }));
  outbox.close();
  let nowMs = 60_500;
  const stop = new AbortController();
  const clock = fixedClock({
    monotonicMs() {
      nowMs += 10_000;
      if (nowMs > 80_000) stop.abort(); // one look is enough
      return nowMs;
    },
  });
  expect(await hearsAgain(path, 60_000, clock, stop.signal)).toBe(hears);
});
