import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { loadConfig } from '../../agent/config/load-config.ts';
import { ConfigError } from '../../agent/lib/errors.ts';
import { openEmbeddedBroker } from '../support/broker.ts';
import { openMessages } from '../support/messages.ts';
import { seededRandom } from '../support/random.ts';

const example = readFileSync('deploy/tocsin.example.yaml');

test('each of 1,000 randomly damaged configurations is either read or refused with a ConfigError', () => {
  const random = seededRandom(9);
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-config-')), 'tocsin.yaml');
  const outcome = { read: 0, refused: 0 };
  for (let i = 0; i < 1000; i++) {
    const bytes = Buffer.from(example);
    const at = Math.floor(random() * bytes.length);
    const length = 1 + Math.floor(random() ** 2 * 300);
    for (let n = at; n < Math.min(bytes.length, at + length); n++) bytes[n] = Math.floor(random() * 256);
    writeFileSync(path, i % 2 === 0 ? example.subarray(0, at) : bytes);
    try {
      loadConfig(path);
      outcome.read++;
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError);
      outcome.refused++;
    }
  }
  process.stdout.write(`damaged configurations: ${JSON.stringify(outcome)}\n`);
  expect(outcome.refused).toBeGreaterThan(400);
});

// stands in for systemd's Restart=always and RestartSec=2, which test/integration/units.test.ts checks
test('a damaged configuration gives a clear error at each start, and the courier runs within 10 s of the repair', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-config-'));
  const path = join(folder, 'tocsin.yaml');
  const broker = await openEmbeddedBroker();
  onTestFinished(() => broker.close());
  const seen = await openMessages(broker.url);
  onTestFinished(() => seen.close());
  const good = stringify({ site: 'a', sensor: 'b', outbox: { path: join(folder, 'outbox.db') }, mqtt: { url: broker.url, protocol: '3.1.1' } });
  for (const bad of ['', good.slice(0, good.indexOf('mqtt')), `${good}\u0000\u0001: [`, 'site: [a']) {
    writeFileSync(path, bad);
    const { status, stderr } = spawnSync(process.execPath, ['agent/main.ts', 'deliver', '-c', path], { encoding: 'utf8' });
    expect(status).toBe(3);
    expect(stderr).toMatch(/^Error: (Expected YAML in|\/.* has \d+ problem)/);
    expect(stderr).toContain('Try: ');
  }
  const script = 'while :; do "$0" agent/main.ts deliver -c "$1"; sleep 2; done';
  const loop = spawn('sh', ['-c', script, process.execPath, path], { stdio: 'ignore', detached: true });
  onTestFinished(() => void process.kill(-(loop.pid as number), 'SIGKILL'));
  await new Promise((done) => setTimeout(done, 3000));
  expect(seen.messages).toEqual([]);
  writeFileSync(path, good);
  const repaired = performance.now();
  await seen.until(() => seen.messages.some((m) => m.topic.endsWith('/status')));
  expect(performance.now() - repaired).toBeLessThan(10_000);
});
