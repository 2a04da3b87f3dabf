import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Keeps what the tests write in one temporary folder, and removes it when they have ended. Without this a run leaves about a gigabyte. */
export default function oneTemporaryFolder(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-tests-'));
  chmodSync(folder, 0o755); // brokers run as users of their own
  process.env.TMPDIR = folder;
  return () => rmSync(folder, { recursive: true, force: true });
}
