import { chmodSync, chownSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { type Check, type CheckId, type Finding, fail, pass, runChecks, skip, warn } from '../../agent/cli/doctor/check.ts';
import { machineChecks } from '../../agent/cli/doctor/machine-checks.ts';
import { machineProbes, type Probes } from '../../agent/cli/doctor/probes.ts';
import { allChecks } from '../../agent/cli/doctor.ts';
import { languages } from '../../agent/cli/message.ts';
import { findMachine } from '../../agent/cli/privacy/machine.ts';
import { verify } from '../../agent/cli/privacy/verify.ts';
import { openTranslate, text } from '../../agent/cli/translate.ts';
import { checkConfig } from '../../agent/config/load-config.ts';
import { clock, files, signal } from '../support/doctor.ts';

test('figures that the board does not provide are left out', async () => {
  const told = async (replaced: Record<string, string>, temperature?: number) => {
    const probes = { ...machineProbes('', clock), ...files({ '/proc/device-tree/model': 'Pi\0', ...replaced }), temperature: () => temperature };
    const said: string[] = [];
    for await (const { found } of runChecks([...machineChecks.filter(({ id }) => id === 'board')], probes, signal))
      for (const language of languages) said.push(openTranslate(language).of(found));
    return said;
  };
  const memory = { '/proc/meminfo': 'MemAvailable:  400000 kB\n' };
  expect(await told(memory, 40.2)).toEqual(['Pi, 400 MB of memory free, 40 °C', 'Pi, 400\u00a0Mo de mémoire libre, 40\u00a0°C']);
  expect(await told(memory)).toEqual(['Pi, 400 MB of memory free', 'Pi, 400\u00a0Mo de mémoire libre']);
  expect(await told({ '/proc/meminfo': '' })).toEqual(['Pi', 'Pi']);
});

test('a board that is slowed down and whose voltage never fell is to be cooled, and needs no other supply', async () => {
  const hints = async (...told: string[]) => {
    const [power, found]: [Check[], unknown[]] = [machineChecks.filter(({ id }) => id === 'power'), []];
    for (const bits of told) {
      const probes = { ...machineProbes('', clock), read: () => bits };
      for await (const result of runChecks(power, probes, signal)) found.push([result.found.key, result.hint?.key]);
    }
    return found;
  };
  const [now, since, cooler] = ['doctor.power.now', 'doctor.power.since', 'doctor.board.hot.try'];
  expect(await hints('50005', '50004', 'e0008', '50000', '80000')).toEqual([
    [now, `${now}.try`],
    [now, `${now}.try`],
    [now, cooler],
    [since, `${since}.try`],
    [since, cooler],
  ]);
});

const oneOf = async (id: string, probes: Partial<Probes>) => {
  for await (const result of runChecks(
    allChecks.filter((check) => check.id === id).map((check) => ({ ...check, needs: [], after: [] })),
    { ...machineProbes('', clock), ...probes },
    signal,
  ))
    return [result.state, result.found.key];
};

test('what the firmware says of the supply is read from vcgencmd where there is no file of it', async () => {
  const told = (stdout: string) => oneOf('power', { read: () => undefined, command: async () => ({ code: 0, stdout }) });
  expect(await told('throttled=0x50005\n')).toEqual(['fail', 'doctor.power.now']);
  expect(await told('throttled=0x50000\n')).toEqual(['warn', 'doctor.power.since']);
  expect(await told('throttled=0x0\n')).toEqual(['pass', 'doctor.power.ok']);
  expect(await told('error=1 error_msg="Command not registered"\n')).toEqual(['skip', 'doctor.power.untold']);
});

test('a check that breaks is no check that passes', async () => {
  const temperature = () => {
    throw new Error('a defect');
  };
  expect(await oneOf('board', { temperature })).toEqual(['fail', 'doctor.defect']);
});

test('what a failed check is needed for is not tried and names it, also through others; a warning keeps nothing back', async () => {
  const tried: string[] = [];
  const check = (id: CheckId, finding: Finding, ...needs: CheckId[]): Check => {
    const run = () => {
      tried.push(id);
      return finding;
    };
    return { id, timeoutMs: 1000, needs, run };
  };
  const chain = async (first: Finding) => {
    tried.length = 0;
    const checks = [check('config', first), check('model', pass('doctor.power.ok'), 'config'), check('disk', pass('doctor.power.ok'), 'model')];
    const found: unknown[] = [];
    for await (const result of runChecks(checks, machineProbes('', clock), signal)) found.push([result.state, result.found.values.check]);
    return found;
  };
  const needed = text('doctor.name.config');
  expect(await chain(fail('doctor.defect', { reason: '' }))).toEqual([['fail', undefined], ['skip', needed], ['skip', needed]]); // biome-ignore format: one row
  expect(tried).toEqual(['config']);
  for (const first of [warn('doctor.services.disabled'), skip('doctor.power.untold')]) {
    expect(await chain(first)).toEqual([[first.state, undefined], ['pass', undefined], ['pass', undefined]]); // biome-ignore format: one row
    expect(tried).toEqual(['config', 'model', 'disk']);
  }
});

const path = join(mkdtempSync(join(tmpdir(), 'tocsin-checks-')), 'outbox.db');
writeFileSync(path, '', { mode: 0o660 });

test.each(['expired', 'refused', 'dropped', 'unreadable'])('events that are %s are lost', async (fate) => {
  const fates = { sent: 9, expired: 0, refused: 0, dropped: 0, unreadable: 0 };
  const found = async (change: object) => {
    const outbox = { pending: 0, oldest: undefined, fates: { ...fates, ...change } };
    const checks = allChecks.filter(({ id }) => id === 'config' || id === 'outbox');
    const config = checkConfig({ site: 'test', sensor: 'post-1', outbox: { path }, mqtt: { url: 'mqtt://localhost' } }, 'tocsin.yaml');
    const probes = { ...machineProbes('', clock), loadConfig: () => config, inspectOutbox: () => outbox as never };
    const results: string[] = [];
    for await (const result of runChecks(checks, probes, signal)) results.push(result.found.key);
    return results.at(-1);
  };
  expect(await found({})).toBe('doctor.outbox.ok');
  expect(await found({ [fate]: 1 })).toBe('doctor.outbox.lost');
});

const notRoot = process.getuid?.() === 0 ? undefined : 'needs root, to give files to another group';
test.skipIf(notRoot)(`an outbox is shared that the group of its folder may write${notRoot ? ` (left out: ${notRoot})` : ''}`, () => {
  const folder = dirname(path);
  const isShared = (mode: number, gid: number) => {
    chownSync(path, 0, gid);
    chmodSync(path, mode);
    return machineProbes('', clock).isShared(path);
  };
  chownSync(folder, 0, 64_008);
  chmodSync(folder, 0o2770);
  expect([isShared(0o660, 64_008), isShared(0o640, 64_008), isShared(0o620, 64_008), isShared(0o660, 0), isShared(0o666, 0)]).toEqual([
    true,
    false,
    false,
    false,
    false,
  ]);
  chmodSync(folder, 0o770); // of no group that the package made
  expect(isShared(0o600, 0)).toBe(true);
});

test('doctor asks of the privacy of the sensor all that `privacy verify` does, but for the digests of the package', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-checks-'));
  const config = join(folder, 'tocsin.yaml');
  writeFileSync(config, JSON.stringify({ site: 'test', sensor: 'post-1', outbox: { path }, mqtt: { url: 'mqtt://localhost' } }));
  const nowhere = { configPath: config, packageList: '/nowhere', pids: { listener: 999_999_999, courier: 999_999_999 } };
  const whole = (await verify(await findMachine(nowhere))).map(({ part, check }) => `${part}.${check}`);
  const asked = (await machineProbes(config, clock).verifyPrivacy()).map(({ part, check }) => `${part}.${check}`);
  expect(asked).toEqual(whole.filter((line) => line !== 'sensor.package'));
  expect(asked.length).toBeGreaterThan(30);
});

test('a board is hot from 80 °C on', async () => {
  const memory = (path: string) => (path === '/proc/meminfo' ? 'MemAvailable:  400000 kB\n' : undefined);
  const at = async (celsius: number) => (await oneOf('board', { read: memory, temperature: () => celsius }))?.[1];
  expect([await at(79.4), await at(79.5), await at(85)]).toEqual(['doctor.board.ok', 'doctor.board.hot', 'doctor.board.hot']);
});

test('of what `privacy verify` finds, a failure comes before what it could not check', async () => {
  const line = { check: 'network', part: 'listener', what: text('privacy.what.network'), how: text('privacy.how.network'), byHand: '' } as const;
  const unchecked = { ...line, state: 'unchecked', found: text('privacy.notAllowed') } as const;
  const broken = { ...line, state: 'fail', found: text('privacy.network.shared') } as const;
  const privacy = allChecks.find(({ id }) => id === 'privacy') as Check;
  const found = async (lines: readonly object[]) => {
    const probes = { ...machineProbes('', clock), verifyPrivacy: async () => lines as never };
    return privacy.run(probes, { units: {} }, signal);
  };
  expect(await found([unchecked, broken, unchecked])).toMatchObject({
    state: 'fail',
    found: { key: 'doctor.privacy.open', values: { found: broken.found, count: 1 } },
  });
  expect(await found([unchecked, unchecked])).toMatchObject({ state: 'warn', found: { values: { found: unchecked.found, count: 2 } } });
  expect(await found([])).toMatchObject({ state: 'pass' });
});

test('sound is clipped from a thousandth of its samples on, and quiet below -75 dB', async () => {
  const sound = { samples: 1, rate: 1, levelDb: -40, peakDb: -20, zeros: false, flat: false, clippedShare: 0, hardwareRate: 48_000 };
  const level = allChecks.find(({ id }) => id === 'level') as Check;
  const found = async (change: object) => (await level.run(machineProbes('', clock), { sound: { ...sound, ...change } }, signal)).found.key;
  expect([await found({ clippedShare: 0.001 }), await found({ clippedShare: 0.0011 })]).toEqual(['doctor.level.ok', 'doctor.level.clipped']);
  expect([await found({ levelDb: -75 }), await found({ levelDb: -75.1 })]).toEqual(['doctor.level.ok', 'doctor.level.quiet']);
});
