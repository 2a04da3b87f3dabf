// Where `selftest` and `commission` store the event of the test sound for a moment.
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { store } from '../../agent/cli/selftest/chain.ts';
import type { Config } from '../../agent/config/schema.ts';
import { fixedClock, limits, recordedEvent } from '../support/samples.ts';

const noRoot = process.geteuid?.() === 0 ? '' : 'needs root';

/** What lies in the folder of the outbox and in that of the verification while the event is stored, and afterwards. */
async function stored(recordMode: number) {
  const home = mkdtempSync(join(tmpdir(), 'tocsin-trial-'));
  onTestFinished(() => rmSync(home, { recursive: true, force: true }));
  const [data, record] = [join(home, 'data'), join(home, 'record')];
  for (const folder of [data, record]) mkdirSync(folder);
  chmodSync(record, recordMode);
  const look = () => [data, record].map((folder) => readdirSync(folder).map((name) => name.replace(/-\w{6}$/, '')));
  let during: string[][] = [];
  const clock = fixedClock();
  const now = () => {
    during = look();
    return clock.now();
  };
  const config = { site: 'a', sensor: 'b', outbox: { path: join(data, 'outbox.db'), ...limits }, mqtt: { historicalAfterSeconds: 60 } };
  const privacy = { recordPath: join(record, 'verification.json') };
  const recognised = { recorded: recordedEvent(1) } as Parameters<typeof store>[0];
  await store(recognised, { ...config, privacy } as Config, { ...clock, now });
  return { during, after: look() };
}

test.skipIf(noRoot)(`root stores it where no half can put a link in its place${noRoot ? ` (left out: ${noRoot})` : ''}`, async () => {
  expect(await stored(0o755)).toEqual({ during: [[], ['selftest']], after: [[], []] });
});

test('where others may write to the folder of the verification as well, it is stored beside the outbox', async () => {
  expect(await stored(0o775)).toEqual({ during: [['selftest'], []], after: [[], []] });
});
