// Power cuts and a full disk during the migration of an outbox of an older release.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { messageOf } from '../../agent/lib/errors.ts';
import type { Outbox } from '../../agent/outbox/outbox.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { missing } from '../support/broker.ts';
import { quarantined, range } from '../support/damaged-outbox.ts';
import { olderId, openOlderOutbox, versions } from '../support/older-outbox.ts';
import { seededRandom } from '../support/random.ts';
import { limits } from '../support/samples.ts';
import { mount, run } from '../support/small-disk.ts';
import { crashesOf, Disk, readTrace, writeFiles } from './crash-states.ts';

const older = range(1, versions - 1);
const gapsOf = (version: number) => (version >= 2 ? [{ first: 101, last: 110, reason: 'too_old' }] : []);

const reason = missing('gcc');
describe.skipIf(reason)(`power cuts during a migration${reason ? ` (left out: ${reason})` : ''}`, () => {
  const scratch = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'tocsin-upgrade-'));
  const recorder = join(scratch, 'record-writes.so');
  beforeAll(() => {
    expect(spawnSync('gcc', ['-O1', '-Wall', '-shared', '-fPIC', '-o', recorder, 'test/reliability/record-writes.c', '-ldl']).status).toBe(0);
    return () => rmSync(scratch, { recursive: true });
  });

  test.each(older)('from schema version %d keep every row, in the old or new schema', { timeout: 120_000 }, (version) => {
    const random = seededRandom(version);
    let states = 0;
    for (const left of ['closed', 'open']) {
      const [folder, trace] = [join(scratch, `${version}-${left}`), join(scratch, `${version}-${left}.trace`)];
      mkdirSync(folder);
      const env = { ...process.env, LD_PRELOAD: recorder, TOCSIN_WATCH: folder, TOCSIN_TRACE: trace };
      const args = ['test/reliability/upgrade-worker.ts', join(folder, 'outbox.db'), String(version), left];
      expect(spawnSync(process.execPath, args, { encoding: 'utf8', env })).toMatchObject({ status: 0, stderr: '' });
      const disk = new Disk();
      let isLaid = false;
      for (const change of readTrace(readFileSync(trace))) {
        isLaid ||= change.name === 'marks';
        if (change.name === 'marks') continue;
        disk.apply(change);
        if (!isLaid || random() > 0.3) continue;
        for (const { kind, files } of crashesOf(disk, random)) {
          const state = join(scratch, 'state');
          writeFiles(state, files);
          const outbox = openSqliteOutbox(join(state, 'outbox.db'), limits, { repair: true });
          const { stored, sent, expired, refused } = outbox.fates();
          const found = [outbox.id, outbox.pending(0, 1000).length, outbox.gaps(10), outbox.summaries(10).length, stored, sent, expired, refused];
          outbox.close();
          expect(found, kind).toEqual([olderId, 190, gapsOf(version), version >= 4 ? 3 : 0, 302, 102, 10, 7]);
          expect(quarantined(join(state, 'outbox.db')), kind).toEqual([]);
          states++;
        }
      }
    }
    expect(states).toBeGreaterThan(60);
  });
});

const noMounts = userInfo().uid !== 0 ? 'needs root to mount a small file system' : spawnSync('mount', ['--version']).error ? 'needs mount' : undefined;
test.skipIf(noMounts).each(older)(
  `on a full disk, the migration from version %d fails until there is enough space, and then keeps all${noMounts ? ` (left out: ${noMounts})` : ''}`,
  (version) => {
    const folder = mkdtempSync(join(tmpdir(), 'tocsin-full-'));
    mount('-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', folder);
    onTestFinished(() => void run('umount', '-l', folder));
    const [path, fill] = [join(folder, 'outbox.db'), join(folder, 'fill')];
    openOlderOutbox(path, version).close();
    expect(run('dd', 'if=/dev/zero', `of=${fill}`, 'bs=4k').stderr).toContain('No space');
    const refusals: string[] = [];
    let outbox: Outbox | undefined;
    while (!outbox) {
      try {
        outbox = openSqliteOutbox(path, limits, { repair: true });
      } catch (error) {
        refusals.push(messageOf(error));
        truncateSync(fill, statSync(fill).size - 4096);
      }
    }
    onTestFinished(outbox.close.bind(outbox));
    expect([outbox.id, outbox.pendingCount(), outbox.gaps(10), outbox.faults(), quarantined(path)]).toEqual([olderId, 190, gapsOf(version), ['disk_full'], []]);
    expect(refusals.at(-1)).toContain('database or disk is full');
  },
);
