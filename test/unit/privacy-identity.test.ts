// As whom the halves run. /proc, /etc/group and the folder of the outbox are fakes, since few machines have the groups of
// the package; test/system has.
import * as fs from 'node:fs';
import { beforeEach, expect, test, vi } from 'vitest';
import type { Finding } from '../../agent/cli/privacy/check.ts';
import type { HalfName, Machine } from '../../agent/cli/privacy/machine.ts';
import { processChecks } from '../../agent/cli/privacy/process-checks.ts';
import { halfOf } from '../support/started.ts';

vi.mock('node:fs', async (original) => ({ ...(await original<typeof fs>()), readdirSync: vi.fn(), readFileSync: vi.fn(), statSync: vi.fn() }));

const [listener, courier, tocsin, audio, meter] = ['981', '982', '990', '29', '989'];
/** Of a thread: its user and group, once or all four of each, and the groups besides. */
type Thread = readonly [uid: string, gid: string, groups: string];
let processes: Record<number, readonly Thread[]>;
let folderGroup: string;

beforeEach(() => {
  processes = { 7: [[listener, tocsin, `${audio} ${meter} ${tocsin} `]], 8: [[courier, tocsin, `${tocsin} `]] };
  folderGroup = tocsin;
  path = '/var/lib/tocsin/outbox.db';
  const statusOf = ([uid, gid, groups]: Thread) => `Name:\tnode\nUid:\t${uid}\nGid:\t${gid}\nGroups:\t${groups}\n`;
  const four = (id: string) => (id.includes('\t') ? id : Array(4).fill(id).join('\t'));
  vi.mocked(fs.readdirSync).mockImplementation(((path: string) => {
    const pid = Number(/^\/proc\/(\d+)\/task$/.exec(path)?.[1]);
    return (processes[pid] ?? []).map((_, i) => String(pid + 100 * i));
  }) as never);
  vi.mocked(fs.readFileSync).mockImplementation(((path: string) => {
    if (path === '/etc/group') return `root:x:0:\naudio:x:${audio}:\ntocsin:x:${tocsin}:\ntocsin-meter:x:${meter}:\n`;
    const [, pid = '', thread = pid] = /^\/proc\/(\d+)(?:\/task\/(\d+))?\/status$/.exec(path) ?? [];
    const [uid, gid, groups] = (processes[Number(pid)] as readonly Thread[])[(Number(thread) - Number(pid)) / 100] as Thread;
    return statusOf([four(uid), four(gid), groups]);
  }) as never);
  vi.mocked(fs.statSync).mockImplementation((() => ({ gid: Number(folderGroup) })) as never);
});

let path: string;
const found = (name: HalfName, ...pids: number[]) => {
  const halves = { listener: halfOf('listener', 7), courier: halfOf('courier', 8) };
  const { state, found } = processChecks[2].run({ ...halfOf(name, ...pids) }, { halves, config: { outbox: { path } } } as Machine) as Finding;
  return `${state} ${found.key.replace('privacy.identity.', '')}`;
};

test('the users and groups of the package pass', () => {
  expect([found('listener', 7), found('courier', 8)]).toEqual(['pass ok', 'pass ok']);
});

test.each<[string, HalfName, readonly Thread[], string]>([
  ['the group of the sound cards', 'courier', [[courier, tocsin, audio]], 'fail groups'],
  ['the group of the meter', 'courier', [[courier, tocsin, `${tocsin} ${meter}`]], 'fail groups'],
  ['the group of root', 'listener', [[listener, tocsin, `${tocsin} 0`]], 'fail groups'],
  ['the group of root as its own', 'courier', [[courier, `${tocsin}\t${tocsin}\t0\t${tocsin}`, tocsin]], 'fail groups'],
  ['a group of others', 'listener', [[listener, tocsin, `${tocsin} 4`]], 'fail groups'],
  ['a group of others in one thread', 'listener', [[listener, tocsin, tocsin], [listener, tocsin, `${tocsin} 4`]], 'fail groups'], // biome-ignore format: one row
  ['the user of the listener', 'courier', [[listener, tocsin, tocsin]], 'fail same'],
  ['the user of the listener to come back to', 'courier', [[`${courier}\t${courier}\t${listener}\t${courier}`, tocsin, tocsin]], 'fail several'],
  ['root to come back to', 'courier', [[`${courier}\t${courier}\t0\t${courier}`, tocsin, tocsin]], 'fail root'],
  ['root in one thread', 'listener', [[listener, tocsin, tocsin], ['0', tocsin, tocsin]], 'fail root'], // biome-ignore format: one row
])('with %s the %s fails', (_what, name, threads, said) => {
  const pid = name === 'listener' ? 7 : 8;
  const before = found(name, pid);
  processes[9] = threads;
  expect([before, found(name, 9)]).toEqual(['pass ok', said]);
  expect(found(name, pid, 9)).toMatch(/^fail/); // by another process of the half
});

test('the folder of the package counts as that of its group, whatever group it was given', () => {
  folderGroup = audio;
  expect([found('listener', 7), found('courier', 8)]).toEqual(['pass ok', 'pass ok']);
  processes[8] = [[courier, audio, audio]];
  expect(found('courier', 8)).toBe('fail groups');
});

test('with an outbox in a folder of the sound cards’ group the courier fails, and with one of root’s either half', () => {
  [path, folderGroup] = ['/srv/outbox.db', audio];
  processes = { 7: [[listener, audio, audio]], 8: [[courier, audio, audio]] };
  expect([found('listener', 7), found('courier', 8)]).toEqual(['pass ok', 'fail groups']);
  folderGroup = '0';
  processes = { 7: [[listener, '0', '0']], 8: [[courier, '0', '0']] };
  expect([found('listener', 7), found('courier', 8)]).toEqual(['fail groups', 'fail groups']);
});
