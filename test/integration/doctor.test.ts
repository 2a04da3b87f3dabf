import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Result, runChecks } from '../../agent/cli/doctor/check.ts';
import { machineProbes } from '../../agent/cli/doctor/probes.ts';
import { allChecks } from '../../agent/cli/doctor.ts';
import { languages } from '../../agent/cli/message.ts';
import { catalogue, openTranslate, type Text } from '../../agent/cli/translate.ts';
import { type Broker, freePort, missing, openMosquitto } from '../support/broker.ts';
import { alsa, clock, examine, expectNamed, openDoctorBench, routed, signal, store, systemctl } from '../support/doctor.ts';
import { courierFaults } from '../support/doctor-courier-faults.ts';
import { type Link, linkFaults } from '../support/doctor-link-faults.ts';
import { machineFaults, twins, unplugged } from '../support/doctor-machine-faults.ts';
import { openMessages } from '../support/messages.ts';
import { fixedClock } from '../support/samples.ts';

const without = missing('mosquitto', 'mosquitto_passwd', 'openssl');
const bench = openDoctorBench();
const { folder, writeConfig } = bench;
let broker: Broker;

// The checks of the link are in doctor-link.test.ts.
describe.skipIf(without)(`doctor names the fault of the board${without ? ` (left out: ${without})` : ''}`, () => {
  beforeAll(async () => {
    broker = await openMosquitto(mkdtempSync(join(folder, 'broker-')), await freePort(), undefined, ['allow_anonymous true']);
    const platform = await openMessages(broker.url);
    bench.undo.push(platform.close, () => broker.close());
  });
  afterAll(() => bench.close());

  const rows = machineFaults(bench);
  test.each(rows)('%s', (...row) => expectNamed(bench, row, broker.url));

  test('a microphone with a wrong rate is measured again, and is a fault only if the rate stays wrong', async () => {
    const path = writeConfig(alsa(), broker.url);
    const heard = { samples: 1, levelDb: -40, peakDb: -20, zeros: false, flat: false, clippedShare: 0, hardwareRate: 16000 };
    const state = async (...rates: number[]) => {
      const listen = async () => ({ ...heard, rate: rates.shift() as number });
      const results = await examine(path, { ...routed, listen });
      return [results.find(({ check }) => check === 'microphone')?.found.key, rates.length];
    };
    expect(await state(1.06, 1.01)).toEqual(['doctor.microphone.ok', 0]);
    expect(await state(1.06, 1.06)).toEqual(['doctor.microphone.slow', 0]);
    expect(await state(0.97, 5)).toEqual(['doctor.microphone.ok', 1]);
  });

  test('a microphone that is busy while the listener does not run is in the hands of another program', async () => {
    const back = bench.standIn('echo "arecord: main:831: audio open error: Device or resource busy" >&2; exit 1');
    const down = systemctl({ ActiveState: 'inactive', SubState: 'dead' }, {});
    const results = await examine(writeConfig(alsa(), broker.url), { ...routed, ...down }).finally(back);
    expect(results.find(({ check }) => check === 'microphone')?.found.key).toBe('doctor.microphone.busy');
  });

  test('the finding names the devices present in place of the configured microphone', async () => {
    const found = async (device: string, listen = twins, language: 'en' | 'fr' = 'en') => {
      const results = await examine(writeConfig(alsa(device), broker.url), { ...routed, listen });
      return openTranslate(language).of(results.find(({ check }) => check === 'microphone')?.found as Text);
    };
    expect(await found('usb:0d8c:0014')).toBe('usb:0d8c:0014 leads to usb:1-1.3,0d8c:0014; usb:1-1.4,0d8c:0014');
    expect(await found('usb:1-1.5')).toBe('usb:1-1.5 is not there (usb:1-1.3,0d8c:0014; usb:1-1.4,0d8c:0014)');
    expect(await found('usb:1-1.5', unplugged)).toBe('usb:1-1.5 is not there (no microphone)');
    expect(await found('usb:1-1.5', unplugged, 'fr')).toBe('usb:1-1.5 est absent (aucun microphone)');
  });

  test('the finding about a service that is down contains the last error of its process', async () => {
    const path = writeConfig({}, broker.url);
    const found = async (listener: object, journal: string, courier = {}) => {
      const results = await examine(path, { ...routed, ...systemctl(listener, courier, journal) });
      return openTranslate('en').of(results.find(({ check }) => check === 'services')?.found as Text);
    };
    const down = { ActiveState: 'activating', SubState: 'auto-restart' };
    const unit = 'tocsin-listener.service';
    const journal = '{"msg":"hearing"}\nError: Expected an older thing\nTry: a\nErreur\u00a0: Attendu un fichier\nEssayez\u00a0: b\n{"msg":"Error: none"}\n';
    expect(await found(down, journal)).toBe(`${unit} is activating (auto-restart); its last error: Attendu un fichier`);
    expect(await found(down, '{"msg":"hearing"}\n')).toBe(`${unit} is activating (auto-restart)`);
    expect(await found({ NRestarts: 7 }, 'Error: Expected it\n')).toBe(`${unit} was restarted 7 times; its last error: Expected it`);
    expect(await found({}, 'Error: of the listener\n', { NRestarts: 7 })).toBe('tocsin-courier.service was restarted 7 times');
  });

  test('a journal that cannot be read in time omits that error, not the finding', async () => {
    const unread = { code: 1, stdout: '' };
    const services = systemctl({ ActiveState: 'failed', SubState: 'failed' }, {}).command as typeof probes.command;
    const probes = machineProbes('', clock);
    // never answers on its own; it cannot show how long a real journal takes
    const endless = (stop: AbortSignal) => new Promise<typeof unread>((done) => stop.addEventListener('abort', () => done(unread)));
    const slow: typeof probes.command = (name, args, stop) => (name === 'journalctl' ? endless(stop) : services(name, args, stop));
    const results = await examine(writeConfig({}, broker.url), { ...routed, command: slow });
    expect(results.find(({ check }) => check === 'services')?.found).toMatchObject({ key: 'doctor.services.down', values: { said: '' } });
  });

  test('a program that does not answer, nor end when it is told to, does not keep doctor from ending', async () => {
    const [bin, pid] = [mkdtempSync(join(folder, 'bin-')), join(folder, 'systemctl.pid')];
    const hangs = `#!/bin/sh\ntrap '' TERM\necho $$ >'${pid}'\nexec sleep 120\n`;
    writeFileSync(join(bin, 'systemctl'), hangs, { mode: 0o755 });
    const doctor = spawn(process.execPath, ['agent/main.ts', 'doctor', '--json', '-c', writeConfig({}, broker.url)], {
      env: { ...process.env, PATH: `${bin}:${process.env.PATH}` },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const said = text(doctor.stdout);
    await once(doctor, 'close');
    const { checks } = JSON.parse(await said) as { checks: { check: string; finding: string }[] };
    expect(checks.find(({ check }) => check === 'services')?.finding).toBe('timeout');
    await vi.waitFor(() => expect(() => process.kill(Number(readFileSync(pid, 'utf8')), 0)).toThrow('ESRCH'));
  });

  test('every finding with a hint is planted in a test', () => {
    // tested below; a defect is not a fault of the machine
    const elsewhere = ['disk.full', 'disk.readOnly', 'forbidden', 'outbox.forbidden', 'timeout', 'defect'];
    const planted = new Set([
      ...[...rows, ...linkFaults(bench, () => ({}) as Link), ...courierFaults(bench)].map(([, , , , finding]) => finding),
      'microphone.absent',
      'microphone.tool',
      ...elsewhere,
    ]);
    const hinted = Object.keys(catalogue).flatMap((key) => /^doctor\.(.+)\.try$/.exec(key)?.[1] ?? []);
    expect(hinted.filter((finding) => !planted.has(finding))).toEqual([]);
    expect(planted.size).toBeGreaterThanOrEqual(20);
  });

  const unmountable = process.getuid?.() !== 0 || spawnSync('unshare', ['-m', 'true']).status !== 0 ? 'needs root and mount' : undefined;
  const mounted = (mount: string, disk: string, ...command: string[]) =>
    spawnSync('unshare', ['-m', 'sh', '-c', `${mount} && shift && exec "$@"`, 'sh', disk, ...command], { encoding: 'utf8' });
  const overlay =
    'mkdir "$1.rw" && mount -t tmpfs -o size=400m none "$1.rw" && mkdir "$1.rw/a" "$1.rw/b" && mount -t overlay -o "lowerdir=$1,upperdir=$1.rw/a,workdir=$1.rw/b" none "$1"';
  const isOverlaid = () => mounted(overlay, mkdtempSync(join(tmpdir(), 'tocsin-overlay-')), 'true').status === 0;
  const disks = [
    ['a full disk', 'mount -t tmpfs -o size=20m none "$1" && head -c 12000000 /dev/zero > "$1"/filler', 'disk.full', unmountable],
    ['a read-only disk', 'mount -t tmpfs -o size=400m none "$1" && mount -o remount,ro "$1"', 'disk.readOnly', unmountable],
    ['a disk in memory', 'mount -t tmpfs -o size=400m none "$1"', 'disk.memory', unmountable],
    ['a card under an overlay in memory', overlay, 'disk.memory', unmountable ?? (isOverlaid() ? undefined : 'needs overlayfs')],
  ] as const;
  for (const [name, mount, finding, lack] of disks)
    test.skipIf(lack)(`${name}${lack ? ` (left out: ${lack})` : ''}`, () => {
      const disk = mkdtempSync(join(folder, finding));
      const path = writeConfig({ outbox: { path: join(disk, 'outbox.db') } }, broker.url);
      const { stdout, status } = mounted(mount, disk, process.execPath, 'agent/main.ts', 'doctor', '--json', '-c', path);
      const { healthy, checks } = JSON.parse(stdout) as { healthy: boolean; checks: { check: string; finding: string; state: string }[] };
      const found = checks.find(({ check }) => check === 'disk');
      expect(found?.finding).toBe(finding);
      expect(found?.state).toBe(finding === 'disk.memory' ? 'warn' : 'fail');
      if (found?.state === 'fail') expect({ healthy, status }).toEqual({ healthy: false, status: 8 });
    });

  test('a link that opens after its check timed out is closed, so that `doctor` can end', { timeout: 10_000 }, async () => {
    const path = writeConfig({}, broker.url);
    let open = () => {};
    const late = new Promise<void>((resolve) => {
      open = resolve;
    });
    const closed = new Promise<void>((resolve) => {
      const openLink = async () => {
        await late;
        return { close: async () => resolve() } as never;
      };
      const checks = allChecks.flatMap((check) => {
        if (check.id === 'config') return [check];
        return check.id === 'broker' ? [{ ...check, needs: ['config'] as const, timeoutMs: 50 }] : [];
      });
      void (async () => {
        const states: string[] = [];
        for await (const { found } of runChecks(checks, { ...machineProbes(path, clock), openLink }, signal)) states.push(found.key);
        expect(states).toEqual(['doctor.config.ok', 'doctor.timeout']);
        open();
      })();
    });
    await closed;
  });

  test('the waiting time of an event of an earlier boot is shown as a lower bound, as in `status`', async () => {
    const path = writeConfig({}, broker.url);
    store(path);
    const now = fixedClock({ bootId: clock.bootId, synchronised: () => false, monotonicMs: () => 10 * 3_600_000 });
    const outbox = allChecks.filter(({ id }) => ['config', 'outbox'].includes(id));
    const said: string[] = [];
    for await (const { check, found } of runChecks(outbox, { ...machineProbes(path, clock), clock: now }, signal))
      if (check === 'outbox') said.push(...languages.map((language) => openTranslate(language).of(found)));
    expect(said).toEqual(['3 waiting, the oldest for >10 h', '3 en attente, le plus ancien depuis >10\u00a0h']);
  });

  test('the hint for an outbox that is closed to the halves gives them its files, and nothing that a link among these leads to', async () => {
    const path = writeConfig({}, broker.url);
    const home = dirname(path);
    const [outbox, link, elsewhere] = [join(home, 'outbox.db'), join(home, 'outbox.db-link'), join(home, 'elsewhere')];
    writeFileSync(elsewhere, '');
    symlinkSync(elsewhere, link);
    for (const file of [outbox, elsewhere]) chmodSync(file, 0o600);
    chmodSync(home, 0o2770);
    const hint = (await examine(path)).find(({ check }) => check === 'outbox')?.hint;
    const typed = (hint === undefined ? '' : openTranslate('en').of(hint)).replace('sudo ', '').replaceAll('tocsin {}', `${statSync(home).gid} {}`);
    const { status, stderr } = spawnSync('sh', ['-c', typed], { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect([outbox, elsewhere].map((file) => statSync(file).mode & 0o777)).toEqual([0o660, 0o600]);
  });

  test('the hint of the clock check names timedatectl only where systemd runs', async () => {
    const path = writeConfig({}, broker.url);
    const hint = async (there: boolean) => {
      const probes = { ...machineProbes(path, clock), presence: () => (there ? 'there' : 'absent') as 'there' | 'absent' };
      const unsure = { ...probes, clock: { ...clock, synchronised: () => false } };
      for await (const { hint: said } of runChecks(
        allChecks.filter(({ id }) => id === 'clock'),
        unsure,
        signal,
      ))
        return said && openTranslate('en').of(said);
    };
    expect(await hint(true)).toContain('timedatectl');
    expect(await hint(false)).toMatch(/^start a time service/);
  });

  test('stopped by hand, `doctor` ends at once with exit code 130, even if a check hangs', async () => {
    const hang = () => new Promise<never>(() => undefined);
    const path = writeConfig(alsa(), broker.url);
    const stop = new AbortController();
    const shown: string[] = [];
    const examining = (async () => {
      for await (const { check } of runChecks(allChecks, { ...machineProbes(path, clock), command: hang, listen: hang, tryModel: hang }, stop.signal))
        if (shown.push(check) === 2) setTimeout(() => stop.abort(), 50); // the power check hangs
    })();
    await expect(examining).rejects.toMatchObject({ exitCode: 130 });
    expect(shown).toEqual(['config', 'board']);
  });

  test('without a configuration the check of services is skipped and only the configuration fails', async () => {
    const dead = ['tocsin-listener.service', 'tocsin-courier.service'].map((id) => `Id=${id}\nLoadState=loaded\nActiveState=inactive\nSubState=dead\n`);
    const results = await examine(join(folder, 'none.yaml'), { ...routed, command: async () => ({ code: 0, stdout: dead.join('\n') }) });
    expect(results.filter(({ state }) => state === 'fail').map(({ check }) => check)).toEqual(['config']);
    expect(results.find(({ check }) => check === 'services')?.state).toBe('skip');
  });

  test('no check times out while the loading model runtime blocks the process, and the link checks wait', async () => {
    const path = writeConfig({}, broker.url);
    const probes = machineProbes(path, clock);
    const order: string[] = [];
    const tryModel = async () => {
      await new Promise((resolve) => setImmediate(resolve)); // after which time-outs come before answers
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3500); // longer than the time-out of systemctl
      order.push('model');
      return { name: 'street', version: '1', costMs: 1 };
    };
    const reach = async (...to: Parameters<typeof probes.reach>) => {
      order.push('port');
      await new Promise((resolve) => setTimeout(resolve, 200));
      return probes.reach(...to);
    };
    const command = (_name: string, _args: readonly string[], stop: AbortSignal) => probes.command('sh', ['-c', 'sleep 0.1; exit 1'], stop);
    const results = await examine(path, { tryModel, reach, command });
    expect(results.filter(({ state }) => state === 'fail')).toEqual([]);
    expect(order).toEqual(['model', 'port']);
    // loading the model does not use up the total time either
    const held = { ...probes, tryModel, reach, command };
    const late: string[] = [];
    for await (const { state, check } of runChecks(allChecks, held, signal, 3000)) if (state === 'fail') late.push(check);
    expect(late).toEqual([]);
  });

  test('a check that hangs is cut off when its own time or that of all checks is over', async () => {
    const hang = () => new Promise<never>(() => undefined);
    const path = writeConfig(alsa(), 'mqtts://broker.example.org');
    const results = await examine(path, { ...routed, listen: hang, tryModel: hang, command: hang, resolve: async () => '192.0.2.1', reach: hang });
    expect(results.filter(({ found }) => found.key === 'doctor.timeout').map(({ check }) => check)).toEqual([
      'power',
      'microphone',
      'model',
      'port',
      'services',
    ]);
    const hints = Object.fromEntries(results.map(({ check, hint }) => [check, hint?.key]));
    expect(hints).toMatchObject({ power: 'doctor.timeout.try', model: 'doctor.timeout.try', port: 'doctor.timeout.link' });
    // what does not answer on the way to the broker is not a fault of the board
    for (const { id, lateHint } of allChecks) expect(lateHint === 'doctor.timeout.link', id).toBe(['port', 'tls', 'broker', 'acl'].includes(id));
    const probes = { ...machineProbes(path, clock), ...routed, listen: hang, command: hang, resolve: hang };
    const late: Result[] = [];
    for await (const result of runChecks(allChecks, probes, signal, 200)) if (result.found.key === 'doctor.timeout') late.push(result);
    expect(late.length).toBeGreaterThan(2);
    for (const { check, found } of late) expect(found.values.seconds, check).toBeLessThanOrEqual(0.2);
  });
});
