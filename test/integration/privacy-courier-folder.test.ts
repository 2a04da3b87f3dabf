// A process in mounts of its own, as the unit of the courier gives them. That systemd makes them so is shown by test/system.
import { spawn } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { courierFolder } from '../../agent/cli/privacy/courier-folder.ts';
import { fileChecks } from '../../agent/cli/privacy/file-checks.ts';
import type { HalfName, Machine } from '../../agent/cli/privacy/machine.ts';
import { openCourierNotes } from '../../agent/delivery/courier-notes.ts';
import { missing } from '../support/broker.ts';
import { silentLogger } from '../support/samples.ts';

const without = missing('unshare', 'mount') ?? (process.getuid?.() === 0 ? undefined : 'needs root to mount');

/** All mounts are read-only but that of the outbox, which is /var/lib here, and that of the folder. */
const mounts = `mount -t tmpfs none /var/lib && mkdir ${courierFolder} && mount -t tmpfs -o mode=700 none ${courierFolder}
  awk '$5 !~ "^/var/lib" {print $5}' /proc/self/mountinfo | while read -r point; do mount -o remount,bind,ro "$point"; done
  touch /var/lib/ready`;

async function courierInItsMounts(work = 'exec sleep 60') {
  const child = spawn('unshare', ['-m', 'sh', '-c', `${mounts}; ${work}`], { stdio: 'ignore' });
  const pid = child.pid ?? 0;
  onTestFinished(() => void child.kill('SIGKILL'));
  await vi.waitFor(() => expect(existsSync(`/proc/${pid}/root/var/lib/ready`)).toBe(true), { timeout: 20_000 });
  const folder = `/proc/${pid}/root${courierFolder}`;
  const machine = { config: { outbox: { path: '/var/lib/outbox.db' }, meter: {} } } as Machine;
  const what = async (check: 'files' | 'writable', name: HalfName) => {
    const run = fileChecks.find(({ id }) => id === check)?.run;
    const finding = await run?.({ name, pid, processes: [pid], hidden: false }, machine);
    return { state: finding?.state, what: String(finding?.found.values.what).split(', ') };
  };
  return { folder, what };
}

describe.skipIf(without)(`the courier's folder${without ? ` (left out: ${without})` : ''}`, () => {
  test('may be written by the courier alone, and hold its notes alone', async () => {
    const { folder, what } = await courierInItsMounts();
    openCourierNotes(folder, silentLogger).change({ boots: [] });
    expect(await what('writable', 'courier')).toMatchObject({ state: 'pass' });
    expect(await what('writable', 'listener')).toEqual({ state: 'fail', what: [courierFolder] });
    const stranger = join(folder, 'sound.wav');
    writeFileSync(stranger, '');
    expect((await what('writable', 'courier')).what).toContain(`${courierFolder}/sound.wav`);
    rmSync(stranger);
    writeFileSync(join(folder, 'notes.json'), 'what was said');
    expect((await what('writable', 'courier')).what).toContain(`${courierFolder}/notes.json`);
  });

  test('notes that are being written are no strange file of the courier; of the listener they are, and so is another file', async () => {
    const opened = (name: string) => `exec sleep 60 9>${courierFolder}/${name}`;
    const writing = await courierInItsMounts(opened('notes.json.0b6f.tmp'));
    expect((await what(writing, 'courier')).state).toBe('pass');
    expect((await what(writing, 'listener')).state).toBe('fail');
    const other = await courierInItsMounts(opened('other'));
    expect((await what(other, 'courier')).what.join()).toContain(`${courierFolder}/other`);
  });
});

/** Once the shell has become the program, with the file open. */
function what(half: Awaited<ReturnType<typeof courierInItsMounts>>, name: HalfName) {
  return half.what('files', name);
}
