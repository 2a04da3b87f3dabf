// A DNS resolver that does not answer: a running look-up cannot be cancelled and keeps the process alive while it
// waits.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { stringify } from 'yaml';
import { soon } from '../support/courier.ts';
import { startHalf } from '../support/half.ts';

function sensor(): { folder: string; path: string } {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-lookup-'));
  const path = join(folder, 'tocsin.yaml');
  const mqtt = { url: 'mqtt://broker.example.org', allowPlaintext: true };
  writeFileSync(path, stringify({ site: 'test', sensor: 'post-1', outbox: { path: join(folder, 'outbox.db') }, mqtt, log: { level: 'info' } }));
  return { folder, path };
}

test('a courier stopped during an unanswered DNS look-up ends in order and logs no warning', async () => {
  const courier = startHalf('deliver', sensor().path, process.env, '--import', resolve('test/support/plant-unanswered-lookup.ts'));
  await soon(() => expect(courier.said()).toContain('looked up broker.example.org'));
  courier.child.kill('SIGTERM');
  await soon(() => expect(courier.child.exitCode).toBe(0));
  expect(courier.said()).not.toContain('not connected');
});

// The resolver of the system, as patient as it can be set: two and a half minutes, in which the test would time out.
const routed =
  'ip link set lo up && ip link add v0 type veth peer name v1 && ip address add 192.0.2.9/24 dev v0 && ip link set v0 up && ip link set v1 up && ip route add default via 192.0.2.1';
const alone = `${routed} && mount --bind "$1" /etc/resolv.conf && shift && exec "$@"`;
const without = spawnSync('unshare', ['-n', '-m', 'sh', '-c', routed]).status !== 0 ? 'needs root, unshare and ip' : undefined;
test.skipIf(without).each([
  ['a stopped courier', 'deliver', true, 0],
  ['`doctor`, which has told what it found,', 'doctor', false, 8],
  ['`privacy verify`, which cannot tell whose address a connection leads to,', `privacy verify --no-record --courier-pid ${process.pid}`, false, 8],
] as const)(
  `%s does not wait for a name server that is silent${without ? ` (left out: ${without})` : ''}`,
  { timeout: 60_000 },
  async (_name, command, stops, code) => {
    const { folder, path } = sensor();
    const resolvers = join(folder, 'resolv.conf');
    writeFileSync(resolvers, 'nameserver 127.0.0.1\noptions timeout:30 attempts:5\n');
    const run = [process.execPath, '--import', resolve('test/support/silent-resolver.ts'), 'agent/main.ts', ...command.split(' '), '-c', path];
    const child = spawn('unshare', ['-n', '-m', 'sh', '-c', alone, 'sh', resolvers, ...run], { stdio: ['ignore', 'ignore', 'pipe'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    const ended = once(child, 'exit');
    let said = '';
    for await (const words of child.stderr) {
      said += words;
      if (said.includes('asked') && stops) child.kill('SIGTERM');
    }
    expect(await ended).toEqual([code, null]);
    expect(said).toContain('asked');
  },
);
