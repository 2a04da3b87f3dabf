import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { missing } from '../support/broker.ts';

const units = ['listener', 'courier'] as const;
const unitText = (half: string) => readFileSync(`systemd/tocsin-${half}.service`, 'utf8');

const withoutSystemd = missing('systemd-analyze');
describe.skipIf(withoutSystemd)(`what systemd says of the units${withoutSystemd ? ` (left out: ${withoutSystemd})` : ''}`, () => {
  /** The exposure level, 0 to 10, of a unit's text. */
  function exposure(half: string, text = unitText(half)): number {
    const path = join(mkdtempSync(join(tmpdir(), 'tocsin-units-')), `tocsin-${half}.service`);
    writeFileSync(path, text);
    const { stdout, stderr } = spawnSync('systemd-analyze', ['security', '--offline=true', '--no-pager', path], { encoding: 'utf8' });
    const level = /Overall exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1];
    expect(stderr, 'systemd knows every line').not.toMatch(/Unknown|Failed to parse/);
    return Number(level);
  }

  test.each([
    ['listener', 0.5],
    ['courier', 1.1],
  ] as const)('the %s is exposed by %f at most', (half, most) => {
    expect(exposure(half)).toBeLessThanOrEqual(most);
  });

  test.each([
    ['listener', 'PrivateNetwork=yes'],
    ['listener', 'RestrictAddressFamilies=AF_UNIX'],
    ['listener', 'DevicePolicy=closed'],
    ['listener', 'ProtectSystem=strict'],
    ['courier', 'PrivateDevices=yes'],
    ['courier', 'User=tocsin-courier'],
    ['courier', 'NoNewPrivileges=yes'],
  ])('the %s without %s is exposed more', (half, line) => {
    const text = unitText(half);
    expect(text).toContain(`\n${line}\n`);
    expect(exposure(half, text.replace(`\n${line}\n`, '\n'))).toBeGreaterThan(exposure(half));
  });
});

test('every line of the units is explained, and what points cannot see is there', () => {
  const readme = readFileSync('systemd/README.md', 'utf8');
  for (const half of units) {
    const lines = unitText(half)
      .split('\n')
      .filter((line) => /^\w+=/.test(line) && !/^(Description|PartOf|Wants|After|WantedBy)=/.test(line));
    expect(lines.length).toBeGreaterThan(30);
    for (const line of lines) expect(readme, line).toContain(`\`${line.split('=')[0]}`);
    for (const line of ['LimitCORE=0', 'MemorySwapMax=0', 'StartLimitIntervalSec=0', 'Restart=always', 'Type=notify']) expect(lines).toContain(line);
  }
  expect(unitText('courier')).not.toMatch(/SupplementaryGroups|char-alsa/);
  expect(unitText('listener')).not.toMatch(/AF_INET|LoadCredential/);
});

const notRoot = process.getuid?.() === 0 ? undefined : 'needs root to become two users';
const asUser = (uid: number, script: string) =>
  spawnSync(process.execPath, ['--input-type=module', '-e', script], { uid, gid: 64_007, encoding: 'utf8', env: { PATH: process.env.PATH } });
const unreadable =
  notRoot ??
  (asUser(64_001, `await import(${JSON.stringify(resolve('agent/outbox/sqlite-outbox.ts'))})`).status === 0
    ? undefined
    : 'other users may not read this checkout');
test.skipIf(unreadable)(`two users of one group share the outbox, others may not look${unreadable ? ` (left out: ${unreadable})` : ''}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-shared-'));
  chownSync(folder, 0, 64_007);
  chmodSync(folder, 0o2770);
  const path = join(folder, 'outbox.db');
  const [sqlite, samples] = ['agent/outbox/sqlite-outbox.ts', 'test/support/samples.ts'].map((file) => JSON.stringify(resolve(file)));
  const script = (work: string) => `
    process.umask(0o077);
    const { openSqliteOutbox } = await import(${sqlite});
    const { limits, recordedEvent } = await import(${samples});
    const outbox = openSqliteOutbox(${JSON.stringify(path)}, limits, { repair: true });
    ${work}`;
  const listener = (i: number) => asUser(64_001, script(`console.log(outbox.append(recordedEvent(${i})));`));
  const courier = asUser(64_002, script('outbox.acknowledge(outbox.pending(0, 9).map((e) => e.sequence)); console.log(outbox.fates().sent); outbox.close();'));
  expect(courier.stdout.trim(), courier.stderr).toBe('0'); // whoever comes first makes the file
  const first = listener(0); // ends without closing: -wal and -shm stay, and are the listener's
  expect(first.stdout.trim(), first.stderr).toBe('stored');
  for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).mode & 0o777, name).toBe(0o660);
  const second = asUser(64_002, script('outbox.acknowledge(outbox.pending(0, 9).map((e) => e.sequence)); console.log(outbox.fates().sent);'));
  expect(second.stdout.trim(), second.stderr).toBe('1');
  expect(listener(1).stdout.trim()).toBe('stored');
  const stranger = spawnSync(process.execPath, ['-e', `require('node:fs').readFileSync(${JSON.stringify(path)})`], {
    uid: 64_003,
    gid: 64_003,
    encoding: 'utf8',
  });
  expect(stranger.stderr).toContain('EACCES');
});
