// What a process holds open or mapped. Other programs stand in for the two halves: each check is asked by itself.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Finding } from '../../agent/cli/privacy/check.ts';
import { fileChecks } from '../../agent/cli/privacy/file-checks.ts';
import type { Half, HalfName, Machine } from '../../agent/cli/privacy/machine.ts';
import { processChecks } from '../../agent/cli/privacy/process-checks.ts';
import { halfOf, inThread, started, startedScript } from '../support/started.ts';

const without = process.getuid?.() === 0 ? undefined : 'needs root for nodes of devices and for the mappings of others';

describe.skipIf(without)(`privacy verify: what a process holds${without ? ` (left out: ${without})` : ''}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'tocsin-held-'));
  const at = (name: string) => join(folder, name);
  const machine = { config: { outbox: { path: at('outbox.db') } } } as Machine;
  const files = (half: Half) => fileChecks[0].run(half, machine) as Finding;
  const devices = (half: Half) => fileChecks[2].run(half, machine) as Finding;
  const file = (name: string): string => {
    writeFileSync(at(name), 'RIFF'.repeat(2000));
    return at(name);
  };
  const pipe = (name: string): string => {
    execFileSync('mkfifo', [at(name)]);
    return at(name);
  };
  const node = (name: string, kind: 'b' | 'c', major: number, minor: number): string => {
    execFileSync('mknod', [at(name), kind, `${major}`, `${minor}`]);
    return at(name);
  };
  const open = (path: string, flags: string) => startedScript(`fs.openSync(process.argv[1], ${flags})`, [path]);
  const holding = (path: string) => open(path, '0o10000000'); // O_PATH: there is no such device here
  const mapped = (flags: number, path: string) =>
    startedScript(
      `const file = fs.openSync(process.argv[1], 'r+');
       const mmap = koffi.load(null).func('intptr_t mmap(intptr_t at, size_t size, int protection, int flags, int fd, long offset)');
       if (Number(mmap(0, 4096, 3, ${flags}, file, 0)) === -1) throw new Error('not mapped');
       fs.closeSync(file)`,
      [path],
    );

  test.each([
    ['open for writing alone', () => open(file('a.wav'), "'a'")],
    ['open for reading and writing', () => open(file('b.wav'), "'r+'")],
    ['mapped to be written once it is closed', () => mapped(1, file('c.wav'))],
    ['a named pipe', () => open(pipe('d.wav'), "'r+'")],
  ])('a file fails that is %s', async (_how, plant) => {
    const what = expect.stringMatching(new RegExp(`^${folder}/[a-d]\\.wav \\[\\d+\\]$`));
    expect(files(halfOf('listener', await plant()))).toMatchObject({ state: 'fail', found: { key: 'privacy.files.wrong', values: { what } } });
  });

  test.each([
    ['open for reading', () => open(file('e.wav'), "'r'")],
    ['mapped to be changed in memory alone', () => mapped(2, file('f.wav'))],
  ])('a file passes that is %s', async (_how, plant) => {
    expect(files(halfOf('listener', await plant()))).toMatchObject({ state: 'pass' });
  });

  test('the outbox passes in the hand of the half alone; a link in its place leads to no file of the outbox', async () => {
    const [half, recorder] = [await open(file('outbox.db'), "'r+'"), await started('sh', '-c', 'echo; exec sleep 60')];
    expect(files(halfOf('listener', half, recorder))).toMatchObject({ state: 'pass', found: { values: { what: at('outbox.db') } } });
    expect(files(halfOf('listener', recorder, half))).toMatchObject({ state: 'fail', found: { values: { what: `${at('outbox.db')} [${half}]` } } });
    symlinkSync(file('elsewhere.wav'), at('outbox.db.new'));
    expect(files(halfOf('listener', await open(at('outbox.db.new'), "'r+'")))).toMatchObject({ state: 'fail' });
  });

  test('a file fails that a thread writes by the number by which the others read it', async () => {
    const again = `const path = require('node:worker_threads').workerData;
      libc.func('int unshare(int flags)')(0x400); // CLONE_FILES
      const fd = fs.readdirSync('/proc/self/fd').find((one) => { try { return fs.readlinkSync('/proc/self/fd/' + one) === path } catch {} });
      fs.closeSync(Number(fd));
      if (fs.openSync(path, 'r+') !== Number(fd)) throw new Error('another number')`;
    const half = await startedScript(`fs.openSync(process.argv[1]); ${inThread(again)}`, [file('g.wav')]);
    expect(files(halfOf('listener', half))).toMatchObject({ state: 'fail', found: { values: { what: expect.stringContaining('g.wav') } } });
  });

  test.each<[HalfName, string, () => string, string]>([
    ['listener', 'a sound card', () => node('pcmC0D0c', 'c', 116, 24), 'pass'],
    ['courier', 'a sound card', () => node('pcmC0D1c', 'c', 116, 25), 'fail'],
    ['courier', 'a sound card of OSS', () => node('dsp', 'c', 14, 3), 'fail'],
    ['listener', 'a camera', () => node('video0', 'c', 81, 0), 'fail'],
    ['listener', 'the memory of the machine', () => node('mem', 'c', 1, 1), 'fail'],
    ['listener', 'a disk', () => node('disk', 'b', 7, 200), 'fail'],
    ['courier', 'null', () => node('null', 'c', 1, 3), 'pass'],
  ])('the %s that holds %s: %s, %s', async (name, _what, plant, state) => {
    const held = await holding(plant());
    expect(devices(halfOf(name, held))).toMatchObject({ state });
    const first = await started('sh', '-c', 'echo; exec sleep 60');
    expect(devices(halfOf(name, first, held)), 'in the hand of another process of it').toMatchObject({ state });
  });

  const ring = `if (koffi.load(null).func('long syscall(long number, long entries, void *parameters)')(425, 4, Buffer.alloc(256)) < 0) throw new Error('none')`;
  const noRing = spawnSync(process.execPath, ['-e', `const koffi = require('koffi'); ${ring}`]).status === 0 ? undefined : 'needs a kernel with io_uring';
  test.skipIf(noRing)(`a ring, through which system calls go unfiltered, fails behind any filter${noRing ? ` (left out: ${noRing})` : ''}`, async () => {
    const parent = await startedScript(`${ring}
      koffi.struct('Line', { code: 'uint16_t', yes: 'uint8_t', no: 'uint8_t', value: 'uint32_t' });
      koffi.struct('Filter', { length: 'uint16_t', lines: 'Line *' });
      koffi.load(null).func('int prctl(int option, long a, long b, long c, long d)')(38, 1, 0, 0, 0); // no new privileges
      const allow = { length: 1, lines: [{ code: 6, yes: 0, no: 0, value: 0x7fff0000 }] };
      const seccomp = koffi.load(null).func('long syscall(long number, long mode, long flags, Filter *filter)');
      if (seccomp(${process.arch === 'arm64' ? 277 : 317}, 1, 1, allow) !== 0) throw new Error('no filter');
      require('node:child_process').spawn('sleep', ['60'], { stdio: 'ignore' })`);
    const child = Number(readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8')); // has the filter, and no ring
    onTestFinished(() => void process.kill(child, 'SIGKILL'));
    const seccomp = (...processes: number[]) => processChecks[5].run(halfOf('listener', ...processes), machine);
    expect(seccomp(child)).toMatchObject({ state: 'pass' });
    expect(seccomp(child, parent)).toMatchObject({ state: 'fail', found: { key: 'privacy.seccomp.rings', values: { pids: `${parent}` } } });
    expect(seccomp(child, await started('sh', '-c', 'echo; exec sleep 60'))).toMatchObject({ state: 'fail', found: { key: 'privacy.seccomp.wrong' } });
  });

  test.each([
    ['its own file', (pid: number) => `/proc/${pid}/mem`],
    ['that of a thread', (pid: number) => `/proc/${pid}/task/${readdirSync(`/proc/${pid}/task`).at(-1)}/mem`],
  ])('a program that holds the memory of a recorder open by %s fails', async (_which, memory) => {
    const [half, recorder] = [await started('sh', '-c', 'echo; exec sleep 60'), await startedScript('')];
    const traced = () => processChecks[6].run(halfOf('listener', half, recorder), machine);
    expect(traced()).toMatchObject({ state: 'pass' });
    const reader = await started('sh', '-c', 'exec 3<"$0"; echo; exec sleep 60', memory(recorder));
    expect(traced()).toMatchObject({ state: 'fail', found: { values: { pids: `${reader}` } } });
  });
});
