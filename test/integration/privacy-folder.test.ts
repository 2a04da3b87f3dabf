import { spawn } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import koffi from 'koffi';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { type Finding, runCheck } from '../../agent/cli/privacy/check.ts';
import type { Half, Machine } from '../../agent/cli/privacy/machine.ts';
import { manifestText, privacyManifest } from '../../agent/cli/privacy/manifest.ts';
import { startedMs } from '../../agent/cli/privacy/process.ts';
import { sensorChecks } from '../../agent/cli/privacy/sensor-checks.ts';
import { openTranslate } from '../../agent/cli/translate.ts';
import { checkConfig } from '../../agent/config/load-config.ts';
import { holdHalfLock } from '../../agent/outbox/half-lock.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { allowUser } from '../support/access-list.ts';
import { openOlderOutbox } from '../support/older-outbox.ts';
import { openPatient } from '../support/patient.ts';
import { limits } from '../support/samples.ts';

const without = process.getuid?.() === 0 ? undefined : 'needs root for a folder as the package makes it';

// The folder alone, with the agent's own code; for processes that hold it open see privacy-processes.test.ts.
describe.skipIf(without)(`privacy verify: files beside the outbox${without ? ` (left out: ${without})` : ''}`, () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tocsin-folder-'));
    path = join(folder, 'outbox.db');
    chmodSync(folder, 0o2770);
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  });
  const machine = (halves: object = { listener: 'down', courier: 'down' }) =>
    ({ config: checkConfig({ site: 'test', sensor: 'post-1', outbox: { path }, mqtt: { url: 'mqtt://localhost' } }, 'tocsin.yaml'), halves }) as Machine;
  const access = (halves?: object) => sensorChecks.find(({ id }) => id === 'access')?.run(machine(halves)) as Finding;

  /**
   * Creates every name that the agent makes: by repairs with their locks and the files they set aside, an interrupted
   * repair, the ballast, the locks of both processes, and the meter.
   */
  async function everyName(): Promise<void> {
    for (const times of [1, 2, 3]) {
      if (times > 1) writeFileSync(path, `noise ${times}`);
      const outbox = openPatient(path);
      outbox.newest();
      if (times < 3) outbox.close();
    }
    expect(readdirSync(folder)).toEqual(expect.arrayContaining(['outbox.db.lock', 'outbox.db.schema', 'outbox.db.damaged-1', 'outbox.db.damaged-2']));
    for (const end of ['', '-wal', '-shm', '-journal']) writeFileSync(`${path}.new${end}`, '', { mode: 0o660 });
    for (const half of ['listener', 'courier'] as const) holdHalfLock(path, half);
    const meter = createServer().listen(join(folder, 'meter.sock'));
    await new Promise((listening) => meter.once('listening', listening));
    onTestFinished(() => void meter.close());
    await expect.poll(() => existsSync(`${path}.ballast`)).toBe(true);
    writeFileSync(`${path}.damaged-2-wal`, 'noise', { mode: 0o660 });
    mkdirSync(join(folder, 'selftest-a1B2c3'), { mode: 0o700 });
    for (const end of ['', '-wal', '-shm']) writeFileSync(join(folder, 'selftest-a1B2c3', `outbox.db${end}`), '');
  }

  test('the manual command names both services when neither process runs, and no other process', () => {
    const check = sensorChecks.find(({ id }) => id === 'unchanged');
    expect(check?.byHand(machine())).toBe('systemctl status tocsin-listener tocsin-courier');
  });

  test('what is changed after the start of either half is found: settings, also behind a link, the model and the program', async () => {
    const [file, link, older] = [join(folder, 'file.yaml'), join(folder, 'tocsin.yaml'), join(folder, 'older.yaml')];
    const [model, program] = [join(folder, 'model', 'model.onnx'), join(folder, 'agent', 'main.ts')];
    for (const name of ['agent', 'model']) mkdirSync(join(folder, name));
    for (const name of [file, older, model, program]) writeFileSync(name, '');
    symlinkSync(file, link);
    const another = join(folder, 'another.yaml'); // a link to a file that is older
    symlinkSync(older, another);
    const half = (): Half => {
      const { pid = 0 } = spawn('sleep', ['60'], { stdio: 'ignore' });
      onTestFinished(() => void process.kill(pid, 'SIGKILL'));
      return { name: 'listener', pid, processes: [pid], hidden: false };
    };
    const place = { configPath: link, installation: folder, packageList: '/nowhere', config: { model: { path: join(folder, 'model') } } };
    const check = (listener: Half, courier: Half) =>
      sensorChecks.find(({ id }) => id === 'unchanged')?.run({ ...place, halves: { listener, courier } } as never);
    const changes: [string, () => void][] = [
      [link, () => writeFileSync(file, 'site: other')],
      [model, () => writeFileSync(model, 'other')],
      [program, () => writeFileSync(program, 'other')],
      [program, () => utimesSync(program, 0, 0)],
      [link, () => void renameSync(another, link)],
    ];
    for (const [what, change] of changes) {
      const first = half();
      await expect.poll(() => check(first, first)).toMatchObject({ state: 'pass' });
      await expect.poll(() => Date.now() - startedMs(first.pid)).toBeGreaterThan(300); // more than the start is known to
      change();
      const later = half();
      for (const both of [
        [first, first],
        [first, later],
        [later, first],
      ] as const)
        expect(check(...both)).toMatchObject({ state: 'fail', found: { values: { what } } });
      expect(check(later, later)).toMatchObject({ state: 'pass' });
    }
  });

  test('pass with every file that the agent makes, and those that repairs set aside are named', async () => {
    await everyName();
    expect(access()).toMatchObject({
      state: 'pass',
      found: { key: 'privacy.access.setAside', values: { what: expect.stringContaining('outbox.db.damaged-1') } },
    });
  });

  const plants: [string, () => void, RegExp][] = [
    ['recording.wav', () => writeFileSync(join(folder, 'recording.wav'), 'RIFF', { mode: 0o600 }), /^recording\.wav$/],
    ['a hidden file', () => writeFileSync(join(folder, '.recording'), 'RIFF', { mode: 0o600 }), /^\.recording$/],
    ['a name that begins like the outbox', () => writeFileSync(`${path}.damaged-1.wav`, 'RIFF', { mode: 0o600 }), /^outbox\.db\.damaged-1\.wav$/],
    ['a subfolder', () => mkdirSync(join(folder, 'archive')), /^archive$/],
    ['a damaged outbox with a number that no repair gives', () => writeFileSync(`${path}.damaged-007`, '', { mode: 0o600 }), /^outbox\.db\.damaged-007$/],
    ['a folder named like a damaged outbox', () => mkdirSync(`${path}.damaged-9`), /^outbox\.db\.damaged-9$/],
    ['a link named like the ballast', () => symlinkSync('/etc/hostname', `${path}.ballast`), /^outbox\.db\.ballast$/],
    ['a selftest folder that holds more than an outbox', () => plantTrial('sound.wav'), /^selftest-a1B2c3$/],
    ['a selftest folder that holds a folder', () => plantTrial('outbox.db', true), /^selftest-a1B2c3$/],
    ['a folder that begins like one of selftest', () => mkdirSync(join(folder, 'selftest-archive')), /^selftest-archive$/],
    ['another socket than that of the meter', () => void createServer().listen(join(folder, 'other.sock')).unref(), /^other\.sock$/],
    ['a folder that an access list opens to a person', () => allowUser(folder, 64_009), /tocsin-folder-/],
    ['lost+found that is not at the root of a file system', () => mkdirSync(join(folder, 'lost+found'), { mode: 0o700 }), /^lost\+found$/],
    ['a meter socket that is a file', () => writeFileSync(join(folder, 'meter.sock'), 'RIFF', { mode: 0o600 }), /^meter\.sock$/],
    [
      'a ballast that is not all zeros',
      () => writeFileSync(`${path}.ballast`, Buffer.concat([Buffer.alloc(5000), Buffer.from('x')]), { mode: 0o600 }),
      /\.ballast$/,
    ],
    ['a ballast that is too large', () => writeFileSync(`${path}.ballast`, Buffer.alloc(1_000_001), { mode: 0o600 }), /\.ballast$/],
    ['a schema note of another format', () => writeFileSync(`${path}.schema`, 'RIFF', { mode: 0o600 }), /\.schema$/],
    ['a schema note with trailing bytes', () => appendFileSync(`${path}.schema`, 'RIFF'), /\.schema$/],
    ['a schema note with a space', () => writeFileSync(`${path}.schema`, readFileSync(`${path}.schema`, 'utf8').replace('{', '{ ')), /\.schema$/],
    ['a schema note with pages of another outbox', () => writeFileSync(`${path}.schema`, readFileSync(noteOfAnother())), /\.schema$/],
    ...['lock', 'listener.lock', 'courier.lock'].map((end): (typeof plants)[number] => [
      `a ${end} that is not empty`,
      () => writeFileSync(`${path}.${end}`, 'RIFF', { mode: 0o600 }),
      new RegExp(`\\.${end}$`),
    ]),
    ['a folder that others may write to', () => chmodSync(folder, 0o2772), /tocsin-folder-/],
    ['an attribute of the outbox', () => setAttribute(path), /^outbox\.db \(user\.sound\)$/],
    ['an attribute of the folder', () => setAttribute(folder), /^user\.sound$/],
    ['a damaged outbox readable by others', () => writeFileSync(`${path}.damaged-1`, '', { mode: 0o604 }), /\.damaged-1$/],
  ];
  function setAttribute(place: string): void {
    const setxattr = koffi.load(null).func('int setxattr(const char *path, const char *name, const void *value, size_t size, int flags)');
    expect(setxattr(place, 'user.sound', 'RIFF', 4, 0)).toBe(0);
  }
  function noteOfAnother(): string {
    const other = join(mkdtempSync(join(tmpdir(), 'tocsin-folder-other-')), 'outbox.db');
    openOlderOutbox(other, 1).close();
    openSqliteOutbox(other, limits, { repair: true }).close();
    return `${other}.schema`;
  }
  function plantTrial(name: string, asFolder = false): void {
    const place = join(folder, 'selftest-a1B2c3', name);
    mkdirSync(asFolder ? place : join(place, '..'), { mode: 0o700, recursive: true });
    if (!asFolder) writeFileSync(place, '');
  }
  test.each(plants)('%s fails and is named', (_what, plant, name) => {
    openPatient(path).newest();
    rmSync(`${path}.ballast`, { force: true });
    expect(access().state).toBe('pass');
    plant();
    expect(access()).toMatchObject({ state: 'fail', found: { values: { what: expect.stringMatching(name) } } });
  });

  test('a file name with terminal control characters is shown escaped', () => {
    openPatient(path).newest();
    writeFileSync(join(folder, 'x\x1b[2A\r\nok'), '', { mode: 0o600 });
    expect(openTranslate('en').of(access().found)).toBe(`not made by the agent, in ${folder}: x?[2A??ok`);
    rmSync(join(folder, 'x\x1b[2A\r\nok'));
    writeFileSync(join(folder, 'outbox.db\u202eko'), '', { mode: 0o600 });
    expect(openTranslate('en').of(access().found)).toBe(`not made by the agent, in ${folder}: outbox.db?ko`);
    expect(openTranslate('fr')('privacy.program.exe', { exe: '/x\x1b[2A' })).toContain('/x?[2A');
  });

  test.each(['sound', 'outbox.db', 'outbox.db.lock'])('a file whose name begins with %s and is not UTF-8 fails', (name) => {
    openPatient(path).newest();
    expect(access().state).toBe('pass');
    writeFileSync(Buffer.concat([Buffer.from(join(folder, name)), Buffer.of(0xff)]), 'RIFF', { mode: 0o600 });
    expect(access()).toMatchObject({ state: 'fail', found: { key: 'privacy.access.strangers', values: { what: `${name}\ufffd` } } });
  });

  test('an outbox that another program locks is unchecked', () => {
    const outbox = openPatient(path);
    outbox.newest();
    outbox.close();
    const check = () => sensorChecks.find(({ id }) => id === 'outbox')?.run(machine());
    expect(check()).toMatchObject({ state: 'pass' });
    const other = new Database(path);
    onTestFinished(() => void other.close());
    other.pragma('locking_mode = EXCLUSIVE');
    other.exec('BEGIN EXCLUSIVE');
    expect(check()).toMatchObject({ state: 'unchecked', found: { key: 'privacy.outbox.locked' } });
  });

  test('an outbox of an earlier release is unchecked, and one that is none is no outbox that passes', async () => {
    const found = async () => (await runCheck(async () => (await sensorChecks.find(({ id }) => id === 'outbox')?.run(machine())) as Finding)).state;
    openOlderOutbox(path, 1).close();
    expect(await found()).toBe('unchecked');
    writeFileSync(path, 'RIFF'.repeat(5000));
    expect(await found()).toBe('fail');
  });

  test('settings that nobody has published, or not in their form, do not pass', async () => {
    const config = sensorChecks.find(({ id }) => id === 'config');
    const published = join(folder, 'published.json');
    const found = async () => (await config?.run({ ...machine(), publishedManifest: published }))?.found.key;
    expect(await config?.run({ ...machine(), publishedManifest: published })).toMatchObject({ state: 'unchecked', found: { key: 'privacy.config.none' } });
    for (const [content, key] of [
      ['{', 'unreadable'],
      ['null', 'differs'],
      ['[]', 'differs'],
    ]) {
      writeFileSync(published, content as string);
      expect(await found()).toBe(`privacy.config.${key}`);
    }
    writeFileSync(published, manifestText(privacyManifest(machine().config)));
    expect(await found()).toBe('privacy.config.ok');
  });

  test('a folder of selftest fails if it belongs to a user of one of the processes', () => {
    openPatient(path).newest();
    plantTrial('outbox.db');
    expect(access().state).toBe('pass');
    const ours: Half = { name: 'listener', pid: process.pid, processes: [process.pid], hidden: false };
    expect(access({ listener: ours, courier: 'down' })).toMatchObject({ state: 'fail', found: { values: { what: 'selftest-a1B2c3' } } });
  });

  test('in a folder shared with others, other files leave the check unchecked, unless a unit may write to the folder', () => {
    chmodSync(folder, 0o755);
    openPatient(path).newest();
    expect(access()).toMatchObject({ state: 'pass', found: { key: 'privacy.access.ok' } });
    writeFileSync(join(folder, 'letter.txt'), '');
    expect(access()).toMatchObject({ state: 'unchecked', found: { key: 'privacy.access.shared', values: { folder } } });
    // the same folder counts as the outbox's own if a unit may write to it
    const unit = { ReadWritePaths: `/var/lib/other ${folder}` };
    const half: Half = { name: 'listener', pid: process.pid, processes: [process.pid], hidden: false, unit };
    expect(access({ listener: half, courier: 'down' })).toMatchObject({ state: 'fail', found: { key: 'privacy.access.strangers' } });
  });
});
