import { randomUUID } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCourierNotes } from '../../agent/delivery/courier-notes.ts';
import { silentLogger } from './samples.ts';

/** The environment of a courier that has earned so many messages, as after months: a test stores as many in seconds. */
export function allowed(messages: number): NodeJS.ProcessEnv {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-allowed-'));
  openCourierNotes(folder, silentLogger).change({ allowance: { bootId: randomUUID(), monotonicMs: 0, messages } });
  return { ...process.env, STATE_DIRECTORY: folder };
}
