import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/**
 * A folder for PATH with fake-capture.ts as arecord, at 48 kHz with two equal channels; `set` changes its output. See
 * fake-capture.ts for its limits.
 */
export function fakeArecord(first: string) {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-arecord-'));
  const control = join(folder, 'mode');
  const set = (mode: string) => writeFileSync(control, mode);
  set(first);
  writeFileSync(join(folder, 'arecord'), `#!/bin/sh\nexec '${process.execPath}' '${resolve('test/support/fake-capture.ts')}'\n`, { mode: 0o755 });
  const { NODE_COMPILE_CACHE: _, ...usual } = process.env; // for the agent as a service starts it
  return { set, env: { ...usual, PATH: `${folder}:${process.env.PATH}`, FAKE_CAPTURE: control, FAKE_RATE: '48000', FAKE_CHANNELS: '2' } };
}
