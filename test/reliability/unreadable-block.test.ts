import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { openLock } from '../../agent/outbox/sqlite-database.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { layBacklog } from '../support/backlog.ts';
import { missing } from '../support/broker.ts';
import { soon } from '../support/courier.ts';
import { leaveOutbox, pageBytes, pagesOf, range } from '../support/damaged-outbox.ts';
import { fakeArecord } from '../support/fake-arecord.ts';
import { openScriptedBroker } from '../support/faults.ts';
import { startHalf } from '../support/half.ts';
import { limits, longKept, recordedEvent } from '../support/samples.ts';

const events = 4000;
const blockBytes = 4096; // of a file system
const reason = missing('gcc');
describe.skipIf(reason)(`an unreadable block of the outbox (EIO)${reason ? ` (left out: ${reason})` : ''}`, () => {
  let path: string;
  const at = (name: string) => join(dirname(path), name);
  const damagedFiles = () => readdirSync(dirname(path)).filter((name) => /damaged-\d+$/.test(name));
  const fail = (first: number, file = path, bytes = blockBytes, how = '') =>
    writeFileSync(at('failing'), `${statSync(file).ino} ${first} ${first + bytes - 1}${how}`);
  /** The start of the block that contains one of the last pages of the schema, counted from the end. */
  const startOf = (last: number, bytes = blockBytes) => {
    const schema = [...pagesOf(path).entries()].flatMap(([page, { table }]) => (table === 'sqlite_schema' ? [page] : []));
    return Math.floor(((schema.at(-last) as number) * pageBytes) / bytes) * bytes;
  };
  beforeEach(() => {
    path = join(mkdtempSync(join(tmpdir(), 'tocsin-block-')), 'outbox.db');
    execFileSync('gcc', ['-shared', '-fPIC', '-O1', '-o', at('fail-reads.so'), 'test/reliability/fail-reads.c', '-ldl']);
    openSqliteOutbox(path, limits, { repair: true }).close();
    layBacklog(path, events, recordedEvent);
  });

  /** Starts the real courier and listener, and collects what a broker receives, at 800 messages a second. */
  async function sensor(which: readonly ('deliver' | 'listen')[] = ['deliver', 'listen']) {
    const seen: { topic: string; message: ReturnType<typeof JSON.parse> }[] = [];
    const puback = (topic: string, payload: string) => {
      seen.push({ topic, message: JSON.parse(payload) });
      return 0;
    };
    const broker = await openScriptedBroker({ puback, receiveMaximum: 16 });
    onTestFinished(broker.close);
    const config = at('tocsin.yaml');
    writeFileSync(config, stringify({ site: 'test', sensor: 'post-1', outbox: { path, ...longKept }, mqtt: { url: broker.url } }));
    const env = { ...fakeArecord('sound').env, LD_PRELOAD: at('fail-reads.so'), TOCSIN_FAIL_AT: at('failing') };
    const halves = which.map((half) => startHalf(half, config, env));
    const of = (kind: string) => seen.filter(({ topic }) => topic.endsWith(`/${kind}`)).map(({ message }) => message);
    return {
      of,
      numbers: () => of('event').map(({ data }) => data.sequence),
      async isToldOverOneConnection() {
        await soon(() => expect(of('health').at(-1)).toMatchObject({ hearing: { state: 'listening' }, outbox: { faults: ['outbox_damaged'] } }));
        expect(damagedFiles()).toEqual(['outbox.db.damaged-1']);
        expect(broker.connections()).toBe(1);
        for (const half of halves) expect(half.child.exitCode).toBeNull();
      },
    };
  }

  test.each(['from the start', 'while its events are sent'])(
    '%s: both processes continue, the platform is informed, and every other event is sent',
    async (when) => {
      const pages = pagesOf(path);
      const first = Math.floor(pages.findIndex((page) => page.events.some(({ sequence }) => sequence === 3500)) / 4) * 4;
      const lost = pages.slice(first, first + blockBytes / pageBytes).flatMap((page) => page.events.map(({ sequence }) => sequence));
      expect(lost.length).toBeGreaterThan(50);
      if (when === 'from the start') fail(first * pageBytes);
      const { numbers, of, isToldOverOneConnection } = await sensor();
      await soon(() => expect(numbers().length).toBeGreaterThan(100));
      if (when !== 'from the start') {
        fail(first * pageBytes);
        expect(numbers().length, 'it has the rest still to read').toBeLessThan(2500);
        const other = openSqliteOutbox(path, limits); // what another process changes is read again
        other.noteBoot('1b6f1c2e-7d3a-4f5b-9c8d-1e2f3a4b5c6d', 0);
        other.close();
      }
      await soon(() => expect(new Set(numbers())).toEqual(new Set(range(1, events).filter((number) => !lost.includes(number)))));
      await isToldOverOneConnection();
      const isInGap = (number: number) => of('gap').some((gap) => gap.first <= number && number <= gap.last);
      await soon(() => expect(lost.filter((number) => !isInGap(number))).toEqual([]));
      process.stdout.write(`a block that cannot be read, ${when}: ${lost.length} events lost, ${numbers().length} sent\n`);
    },
  );

  test('for a moment, six reads of the courier long: nothing is set aside, and every event is sent', async () => {
    const first = pagesOf(path).findIndex((page) => page.events.some(({ sequence }) => sequence === 3500));
    fail(Math.floor(first / 4) * blockBytes, path, blockBytes, ' 6');
    const { numbers, of } = await sensor(['deliver']); // it waits for the last two or three, 100 ms each, of a second at most
    await soon(() => expect(numbers().length).toBe(events));
    expect(readFileSync(at('failing'), 'utf8'), 'all six have failed').toBe('');
    expect(new Set(numbers())).toEqual(new Set(range(1, events)));
    expect(of('gap')).toEqual([]);
    expect(damagedFiles()).toEqual([]);
  });

  test('while the other half repairs it: nobody waits for the block, since a listener that waits hears nothing', () => {
    writeFileSync(`${path}.new`, '');
    const lock = openLock(`${path}.lock`);
    onTestFinished(() => void lock.close());
    lock.exec('BEGIN EXCLUSIVE');
    fail(0, path, blockBytes, ' 100');
    const open = `(await import('./agent/outbox/sqlite-outbox.ts')).openSqliteOutbox(process.argv[1], ${JSON.stringify(limits)}, { repair: true })`;
    const env = { ...process.env, LD_PRELOAD: at('fail-reads.so'), TOCSIN_FAIL_AT: at('failing') };
    const { stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', open, path], { env, encoding: 'utf8' });
    expect(stderr).toMatch(/database is locked/);
    expect(readFileSync(at('failing'), 'utf8'), 'no read has failed').toMatch(/ 100$/);
  });

  test('in the log after a power cut: the main file is kept under the same id', async () => {
    rmSync(path);
    const id = leaveOutbox(path);
    fail(40_960, `${path}-wal`);
    await (await sensor()).isToldOverOneConnection();
    expect(statSync(at('outbox.db.damaged-1-wal')).size).toBeGreaterThan(100_000);
    const outbox = openSqliteOutbox(path, limits);
    expect(outbox.id).toBe(id);
    expect(outbox.newest()).toBeGreaterThan(100_000);
    outbox.close();
  });

  test.each([
    ['its last page', 1, blockBytes],
    ['its third last page', 3, blockBytes],
    ['its last page, with readable pages beside it', 1, pageBytes],
  ])('in the schema, %s: the block is written again, and every readable event is sent', async (_, last, bytes) => {
    const db = new Database(path, { readonly: true });
    const id = db.prepare('SELECT id FROM outbox').pluck().get();
    db.close();
    const first = startOf(last, bytes);
    const stood = pagesOf(path).slice(first / pageBytes, (first + bytes) / pageBytes);
    const lost = stood.flatMap(({ events }) => events.map(({ sequence }) => sequence));
    fail(first, path, bytes);
    const { numbers, of, isToldOverOneConnection } = await sensor();
    await soon(() => expect(new Set(numbers())).toEqual(new Set(range(1, events).filter((number) => !lost.includes(number)))));
    if (bytes === blockBytes) await isToldOverOneConnection();
    expect(new Set(of('event').map((event) => event.id.split('-')[0]))).toEqual(new Set([id]));
  });

  test('in the schema and not writable: a new outbox replaces it, and the platform is informed', async () => {
    fail(startOf(1), path, blockBytes, ' for-good');
    await (await sensor()).isToldOverOneConnection();
  });

  test('at the start of the file: a new outbox replaces it, and the platform is informed', async () => {
    fail(0);
    await (await sensor()).isToldOverOneConnection();
  });
});
