import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, onTestFinished, test } from 'vitest';
import { openPatientOutbox } from '../../agent/outbox/patient-outbox.ts';
import { isDamage } from '../../agent/outbox/sqlite.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { limits, silentLogger } from '../support/samples.ts';

const here = process.cwd();

/** A process that stores an event for each input line, as a listener does, and prints its fate. */
function startListener(path: string) {
  const script = `import { createInterface } from 'node:readline';
    import { openPatientOutbox } from '${here}/agent/outbox/patient-outbox.ts';
    import { isDamage } from '${here}/agent/outbox/sqlite.ts';
    import { openSqliteOutbox } from '${here}/agent/outbox/sqlite-outbox.ts';
    import { limits, recordedEvent, silentLogger as logger } from '${here}/test/support/samples.ts';
    const open = () => openSqliteOutbox('${path}', limits, { repair: true, reserve: true });
    const outbox = openPatientOutbox({ path: '${path}', open, isDamage, logger });
    for await (const line of createInterface(process.stdin)) console.log(outbox.append(recordedEvent(Number(line))));
    outbox.close();`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  return {
    async store(from: number, to: number) {
      for (let i = from; i <= to; i++) {
        child.stdin.write(`${i}\n`);
        expect((await lines.next()).value).toBe('stored');
      }
    },
    async stop() {
      child.stdin.end();
      await once(child, 'close');
    },
  };
}

const open = (path: string) => {
  const openInner = () => openSqliteOutbox(path, limits, { repair: true, listenerRuns: () => true });
  return openPatientOutbox({ path, open: openInner, isDamage, logger: silentLogger });
};

test.each(['-wal', '-shm', '-wal and -shm'])('deleting %s under both running processes loses no event, also after a restart', async (ends) => {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-log-')), 'outbox.db');
  const listener = startListener(path);
  await listener.store(1, 5);
  let courier = open(path);
  onTestFinished(() => courier.close());
  const onsets = () => courier.pending(0, 100).map(({ onsetMonotonicMs }) => onsetMonotonicMs);
  expect(onsets()).toHaveLength(5);
  courier.acknowledge([1]);
  for (const end of ends.split(' and ')) rmSync(path + end);
  await listener.store(6, 8);
  expect(new Set(onsets()).size).toBe(7);
  courier.close();
  courier = open(path);
  courier.acknowledge([2]);
  await listener.store(9, 10);
  expect(new Set(onsets()).size).toBe(8);
  await listener.stop();
  courier.close();
  courier = open(path);
  expect(new Set(onsets()).size).toBe(8);
  expect(courier.fates()).toMatchObject({ stored: 10, sent: 2, unreadable: 0 });
  expect(courier.faults()).toEqual([]);
});
