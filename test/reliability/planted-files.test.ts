// What one half, or whoever else may write there, puts in the place of the outbox and the files beside it: pipes,
// devices, links, files of gigabytes, and schemas that run something.
// The other half is a process of its own, which opens the outbox as `listen` does; that it hears meanwhile is not
// shown.
import { execFileSync, spawnSync } from 'node:child_process';
import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { beforeEach, expect, test } from 'vitest';
import { stringify } from 'yaml';
import type { Machine } from '../../agent/cli/privacy/machine.ts';
import { sensorChecks } from '../../agent/cli/privacy/sensor-checks.ts';
import { makingRoom } from '../../agent/outbox/quarantine.ts';
import { noteSchema } from '../../agent/outbox/schema-note.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { schemaOf, viewOutbox } from '../../agent/outbox/view-outbox.ts';
import { missing } from '../support/broker.ts';
import { overwrite, pageBytes } from '../support/damaged-outbox.ts';
import { limits, recordedEvent } from '../support/samples.ts';

let path: string;
beforeEach(() => {
  path = join(mkdtempSync(join(tmpdir(), 'tocsin-planted-')), 'outbox.db');
  const outbox = openSqliteOutbox(path, limits, { repair: true, reserve: true });
  outbox.append(recordedEvent(1));
  outbox.close();
});

const work = `
  import { openOutbox } from './agent/cli/run/half.ts';
  import { limits, recordedEvent, silentLogger } from './test/support/samples.ts';
  const outbox = openOutbox({ outbox: { path: process.argv[1], ...limits } }, silentLogger, { reserve: true });
  const fate = outbox.append(recordedEvent(2));
  console.log(JSON.stringify({ fate, faults: outbox.faults(), megabytes: process.resourceUsage().maxRSS / 1024 }));
  process.exit();
`;

/** What a half makes of an event; it is killed if it waits for ever. */
function half(): { fate: string; faults: string[]; megabytes: number } {
  const { stdout, signal } = spawnSync(process.execPath, ['--input-type=module', '-e', work, path], {
    timeout: 60_000,
    killSignal: 'SIGKILL',
    encoding: 'utf8',
  });
  expect(signal, 'that it had to be killed by').toBe(null);
  return JSON.parse(stdout);
}

function pipeAt(end: string): void {
  rmSync(path + end, { force: true });
  execFileSync('mkfifo', [path + end]);
}

test.each(['.schema', '.ballast', '.listener.lock'])('a pipe in the place of outbox.db%s keeps nobody waiting, and the event is stored', (end) => {
  pipeAt(end);
  expect(half().fate).toBe('stored');
});

test.each(['', '-wal', '-shm', '-journal'])('with a pipe in the place of outbox.db%s the event is held in memory, and that is told', (end) => {
  pipeAt(end);
  expect(half()).toMatchObject({ fate: 'held', faults: ['outbox_unwritable'] });
});

const commands = ['status', 'outbox', 'events', 'privacy verify'];
const told = { '': 'a pipe or a device', '-journal': 'a journal beside it (-journal) that is not its own' };
test.each(commands.flatMap((command) => [[command, ''] as const, [command, '-journal'] as const]))(
  'a command of a person ends: tocsin %s with a pipe in the place of outbox.db%s',
  (command, end) => {
    pipeAt(end);
    const config = join(dirname(path), 'tocsin.yaml');
    const privacy = { recordPath: join(dirname(path), 'verification.json') };
    writeFileSync(config, stringify({ site: 'a', sensor: 'b', mqtt: { url: 'mqtt://localhost' }, outbox: { path }, privacy }));
    const { signal, stdout, stderr } = spawnSync(process.execPath, ['agent/main.ts', ...command.split(' '), '-c', config], {
      timeout: 20_000,
      killSignal: 'SIGKILL',
      encoding: 'utf8',
    });
    expect(signal, 'that it had to be killed by').toBe(null);
    expect(stdout + stderr).toContain(command === 'privacy verify' ? 'FAIL       The file between listener and courier' : `got: ${told[end]}`);
  },
);

/** The rollback journal of a transaction on several files, beside one of so many pages: SQLite opens what it names. */
function journalThatNames(name: string, pages: number): Buffer {
  const magic = Buffer.from('d9d505f920a163d7', 'hex');
  const numbers = (...of: number[]) => Buffer.concat(of.map((number) => Buffer.from(number.toString(16).padStart(8, '0'), 'hex')));
  const header = Buffer.concat([magic, numbers(0, 1, pages, 512, 1024), Buffer.alloc(512 - 28)]);
  const bytes = Buffer.from(name);
  const sum = bytes.reduce((all, byte) => all + byte, 0);
  return Buffer.concat([header, numbers(2 ** 30 / 1024 + 1), bytes, numbers(bytes.length, sum), magic]);
}

test('a journal in the place of outbox.db-journal leads nobody to a pipe, and deletes no file elsewhere', () => {
  const elsewhere = join(mkdtempSync(join(tmpdir(), 'tocsin-elsewhere-')), 'file-mj000000900');
  const plant = () => writeFileSync(`${path}-journal`, journalThatNames(elsewhere, statSync(path).size / 1024));
  writeFileSync(elsewhere, 'x');
  plant();
  expect(half()).toMatchObject({ fate: 'held', faults: ['outbox_unwritable'] });
  expect(() => schemaOf(path)).toThrow('a journal beside it (-journal) that is not its own');
  expect(readFileSync(elsewhere, 'utf8')).toBe('x');
  rmSync(elsewhere);
  execFileSync('mkfifo', [elsewhere]);
  plant();
  expect(half().fate).toBe('held');
});

test.skipIf(missing('sqlite3'))('nor does the command that privacy verify prints for this check, typed by a person (needs sqlite3)', () => {
  const elsewhere = join(mkdtempSync(join(tmpdir(), 'tocsin-elsewhere-')), 'file-mj000000900');
  const check = sensorChecks.find(({ id }) => id === 'outbox');
  const typed = () =>
    execFileSync('bash', ['-c', check?.byHand({ config: { outbox: { path } } } as Machine).replaceAll('sudo ', '') ?? ''], { encoding: 'utf8' });
  expect(typed()).toMatch(/^[0-9a-f]{64} {2}-\nok\n$/);
  writeFileSync(elsewhere, 'x');
  writeFileSync(`${path}-journal`, journalThatNames(elsewhere, statSync(path).size / 1024));
  expect(typed()).toBe(`${path}-journal\n`);
  expect(readFileSync(elsewhere, 'utf8')).toBe('x');
});

test('a journal that a power cut left behind as the outbox was made keeps nobody from it', () => {
  for (const end of ['', '.schema']) rmSync(path + end);
  writeFileSync(path, '');
  writeFileSync(`${path}-journal`, journalThatNames('', 0).subarray(0, 512));
  expect(half()).toMatchObject({ fate: 'stored', faults: [] });
});

test.each(['-wal', '-shm', '.schema'])('outbox.db%s of 1 GB, or a device without end, does not fill the memory of a service', (end) => {
  writeFileSync(path + end, 'x');
  truncateSync(path + end, 1e9);
  expect(half().megabytes).toBeLessThan(300); // MemoryMax of the courier
  rmSync(path + end);
  symlinkSync('/dev/zero', path + end);
  expect(half().megabytes).toBeLessThan(300);
});

test('no ballast is laid where a link leads', () => {
  const elsewhere = join(mkdtempSync(join(tmpdir(), 'tocsin-elsewhere-')), 'file');
  rmSync(`${path}.ballast`, { force: true });
  symlinkSync(elsewhere, `${path}.ballast`);
  expect(half().fate).toBe('stored');
  expect(lstatSync(elsewhere, { throwIfNoEntry: false })).toBeUndefined();
});

test.each(['', '.new', '.lock'])('nothing is written where a link in the place of outbox.db%s leads: the event is held in memory, and that is told', (end) => {
  const elsewhere = join(mkdtempSync(join(tmpdir(), 'tocsin-elsewhere-')), 'file');
  const content = 'x'.repeat(5000);
  writeFileSync(elsewhere, content);
  if (end !== '') writeFileSync(path, content); // damaged: it has to be repaired
  rmSync(path + end, { force: true });
  symlinkSync(elsewhere, path + end);
  expect(half()).toMatchObject({ fate: 'held', faults: ['outbox_unwritable'] });
  expect(readFileSync(elsewhere, 'utf8')).toBe(content);
});

/** Changes the schema as a program can that keeps to no rule of it. */
function rewrite(change: (sql: string) => string, table: string): void {
  const db = new Database(path);
  db.unsafeMode(true);
  db.pragma('writable_schema = ON');
  const sql = db.prepare('SELECT sql FROM sqlite_master WHERE name = ?').pluck().get(table) as string;
  expect(change(sql)).not.toBe(sql);
  db.prepare('UPDATE sqlite_master SET sql = ? WHERE name = ?').run(change(sql), table);
  db.pragma(`schema_version = ${(db.pragma('schema_version', { simple: true }) as number) + 1}`);
  db.close();
}

const endless = 'WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c)';
test.each(['outbox', 'event', 'boot'])(
  'a view without end in the place of the table %s keeps nobody waiting: a new outbox takes the place of that file',
  (table) => {
    const db = new Database(path);
    db.exec(`ALTER TABLE ${table} RENAME TO former; CREATE VIEW ${table} AS ${endless} SELECT former.* FROM former, c WHERE n < 0`);
    db.close();
    expect(half()).toMatchObject({ fate: 'stored', faults: ['outbox_damaged'] });
  },
);

test('nor does such a view in the note from which a damaged schema is put back', () => {
  const db = new Database(path);
  db.exec(`ALTER TABLE outbox RENAME TO former; CREATE VIEW outbox AS ${endless} SELECT former.* FROM former, c WHERE n < 0`);
  const [version, changes] = ['user_version', 'schema_version'].map((of) => db.pragma(of, { simple: true }) as number) as [number, number];
  const pages = db.prepare("SELECT pageno FROM dbstat WHERE name = 'sqlite_schema' ORDER BY pageno").pluck().all() as number[];
  db.close();
  rmSync(`${path}.schema`);
  noteSchema(path, { outbox: '0123456789abcdef', version, changes, pages });
  overwrite(path, (pages[1] as number) * pageBytes - pageBytes, pageBytes, () => 0);
  expect(half()).toMatchObject({ fate: 'stored', faults: ['outbox_damaged'] });
});

test('a constraint that takes 400 MB to check is not checked: the events go on in a new file', () => {
  rewrite((sql) => sql.replace('CHECK (sequence BETWEEN 1 AND 1000000000000)', 'CHECK (length(zeroblob(400000000) || sequence) > 0)'), 'event');
  const { fate, faults, megabytes } = half();
  expect([fate, faults]).toEqual(['stored', ['outbox_damaged']]);
  expect(megabytes).toBeLessThan(300);
  const view = viewOutbox(path);
  expect(view.pending(0, 10).map(({ onsetMonotonicMs }) => onsetMonotonicMs)).toEqual([1, 2].map((i) => recordedEvent(i).onsetMonotonicMs));
  view.close();
});

test('a column that takes 400 MB to read is not read', () => {
  rewrite((sql) => sql.replace(/\)[^)]*$/, ', g TEXT NOT NULL GENERATED ALWAYS AS (zeroblob(400000000) || boot_id) VIRTUAL)'), 'boot');
  const { fate, megabytes } = half();
  expect(fate).toBe('stored');
  expect(megabytes).toBeLessThan(300);
});

test('nothing of a file without the bounds of the schema is shown to a person: its text could be anything', () => {
  const bounds = / CHECK \(length\(name\).*\)(?=,\n {2}version)/;
  rewrite((sql) => sql.replace(bounds, ''), 'model');
  const db = new Database(path);
  db.exec("UPDATE model SET name = char(27) || '[31m'");
  expect(db.pragma('integrity_check', { simple: true })).toBe('ok');
  db.close();
  expect(() => viewOutbox(path)).toThrow('its schema is not one of a release');
  expect(schemaOf(path).sound).toBe(false);
});

test('a schema that is changed while a person looks shows nothing and runs nothing: `events --follow` looks for hours', () => {
  const view = viewOutbox(path);
  expect(view.pending(0, 10)).toHaveLength(1);
  const db = new Database(path);
  db.exec('ALTER TABLE label RENAME TO former; CREATE VIEW label AS SELECT id, char(27) AS name FROM former');
  db.close();
  const looks = [() => view.pending(0, 10), () => view.state(), () => view.lastSequence(), () => view.listeningDays()];
  for (const look of looks) expect(look).toThrow('its schema was changed');
  view.close();
  expect(() => viewOutbox(path)).toThrow('its schema is not one of a release');
});

test('a file with a number that no repair gives is not taken for a damaged one: on a full disk its deletion would be tried for ever', () => {
  for (const number of ['2', '007', '99999999999999999999']) writeFileSync(`${path}.damaged-${number}`, '');
  let tried = 0;
  const work = () => {
    throw Object.assign(new Error(++tried > 3 ? 'tried for ever' : 'full'), { code: tried > 3 ? 'EIO' : 'ENOSPC' });
  };
  expect(() => makingRoom(path, work)).toThrow('full');
  expect(readdirSync(dirname(path)).filter((name) => name.includes('damaged'))).toEqual(['outbox.db.damaged-007', 'outbox.db.damaged-99999999999999999999']);
});
