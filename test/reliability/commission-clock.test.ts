// A real `commission` that goes on after a stop, on a board whose clock has jumped meanwhile (libfaketime, root).
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir, uptime } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { version } from '../../agent/cli/command.ts';
import { openProgress } from '../../agent/cli/commission/progress.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { freePort, missing } from '../support/broker.ts';
import { openAuthority } from '../support/certificates.ts';
import { bootId, fixedClock, limits } from '../support/samples.ts';
import { shiftedBoard, withoutShiftedClock } from '../support/shifted-clock.ts';

const without = withoutShiftedClock() ?? missing('openssl');
test.skipIf(without).each([
  ['stands', 0, true],
  ['has jumped', (uptime() * 1000) / 2, false],
])(
  `the report of a commissioning that went on after a stop says whether the clock is right: it %s${without ? ` (left out: ${without})` : ''}`,
  async (_, ms, right) => {
    const folder = mkdtempSync(join(tmpdir(), 'tocsin-commission-'));
    const [path, file] = [join(folder, 'outbox.db'), join(folder, 'tocsin.yaml')];
    const { cert, key } = openAuthority(folder, 'ca').issue('post-1', 10);
    const mqtt = { url: `mqtts://127.0.0.1:${await freePort()}`, certFile: cert, keyFile: key };
    writeFileSync(
      file,
      stringify({ site: 'a', sensor: 'post-1', microphone: { adapter: 'file', file: resolve('deploy/selftest.wav') }, outbox: { path }, mqtt }),
    );
    const outbox = openSqliteOutbox(path, limits);
    outbox.noteBoot(bootId, Date.now() - uptime() * 1000); // as either half did, before the jump
    outbox.close();
    const digest = createHash('sha256').update(readFileSync(file)).digest('hex');
    openProgress(folder, 'post-1', digest, version, fixedClock({ bootId, monotonicMs: () => uptime() * 1000 })).keep({ doctor: [] });
    const board = shiftedBoard(bootId);
    board.synchronise();
    board.shift(ms);
    const { stdout } = board.run('commission', '-c', file, '--out', folder, '--no-microphone', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ doctor: [], clockSynchronised: right });
  },
);
