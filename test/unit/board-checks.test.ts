import { expect, test } from 'vitest';
import { type Check, runChecks } from '../../agent/cli/doctor/check.ts';
import { machineChecks } from '../../agent/cli/doctor/machine-checks.ts';
import { machineProbes } from '../../agent/cli/doctor/probes.ts';
import { languages } from '../../agent/cli/message.ts';
import { openTranslate } from '../../agent/cli/translate.ts';
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
