import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { systemClock } from '../../agent/lib/clock.ts';
import { placeFile } from '../../agent/lib/place-file.ts';
import { openSqliteOutbox } from '../../agent/outbox/sqlite-outbox.ts';
import { missing } from '../support/broker.ts';
import { openConnectedSensor } from '../support/connected-sensor.ts';
import { fakeArecord } from '../support/fake-arecord.ts';
import { startHalf } from '../support/half.ts';
import { validatorOf } from '../support/published-schema.ts';
import { hearingRecord, limits, longKept, recordedEvent } from '../support/samples.ts';
import { mount, mountAnew, mountExt4, run } from '../support/small-disk.ts';

const validate = validatorOf('health');

/** Starts the real listener and courier on an outbox in `folder`, with a broker and a subscriber. */
async function sensor(folder: string, microphone: object = {}) {
  const { path, seen, of } = await openConnectedSensor('closed', { microphone, outbox: { path: join(folder, 'outbox.db'), ...longKept } });
  const { env, set } = fakeArecord('sound');
  const start = (half: 'listen' | 'deliver') => startHalf(half, path, env);
  return { start, set, seen, status: () => of('status'), health: () => of('health'), events: () => of('event') };
}

async function until(condition: () => boolean, limitMs: number, what: string): Promise<number> {
  const began = performance.now();
  for (; !condition(); await new Promise((done) => setTimeout(done, 50)))
    if (performance.now() - began > limitMs) throw new Error(`waited in vain for ${what}`);
  return Math.round(performance.now() - began);
}

const noMounts = userInfo().uid !== 0 ? 'needs root to mount a small file system' : spawnSync('mount', ['--version']).error ? 'needs mount' : undefined;
describe.skipIf(noMounts)(`both processes on a disk that accepts no writes${noMounts ? ` (left out: ${noMounts})` : ''}`, () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tocsin-small-'));
    path = join(folder, 'outbox.db');
  });
  const small = () => {
    mount('-t', 'tmpfs', '-o', 'size=20m', 'tmpfs', folder);
    onTestFinished(() => void run('umount', '-l', folder));
  };
  /** Leaves an outbox with one event, as from an earlier listener of this boot. */
  const leave = () => {
    const { bootId, monotonicMs } = systemClock();
    const outbox = openSqliteOutbox(path, limits);
    outbox.append(recordedEvent(0));
    outbox.writeHearing(hearingRecord({ bootId, sinceMonotonicMs: 0, writtenMonotonicMs: monotonicMs() - 1000, state: 'stopped' }));
    outbox.close();
  };
  const fill = () => expect(run('dd', 'if=/dev/zero', `of=${folder}/fill`, 'bs=4k').stderr).toContain('No space');

  test('read-only from the start: events are held in memory, health reports the fault, and all is sent once the disk is writable', async () => {
    small();
    leave();
    mount('-o', 'remount,ro', folder);
    const { start, status, health, events } = await sensor(folder, { adapter: 'file', file: 'test/demo/scene.flac', sampleRateHz: 48000 });
    const courier = start('deliver');
    const listener = start('listen');
    const told = await until(() => health().length > 0, 15_000, 'health');
    expect(status().at(0)).toMatchObject({ state: 'online' });
    expect(health().at(0).outbox).toEqual({ faults: ['outbox_unwritable'] });
    await until(() => listener.said().includes('event held in memory'), 60_000, `an event; the listener said ${listener.said()}`);
    expect(events()).toEqual([]);
    mount('-o', 'remount,rw', folder);
    const sent = await until(() => events().length >= 2, 15_000, 'the events');
    expect(events().map((e) => e.data.sequence)).toEqual([1, 2]);
    await until(() => health().at(-1).outbox.faults.length === 0, 45_000, 'health without a fault');
    await until(() => health().at(-1).hearing.starts === 2, 10_000, 'the counts of the earlier listener');
    for (const half of [listener, courier]) await until(() => half.said().includes('"the lock is taken"'), 10_000, 'the lock');
    for (const message of health()) expect(validate(message), JSON.stringify(validate.errors)).toBe(true);
    courier.child.kill('SIGTERM');
    expect(await courier.ended).toBe(0);
    expect(await Promise.race([listener.ended, 'still hearing'])).toSatisfy((end) => end === 0 || end === 'still hearing');
    process.stdout.write(`read-only from the start: told after ${told} ms, all sent ${sent} ms after it was writable\n`);
  });

  test.each(['with', 'without'])(
    'full at the start, %s ballast: sound is heard, health reports the fault, and all recovers once there is space',
    async (ballast) => {
      small();
      leave();
      if (ballast === 'with') writeFileSync(`${path}.ballast`, Buffer.alloc(1_000_000));
      fill();
      const { start, status, health, events } = await sensor(folder);
      const courier = start('deliver');
      await until(() => health().length > 0, 15_000, 'health');
      expect(status().at(0)).toMatchObject({ state: 'online' });
      expect(health().at(0).outbox.faults).toEqual(['disk_full']);
      expect(existsSync(`${path}.ballast`)).toBe(false);
      const listener = start('listen');
      // without the ballast file there is space for new data
      const listening = () => health().at(-1).hearing.state === 'listening';
      if (ballast === 'with') await until(() => listening() && events().length === 1, 15_000, 'what the ballast makes room for');
      else await until(() => listener.said().includes('"hearing"'), 15_000, 'the listener to hear');
      rmSync(join(folder, 'fill'));
      await until(() => listening() && events().length === 1 && health().at(-1).outbox.faults.length === 0, 60_000, 'all to be well');
      expect(health().at(-1).hearing.starts).toBe(2);
      for (const message of health()) expect(validate(message), JSON.stringify(validate.errors)).toBe(true);
      for (const half of [listener, courier]) expect(half.child.exitCode).toBeNull();
    },
  );

  test('no free inode, but space: sound is heard, health reports the fault, and all is sent once a file can be created', async () => {
    mount('-t', 'tmpfs', '-o', 'size=20m,nr_inodes=20', 'tmpfs', folder);
    onTestFinished(() => void run('umount', '-l', folder));
    leave();
    for (let i = 0; readdirSync(folder).length === i + 1; i++) run('touch', join(folder, `fill-${i}`));
    const { start, health, events } = await sensor(folder);
    const halves = [start('deliver'), start('listen')];
    await until(() => health().length > 0 && halves.at(1)?.said().includes('"hearing"') === true, 30_000, 'health, and the listener to hear');
    expect(health().at(-1).outbox.faults).toEqual(['disk_full']);
    for (const name of readdirSync(folder).filter((name) => name.startsWith('fill'))) rmSync(join(folder, name));
    const well = () => health().at(-1).hearing.state === 'listening' && health().at(-1).outbox.faults.length === 0;
    await until(() => events().length === 1 && well(), 60_000, 'all to be well');
    for (const half of halves) expect(half.child.exitCode).toBeNull();
  });

  const withoutExt4 = missing('mkfs.ext4', 'e2fsck', 'losetup');
  test.skipIf(withoutExt4)(
    `read-only while neither process writes: health still reports the fault${withoutExt4 ? ` (left out: ${withoutExt4})` : ''}`,
    async () => {
      const image = mountExt4(folder);
      const { start, health } = await sensor(folder);
      const halves = [start('listen'), start('deliver')];
      await until(() => health().at(-1)?.hearing.state === 'listening', 30_000, 'the listener');
      expect(health().at(-1).outbox.faults).toEqual([]);
      run('mount', '-o', 'remount,abort', folder); // as ext4 does after errors of a card
      const told = await until(() => health().at(-1).outbox.faults.includes('outbox_unwritable'), 60_000, 'the fault');
      expect(health().at(-1).hearing.state).toBe('listening'); // the listener's next record is minutes away
      mountAnew(image, folder);
      const over = await until(() => health().at(-1).outbox.faults.length === 0, 60_000, 'the end of the fault');
      for (const half of halves) expect(half.child.exitCode).toBeNull();
      process.stdout.write(`turned read-only: told after ${told} ms, its end after ${over} ms\n`);
    },
  );

  test.skipIf(withoutExt4)(`read-only, then unplugged: health reports the listener as silent${withoutExt4 ? ` (left out: ${withoutExt4})` : ''}`, async () => {
    const image = mountExt4(folder);
    const { start, set, health } = await sensor(folder);
    const listener = start('listen');
    start('deliver');
    await until(() => health().at(-1)?.hearing.state === 'listening', 30_000, 'the listener');
    run('mount', '-o', 'remount,abort', folder);
    set('unplugged');
    await until(() => listener.said().includes('"not hearing'), 30_000, 'the listener to miss its microphone');
    // without this check the missing record would be noticed after 1,505 s
    const told = await until(() => health().at(-1).hearing.state === 'silent', 60_000, 'silence');
    set('sound');
    mountAnew(image, folder);
    await until(() => health().at(-1).hearing.state === 'listening', 60_000, 'the listener to be believed again');
    process.stdout.write(`unplugged on a disk that takes nothing: told as silent after ${told} ms\n`);
  });

  test('a file that does not fit completely does not replace the old one, and the error is thrown', () => {
    small();
    path = join(folder, 'certificate.pem');
    placeFile(path, 'old', 0o640);
    fill();
    truncateSync(join(folder, 'fill'), statSync(join(folder, 'fill')).size - 8192); // space for a part of the new file
    expect(() => placeFile(path, 'new '.repeat(4000), 0o640)).toThrow('ENOSPC');
    expect(readFileSync(path, 'utf8')).toBe('old');
    expect(readdirSync(folder).sort()).toEqual(['certificate.pem', 'fill']);
  });
});
