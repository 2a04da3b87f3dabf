import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Keeps what the tests write in one temporary folder, and removes it when they have ended or are broken off. Without
 * this a run leaves about a gigabyte.
 */
export default function oneTemporaryFolder(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-tests-'));
  chmodSync(folder, 0o755); // brokers run as users of their own
  process.env.TMPDIR = folder;
  const remove = () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }); // a worker may still write
  process.once('exit', remove); // after Ctrl-C nobody calls what is returned
  process.once('SIGHUP', () => process.exit(129)); // the terminal was closed
  return remove;
}
