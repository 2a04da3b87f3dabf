// A resolver that does not answer: a look-up that is under way cannot be ended, and holds a process for as long as it waits.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { soon } from '../support/courier.ts';
import { startHalf } from '../support/half.ts';

test('a courier that is stopped during a look-up that is not answered ends in order, and warns of nothing', async () => {
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
