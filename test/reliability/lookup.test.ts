// A DNS resolver that does not answer: a running look-up cannot be cancelled and keeps the process alive while it
// waits.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { soon } from '../support/courier.ts';
import { startHalf } from '../support/half.ts';

test('a courier stopped during an unanswered DNS look-up ends in order and logs no warning', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-lookup-'));
  const path = join(folder, 'tocsin.yaml');
  writeFileSync(
    path,
    stringify({
      site: 'test',
      sensor: 'post-1',
      outbox: { path: join(folder, 'outbox.db') },
      mqtt: { url: 'mqtt://broker.example.org', allowPlaintext: true },
      log: { level: 'info' },
    }),
  );
  const courier = startHalf('deliver', path, process.env, '--import', resolve('test/support/plant-unanswered-lookup.ts'));
  await soon(() => expect(courier.said()).toContain('looked up broker.example.org'));
  courier.child.kill('SIGTERM');
  await soon(() => expect(courier.child.exitCode).toBe(0));
  expect(courier.said()).not.toContain('not connected');
});
