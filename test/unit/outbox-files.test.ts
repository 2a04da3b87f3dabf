import { chmodSync, existsSync, mkdtempSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { awaitReadable, pieceBytes } from '../../agent/outbox/beside.ts';
import { createFile } from '../../agent/outbox/files.ts';

const faults = vi.hoisted(() => ({ fchmod: false, late: false }));
vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>();
  return {
    ...fs,
    fchmodSync(file: number, mode: number) {
      if (faults.fchmod) throw Object.assign(new Error('EIO: i/o error, fchmod'), { code: 'EIO' });
      fs.fchmodSync(file, mode);
    },
    statSync: (path: string, options?: { throwIfNoEntry: false }) => (faults.late && options ? undefined : fs.statSync(path, options)),
  };
});

/** The path of a file in a folder that the two halves share. */
function shared(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-files-'));
  chmodSync(folder, 0o2770);
  return join(folder, 'outbox.db');
}

test('a file whose mode cannot be set leaves neither a descriptor nor a file that only one half may open', () => {
  const path = shared();
  const open = () => readdirSync('/proc/self/fd').length;
  const before = open();
  faults.fchmod = true;
  expect(() => createFile(path)).toThrow('EIO');
  faults.fchmod = false;
  expect([open(), existsSync(path)]).toEqual([before, false]);
  createFile(path);
  expect(statSync(path).mode & 0o777).toBe(0o660);
});

test('a file that the other half makes at the same moment stays as it is', () => {
  const path = shared();
  writeFileSync(path, 'of the other half');
  chmodSync(path, 0o640); // whatever the umask
  faults.late = true;
  createFile(path);
  faults.late = false;
  expect(statSync(path)).toMatchObject({ size: 17, mode: 0o100640 });
});

test('each piece of a file that is read before a repair counts as progress: a large one takes longer than the watchdog waits', () => {
  const path = shared();
  writeFileSync(path, Buffer.alloc(2 * pieceBytes + 1));
  const progress = vi.fn();
  awaitReadable([path, `${path}-wal`], progress);
  expect(progress).toHaveBeenCalledTimes(3);
});
