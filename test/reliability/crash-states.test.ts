import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { missing } from '../support/broker.ts';
import { seededRandom } from '../support/random.ts';
import { limits, recordedEvent } from '../support/samples.ts';
import { type Change, crashesOf, Disk, type Files, readTrace, writeFiles } from './crash-states.ts';

// More states: TOCSIN_STATES=50000 npx vitest run test/reliability/crash-states.test.ts
const wanted = Number(process.env.TOCSIN_STATES ?? 2500);
const reason = missing('gcc');
const scratch = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'tocsin-crash-'));

/** Runs the worker under the recorder and returns all its changes in order. */
function record(name: string, events: number, plant?: string): Change[] {
  const folder = join(scratch, name);
  const trace = join(scratch, `${name}.trace`);
  mkdirSync(folder);
  const { status, stderr } = spawnSync(process.execPath, ['test/reliability/crash-worker.ts', folder, String(events), ...(plant ? [plant] : [])], {
    env: { ...process.env, LD_PRELOAD: join(scratch, 'record-writes.so'), TOCSIN_WATCH: folder, TOCSIN_TRACE: trace },
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return readTrace(readFileSync(trace));
}

interface Expected {
  /** Index of the event by sequence number: `append` has returned. */
  readonly appended: Map<number, number>;
  readonly begun: Set<number>;
  readonly acknowledged: Set<number>;
  readonly acknowledging: Set<number>;
}

/** Checks the outbox found in this state against what had returned to its caller. */
function judge(folder: string, expected: Expected): { lost: number; corrupt: number; resurrected: number } {
  const verdict = { lost: 0, corrupt: 0, resurrected: 0 };
  let outbox: ReturnType<typeof openSqliteOutbox>;
  try {
    outbox = openSqliteOutbox(join(folder, 'outbox.db'), limits, { repair: true, reserve: true });
  } catch {
    return { ...verdict, corrupt: 1 };
  }
  const pending = outbox.pending(0, 10_000);
  const found = new Set(pending.map((e) => e.sequence));
  for (const sequence of expected.appended.keys()) if (!found.has(sequence) && !expected.acknowledging.has(sequence)) verdict.lost++;
  for (const { sequence, ...event } of pending) {
    if (expected.acknowledged.has(sequence)) verdict.resurrected++;
    const index = expected.appended.get(sequence);
    if (index === undefined ? !expected.begun.has(sequence) : !isDeepStrictEqual(event, recordedEvent(index))) verdict.corrupt++;
  }
  // a power cut alone causes no gap
  if (outbox.gaps(10).length > 0) verdict.corrupt++;
  const { stored, sent, expired } = outbox.fates();
  if (stored !== pending.length + sent + expired) verdict.corrupt++;
  // a sequence number is never used twice
  outbox.append(recordedEvent(100_000));
  const newest = outbox.pending(0, 10_000).at(-1)?.sequence ?? 0;
  if (newest <= Math.max(0, ...expected.appended.keys())) verdict.corrupt++;
  outbox.close();
  if (readdirSync(folder).some((name) => name.includes('damaged'))) verdict.corrupt++;
  return verdict;
}

/** Replays crashes along the whole trace. Returns the number of states opened and what was wrong with them. */
function replay(changes: Change[], states: number) {
  const random = seededRandom(7);
  const disk = new Disk();
  const expected = { appended: new Map<number, number>(), begun: new Set<number>(), acknowledged: new Set<number>(), acknowledging: new Set<number>() };
  const total = { states: 0, distinct: 0, lost: 0, corrupt: 0, resurrected: 0, kinds: {} as Record<string, number>, wrong: [] as string[] };
  const seen = new Set<string>();
  const points = changes.filter((c) => c.name !== 'marks' && c.op !== 'S').length;
  const share = states / (points * 4);
  changes.forEach((change, index) => {
    if (change.name === 'marks') {
      if (change.op === 'W') note(expected, JSON.parse(change.data.toString('utf8')));
      return;
    }
    disk.apply(change);
    const beginsLog = change.op === 'W' && change.name === 'outbox.db-wal' && change.offset === 0;
    if (random() > share && !beginsLog) return;
    for (const { kind, files } of crashesOf(disk, random)) {
      const folder = join(scratch, 'state');
      writeFiles(folder, files);
      const { lost, corrupt, resurrected } = judge(folder, expected);
      total.states++;
      total.kinds[kind] = (total.kinds[kind] ?? 0) + 1;
      total.lost += lost;
      total.corrupt += corrupt;
      total.resurrected += resurrected;
      if (lost + corrupt + resurrected > 0) total.wrong.push(`${kind} after change ${index}: ${JSON.stringify({ lost, corrupt, resurrected })}`);
      const digest = digestOf(files);
      if (!seen.has(digest)) total.distinct++;
      seen.add(digest);
    }
  });
  return total;
}

type Mark = { append: number; index: number; state: string } | { acknowledge: number[]; state: string };
function note(expected: Expected, mark: Mark): void {
  if ('append' in mark) {
    if (mark.state === 'begun') expected.begun.add(mark.append);
    else expected.appended.set(mark.append, mark.index);
  } else for (const sequence of mark.acknowledge) (mark.state === 'begun' ? expected.acknowledging : expected.acknowledged).add(sequence);
}

function digestOf(files: Files): string {
  const hash = createHash('sha1');
  for (const [name, data] of [...files].sort(([a], [b]) => (a < b ? -1 : 1))) hash.update(`${name} ${data.length} `).update(data);
  return hash.digest('hex');
}

describe.skipIf(reason)(`replayed power cuts${reason ? ` (left out: ${reason})` : ''}`, () => {
  beforeAll(() => {
    const { status, stderr } = spawnSync(
      'gcc',
      ['-O1', '-Wall', '-shared', '-fPIC', '-o', join(scratch, 'record-writes.so'), 'test/reliability/record-writes.c', '-ldl'],
      {
        encoding: 'utf8',
      },
    );
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });

  test(`no stored event is lost and no acknowledged event comes back, in ${wanted} states`, { timeout: 600_000 }, () => {
    const changes = record('full', 420);
    // the trace must contain the creation of the file, commits and checkpoints
    expect(changes.filter((c) => c.op === 'S' && c.name.endsWith('-wal')).length).toBeGreaterThan(420);
    expect(changes.filter((c) => c.op === 'S' && c.name === 'outbox.db').length).toBeGreaterThan(2);
    expect(changes.filter((c) => c.op === 'W' && c.name === 'outbox.db-wal' && c.data.every((byte) => byte === 0)).length).toBeGreaterThan(5);
    const { wrong, ...total } = replay(changes, wanted * 1.2);
    process.stdout.write(`crash states: ${JSON.stringify(total)}\n`);
    expect(wrong).toEqual([]);
    expect(total.states).toBeGreaterThanOrEqual(wanted);
    expect(total.distinct).toBeGreaterThan(wanted / 3);
    expect(Object.values(total.kinds).every((count) => count > wanted / 20)).toBe(true);
  });

  test('with synchronous=NORMAL the same harness finds lost events and events that come back', { timeout: 600_000 }, () => {
    const total = replay(record('normal', 420, 'normal'), 600);
    process.stdout.write(`crash states with synchronous=NORMAL: ${JSON.stringify({ ...total, wrong: total.wrong.length })}\n`);
    expect(total.lost).toBeGreaterThan(0);
    expect(total.resurrected).toBeGreaterThan(0);
  });
});
