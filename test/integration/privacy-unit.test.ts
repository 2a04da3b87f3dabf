import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Finding } from '../../agent/cli/privacy/check.ts';
import { type HalfName, type Machine, unitNames } from '../../agent/cli/privacy/machine.ts';
import { unitChecks } from '../../agent/cli/privacy/unit-checks.ts';

/**
 * What `systemctl show` prints of a shipped unit (systemd 257). A fake: it cannot show that systemd prints exactly
 * this and enforces it; test/system does.
 */
function shown(name: HalfName): Record<string, string> {
  const lines = readFileSync(`systemd/${unitNames[name]}`, 'utf8').matchAll(/^(\w+)=(.*)$/gm);
  return {
    ...Object.fromEntries([...lines].map(([, key = '', value = '']) => [key, value])),
    LimitCORESoft: '0',
    StandardInput: 'null',
    StandardOutput: 'journal',
    StandardError: 'inherit',
    NeedDaemonReload: 'no',
    FragmentPath: `systemd/${unitNames[name]}`,
    UnitsLoadTimestampMonotonic: '80912160708',
    ExecMainStartTimestampMonotonic: '80912276417',
    RestrictAddressFamilies: name === 'listener' ? 'AF_UNIX' : 'AF_INET AF_INET6 AF_UNIX',
    IPAddressDeny: name === 'listener' ? '::/0 0.0.0.0/0' : '',
    MemoryMax: name === 'listener' ? '419430400' : '314572800',
    SystemCallFilter: 'accept accept4 bind clone connect execve ioctl mmap open openat read sendmsg socket write',
  };
}

const unit = (name: HalfName, changes: Record<string, string> = {}) => {
  const half = { name, pid: 1, processes: [1], hidden: false, unit: { ...shown(name), ...changes } };
  return unitChecks[0].run(half, { installation: '.' } as Machine) as Finding;
};

/** A file of settings in a folder of its own. */
function settingsFile(text: string): string {
  const path = join(mkdtempSync(join(tmpdir(), 'tocsin-unit-')), 'file.conf');
  writeFileSync(path, text);
  return path;
}
const withDropIn = (name: HalfName, ...dropIns: string[]) => unit(name, { DropInPaths: dropIns.map(settingsFile).join(' ') });

describe('the unit check of `privacy verify`', () => {
  test('passes the units as shipped, also with an address of the broker for the courier', () => {
    expect(unit('listener')).toMatchObject({ state: 'pass' });
    expect(unit('courier')).toMatchObject({ state: 'pass' });
    // systemd/README.md advises an address of the broker for the courier
    expect(unit('courier', { IPAddressDeny: '::/0 0.0.0.0/0', IPAddressAllow: '192.0.2.7/32' })).toMatchObject({ state: 'pass' });
    expect(unit('courier', { RestrictAddressFamilies: 'AF_UNIX AF_INET6 AF_INET' })).toMatchObject({ state: 'pass' });
  });

  const { SystemCallFilter: calls } = shown('listener');
  const plants: [HalfName, string, string, string][] = [
    ['listener', 'SystemCallArchitectures', '', 'SystemCallArchitectures= (native)'],
    ['courier', 'SystemCallArchitectures', 'native x86', 'SystemCallArchitectures=native x86 (native)'],
    ['courier', 'RestrictAddressFamilies', 'AF_INET AF_INET6 AF_UNIX AF_VSOCK', 'AF_VSOCK'],
    ['courier', 'RestrictAddressFamilies', '~AF_PACKET', '~AF_PACKET'],
    ['listener', 'SystemCallFilter', '', 'SystemCallFilter= ('],
    ['listener', 'SystemCallFilter', `${calls} ptrace`, 'SystemCallFilter=ptrace ('],
    ['courier', 'SystemCallFilter', `io_uring_setup ${calls} mount`, 'SystemCallFilter=mount io_uring_setup ('],
    ['listener', 'SystemCallFilter', `add_key ${calls} keyctl`, 'SystemCallFilter=keyctl ('],
    ['courier', 'SystemCallFilter', `${calls} recvmmsg recvmsg`, 'SystemCallFilter=recvmsg recvmmsg ('],
    // a deny list allows all other calls; the shipped list is an allow list
    ['courier', 'SystemCallFilter', '~io_uring_setup mount ptrace', 'SystemCallFilter=~'],
    ['courier', 'SocketBindDeny', '', 'SocketBindDeny= (any)'],
    ['courier', 'SocketBindAllow', 'tcp:8080', 'SocketBindAllow=tcp:8080 ('],
    ['listener', 'IPAddressDeny', '', 'IPAddressDeny= ('],
    ['listener', 'IPAddressAllow', '192.0.2.7/32', 'IPAddressAllow=192.0.2.7/32 ('],
    ['listener', 'OpenFile', '/srv/relay.sock:relay', 'OpenFile=/srv/relay.sock:relay (-)'],
    ['courier', 'StandardInput', 'socket', 'StandardInput=socket (null)'],
    ['listener', 'MemoryMax', 'infinity', 'MemoryMax=infinity (419430400)'],
    ['courier', 'MemoryMax', '419430400', 'MemoryMax=419430400 (314572800)'],
    ['courier', 'TasksMax', 'infinity', 'TasksMax=infinity (64)'],
    ['listener', 'StandardError', 'fd:relay', 'StandardError=fd:relay (inherit)'],
    ['listener', 'PrivateUsersEx', 'identity', 'PrivateUsersEx=identity (self)'],
    ['courier', 'NeedDaemonReload', 'yes', 'NeedDaemonReload=yes (no)'],
  ];
  test.each(plants)('fails the %s if %s=%s', (name, key, value, said) => {
    expect(unit(name, { [key]: value })).toMatchObject({ state: 'fail', found: { values: { what: expect.stringContaining(said) } } });
  });

  // what these settings keep a half from is shown in test/system, on the running sensor
  const loose: Record<string, string> = {
    NoNewPrivileges: 'no',
    PrivateUsers: 'no',
    PrivateMounts: 'no',
    PrivateIPC: 'no',
    ProtectSystem: 'full',
    ProtectHome: 'read-only',
    ReadWritePaths: '/var/lib/tocsin /srv',
    CapabilityBoundingSet: 'cap_sys_ptrace',
    AmbientCapabilities: 'cap_net_raw',
    DevicePolicy: 'auto',
    DeviceAllow: 'char-alsa rw; char-video4linux rw',
    OpenFile: '/srv/relay.sock:relay',
    StandardOutput: 'file:/srv/sound',
    LimitCORE: 'infinity',
    LimitCORESoft: 'infinity',
    CoredumpFilter: '0x33',
    MemorySwapMax: 'infinity',
    RestrictNamespaces: 'no',
    RestrictSUIDSGID: 'no',
    LockPersonality: 'no',
    ProtectProc: 'default',
  };
  const others: readonly [HalfName, string, string][] = [
    ['listener', 'PrivateNetwork', 'no'],
    ['listener', 'RestrictAddressFamilies', 'AF_INET AF_UNIX'],
    ['listener', 'LoadCredential', 'key:/etc/tocsin/credentials/sensor.key'],
    ['courier', 'PrivateDevices', 'no'],
  ];
  const both = (['listener', 'courier'] as const).flatMap((name) => Object.entries(loose).map(([key, value]) => [name, key, value] as const));
  test.each([...both, ...others])('fails the %s if it is held to %s=%s', (name, key, value) => {
    const what = expect.stringContaining(`${key}=${value} (`);
    expect(unit(name, { [key]: value })).toMatchObject({ state: 'fail', found: { key: 'privacy.unit.wrong', values: { what } } });
  });

  test.each([
    'LogRateLimitIntervalSec=0',
    'LogNamespace=other',
    'ExecStartPre=+/usr/local/bin/relay',
    'ExecStartPost=+/usr/local/bin/relay # mine',
    'EnvironmentFile=/etc/default/other',
    'IPCNamespacePath=/proc/1/ns/ipc',
    'BindReadOnlyPaths=/run/dbus',
    '  KeyringMode = inherit',
    'SystemCallFilter=process_vm_readv',
  ])('fails a drop-in with %s, a setting whose effective value is not compared', (line) => {
    const said = expect.stringContaining(`${line.trim()} (-)`);
    for (const name of ['listener', 'courier'] as const)
      expect(withDropIn(name, '# mine\n[Service]\nRestartSec=5\n', `[Service]\n${line}\n`)).toMatchObject({
        state: 'fail',
        found: { key: 'privacy.unit.wrong', values: { what: said } },
      });
  });

  test.each(['\r', '\0'])('fails a drop-in in which %j ends a comment or a harmless line, as it does for systemd', (end) => {
    const text = `[Service]\n# mine${end}ExecStartPost=+/usr/local/bin/relay\nRestartSec=5${end}KeyringMode=inherit\r\n`;
    const what = 'ExecStartPost=+/usr/local/bin/relay (-), KeyringMode=inherit (-)';
    for (const name of ['listener', 'courier'] as const) expect(withDropIn(name, text)).toMatchObject({ state: 'fail', found: { values: { what } } });
  });

  test('passes a drop-in that does not change what the process may do, or that sets a compared setting', () => {
    const text = '[Unit]\nAfter=data.mount\n\n[Service]\n; a slow card\nTimeoutStartSec=300\nMemorySwapMax=0\nIPAddressDeny=any\n';
    for (const name of ['listener', 'courier'] as const) expect(withDropIn(name, text)).toMatchObject({ state: 'pass' });
  });

  test('fails a unit file at another path, whatever its settings', () => {
    const other = settingsFile(`${readFileSync('systemd/tocsin-listener.service', 'utf8')}ExecStopPost=+/bin/true\n`);
    for (const FragmentPath of [other, '']) expect(unit('listener', { FragmentPath })).toMatchObject({ state: 'fail', found: { key: 'privacy.unit.file' } });
  });

  test('is unchecked if the unit was reloaded after the process started, and fails if a setting is wrong', () => {
    const again = { UnitsLoadTimestampMonotonic: '80912276418' };
    expect(unit('listener', again)).toMatchObject({ state: 'unchecked', found: { key: 'privacy.unit.reloaded' } });
    expect(unit('listener', { ...again, PrivateUsers: 'no' })).toMatchObject({ state: 'fail' });
  });

  test('is unchecked where no systemd says what a process is held to, and with a time that it does not tell', () => {
    const half = { name: 'listener', pid: 1, processes: [1], hidden: false } as const;
    expect(unitChecks[0].run(half, { installation: '.' } as Machine)).toMatchObject({ state: 'unchecked', found: { key: 'privacy.unit.none' } });
    const { UnitsLoadTimestampMonotonic: _, ...untold } = shown('listener');
    expect(unitChecks[0].run({ ...half, unit: untold }, { installation: '.' } as Machine)).toMatchObject({
      state: 'unchecked',
      found: { key: 'privacy.unit.reloaded' },
    });
  });

  test('finds what the second of two drop-ins sets, and reads no more than the clock as harmless for devices', () => {
    expect(withDropIn('listener', '[Service]\nNice=5\n', '[Service]\nKeyringMode=inherit\n')).toMatchObject({ state: 'fail' });
    expect(unit('listener', { DeviceAllow: 'char-rtc r; char-alsa rw' })).toMatchObject({ state: 'pass' });
    expect(unit('courier', { DeviceAllow: 'char-rtc r' })).toMatchObject({ state: 'pass' });
    expect(unit('courier', { DeviceAllow: 'char-alsa rw' })).toMatchObject({ state: 'fail' });
  });

  test('treats a system call named with an error as denied', () => {
    expect(unit('listener', { SystemCallFilter: `${calls} ptrace:EPERM mount:kill` })).toMatchObject({ state: 'pass' });
  });
});
